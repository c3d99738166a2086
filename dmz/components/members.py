"""Who may be named in a stack's configuration as somebody to act as one of its accounts.

The forms are IAM's (https://cloud.google.com/iam/docs/principal-identifiers). What is refused here is what
would let in an identity that nobody reviewed: everyone, a whole domain, a machine, every job of a CI service.
"""

from __future__ import annotations

import re
from typing import Final

MACHINE: Final = "dmz-machine"
"""Account id of the machine of either side."""
SYNC: Final = "dmz-sync"
"""Account id of who carries packages in."""
ATTESTOR: Final = "dmz-attestor"
"""Account id of who signs releases."""
PUBLISHER: Final = "dmz-publisher"
"""Account id of who publishes wheels that a machine built."""
ARCHIVIST: Final = "dmz-archivist"
"""Account id of who deletes from the archive what no kept release names."""

_MEMBER: Final = re.compile(r"(user|group|serviceAccount|principal|principalSet):\S+")
_EVERYBODY: Final = {
    "allUsers": "is everyone on the internet",
    "allAuthenticatedUsers": "is everyone who has a Google account",
}
_MACHINES: Final = re.compile(
    rf"serviceAccount:({MACHINE}@\S+|\d+-compute@developer\.gserviceaccount\.com|\S+@appspot\.gserviceaccount\.com"
    r"|\d+@cloudservices\.gserviceaccount\.com|service-\d+@\S+\.iam\.gserviceaccount\.com)",
    re.IGNORECASE,
)
"""The machines' own account, and those that Google gives machines and services which were given none."""
_OWN: Final = re.compile(rf"serviceAccount:({SYNC}|{ATTESTOR}|{PUBLISHER}|{ARCHIVIST})@\S+", re.IGNORECASE)
_WHATEVER_IT_RUNS: Final = (
    *("repository", "repository_id", "repository_owner", "repository_owner_id", "repository_visibility"),
    *("repository_uuid", "workspace_uuid", "project_path", "project_id", "namespace_path", "namespace_id"),
    *("actor", "actor_id", "user_login", "user_id", "user_email", "event_name", "head_ref", "base_ref"),
)
"""Claims of CI services' tokens that say where or by whom a job was started, and not which job it is."""
_ANY_JOB: Final = re.compile(
    rf"principalSet://\S+?/(\*|attribute\.({'|'.join(_WHATEVER_IT_RUNS)})/\S+)|principal(Set)?://\S+:pull_request",
    re.IGNORECASE,
)
"""A whole pool of workload identities, or every job of a repository: pull requests' jobs are among them."""


def operator(text: str) -> str:
    """A member who may act as the sync; ValueError says why this one may not."""
    return _named(text)


def attestor(text: str) -> str:
    """A member who may sign releases; ValueError says why this one may not."""
    member = _named(text)
    if _OWN.fullmatch(member):
        raise ValueError(
            f"'{member}' is an account of these stacks, and none of them may sign what another one made; "
            "name who releases, like group:releases@example.com"
        )
    if _ANY_JOB.fullmatch(member):
        raise ValueError(
            f"'{member}' is also a job of a pull request, which nobody reviewed; name the job that runs "
            "after the merge, like principal://…/subject/repo:ORG/REPO:ref:refs/heads/main"
        )
    return member


def _named(text: str) -> str:
    if whom := _EVERYBODY.get(text):
        raise ValueError(f"'{text}' {whom}; name people or groups, like user:you@example.com")
    if text.startswith("domain:"):
        raise ValueError(f"'{text}' is a whole domain; name people or groups, like user:you@example.com")
    if not _MEMBER.fullmatch(text):
        raise ValueError(f"'{text}' is no IAM member; write it like user:you@example.com")
    if _MACHINES.fullmatch(text):
        raise ValueError(
            f"'{text}' is a machine's account, and machines run foreign code; name people or groups, like "
            "user:you@example.com"
        )
    return text
