"""What is not known of the real services, or rarely happens there: settings, with what is on here.

A sandbox reads them from `options.json` in its folder when it starts; what that file doesn't say is as below.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sandbox.errors import SandboxError

FILE: Final = "options.json"
Reader = Literal["caller", "agent"]


@dataclass(frozen=True)
class Options:
    """How the services behave where the public documentation is silent or a test needs another answer."""

    json_index: bool = False
    """Answer PEP 691 JSON to clients that ask for it. Not confirmed of the service: off."""
    yanked: bool = True
    """Repeat upstream's yanks (PEP 592) in a remote's index. Not confirmed either, but without it a remote
    would offer what upstream took back."""
    python_index_seconds: int = 3600
    """How long a remote keeps an index page of the Python upstream before it asks again."""
    apt_index_seconds: int = 120
    """How long a remote keeps a suite's `InRelease` before it asks again."""

    import_reads_as: Reader = "caller"
    """Whose permission an import of debs needs on the bucket: whoever calls, or Artifact Registry's service
    agent of the project (`agent`). Google's pages don't say; what they do say fits the caller."""
    listing_lag_requests: int = 0
    listing_lag_seconds: float = 0.0
    """After a change `files.list` still shows what was there before, to this many listings and for this long;
    both count from the first change that it doesn't show. Google promises neither: off."""
    suite_lag_requests: int = 0
    suite_lag_seconds: float = 0.0
    """The same of a suite's index, which Google makes some time after packages were added; counted by
    `InRelease`."""
    quota_requests: int = 0
    quota_writes: int = 0
    quota_deletes: int = 0
    """Requests to Artifact Registry, and of these writes and deletes, that one region of a project takes in a
    quota's window; 0 for no limit. Google's are 60,000, 18,000 and 18,000. An import is a write for each deb.
    See https://cloud.google.com/artifact-registry/quotas."""
    quota_seconds: float = 60.0
    """The window: it begins with the first request, and once it is over everything is available again."""
    quota_retry_after: int | None = None
    """Seconds that `Retry-After` says to who is over a quota. No answer of Google's APIs with one was found,
    so there is none."""

    @classmethod
    def read(cls, path: Path) -> Options:
        """The options in the JSON file at `path`, or those that are on here if there is none.

        Raises:
            SandboxError: the file is not of that form, or names an option that there isn't.
        """
        if not path.exists():
            return cls()
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SandboxError(f"{path} is no JSON: {error}") from error
        if not isinstance(said, dict):
            raise SandboxError(f'{path}: write an object, as in {{"listing_lag_requests": 2}}')
        fields = {field.name: field.default for field in dataclasses.fields(cls)}
        for name, value in said.items():
            if name not in fields:
                raise SandboxError(f"{path}: there is no option '{name}'; known are {', '.join(fields)}")
            if not _fits(value, fields[name]):
                raise SandboxError(f"{path}: {name} can't be {value!r}; it is {fields[name]!r} unless said")
        return cls(**said)


def _fits(value: Any, usual: Any) -> bool:
    if isinstance(usual, str):
        return value in get_args(Reader)
    if isinstance(usual, bool) or isinstance(value, bool):
        return isinstance(usual, bool) and isinstance(value, bool)
    if value is None:
        return usual is None
    return isinstance(value, int | float if isinstance(usual, float) else int) and value >= 0
