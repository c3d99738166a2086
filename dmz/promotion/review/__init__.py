"""The review of a release: what the reviewer of a pull request reads, as Markdown.

First what a person reads in twenty seconds, then the details. It stands beside the lock files, may be posted
as a comment, and is not part of the release's digest. The same facts give the same text; of the moment of the
screening it has the day alone.
"""

from dmz.promotion.review.facts import Review
from dmz.promotion.review.text import COMMENT, body, markdown, name

__all__ = ["COMMENT", "Review", "body", "markdown", "name"]
