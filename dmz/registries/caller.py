"""Who runs this: the identity behind the impersonation, as Google knows it, and what the environment says."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from dmz.errors import DmzError
from dmz.registries.credentials import AmbientTokens
from dmz.registries.endpoints import Endpoints
from dmz.registries.retry import REPEATABLE, Retry, RetryingTransport
from dmz.registries.wire import Wire

UNKNOWN: Final = "unknown"
BY_GOOGLE: Final = "Google's token endpoint"
BY_CREDENTIALS: Final = "the credentials"
_PATIENCE: Final = 10.0
"""Seconds that finding out may take: a name is not worth more of a sync's time."""
_TRIES: Final = Retry(attempts=3, most=2.0)
_ADDRESS: Final = re.compile(r"https?://[^\s@?#]+")
"""A URL that carries neither a password nor a query."""
_LONGEST: Final = 200
"""Characters."""


@dataclass(frozen=True)
class Caller:
    """Who runs this."""

    who: str
    """An account's e-mail address, or its unique id; `unknown` if nobody vouches for one."""
    known_by: str = ""
    """Who vouches for that; empty for nobody."""
    said: Mapping[str, str] = field(default_factory=dict)
    """What the environment says, which anybody can set: `job` (a URL), `actor`, `task`, `user` (`NAME@HOST`)
    are known."""

    @property
    def host(self) -> str:
        """The machine, as it says itself."""
        return self.said.get("user", "").rpartition("@")[2] or UNKNOWN


async def caller(location: str) -> Caller:
    """Who runs this; never fails, and never keeps or shows a token.

    Asks as google-auth-library-nodejs does (`OAuth2Client.getTokenInfo`): the token is in a header, so that
    it stands in no log of addresses.
    """
    tokens = AmbientTokens()
    info: dict[str, Any] = {}
    with suppress(DmzError, httpx.HTTPError, ValueError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            info = await _asked(Endpoints.from_environment(location).oauth2, await tokens.token())
    said = dict(_said())
    email, unique = info.get("email"), info.get("sub") or info.get("azp")
    if isinstance(email, str) and "@" in email and str(info.get("email_verified", "true")) == "true":
        return Caller(_line(email), BY_GOOGLE, said)
    if tokens.principal:
        return Caller(_line(tokens.principal), BY_CREDENTIALS, said)
    # Tokens that may not tell the address tell this (a service account's without the scope for it).
    if isinstance(unique, str) and unique.isdigit():
        return Caller(f"the account with the unique id {_line(unique)}", BY_GOOGLE, said)
    return Caller(UNKNOWN, "", said)


async def _asked(endpoint: str, token: str) -> dict[str, Any]:
    transport = RetryingTransport(Wire(), _TRIES)
    async with httpx.AsyncClient(transport=transport, timeout=_PATIENCE / 2) as client:
        answer = await client.post(
            f"{endpoint}tokeninfo",
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
                "User-Agent": "package-dmz",
            },
            extensions=REPEATABLE,
        )
        answer.raise_for_status()
        found = answer.json()
        return found if isinstance(found, dict) else {}


def _said() -> Iterator[tuple[str, str]]:
    given = os.environ.get
    jobs = (
        given("CI_JOB_URL", ""),  # GitLab
        given("BUILD_URL", ""),  # Jenkins
        f"{given('GITHUB_SERVER_URL')}/{given('GITHUB_REPOSITORY')}/actions/runs/{given('GITHUB_RUN_ID')}",
    )
    yield from (("job", _line(url)) for url in [each for each in jobs if _ADDRESS.fullmatch(each)][:1])
    actors = (given("GITLAB_USER_LOGIN"), given("GITHUB_TRIGGERING_ACTOR"), given("GITHUB_ACTOR"))
    yield from (("actor", _line(name)) for name in [each for each in actors if each][:1])
    if execution := given("CLOUD_RUN_EXECUTION"):
        yield "task", _line(f"{execution} task {given('CLOUD_RUN_TASK_INDEX', '?')}")
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a number without a name
        user = str(os.getuid())
    yield "user", _line(f"{user}@{socket.gethostname()}")


def _line(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:_LONGEST]
