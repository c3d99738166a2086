"""As whom this project speaks to Google: ambient, short-lived tokens, in memory only and never logged."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx

from dmz.errors import InputError, TransferError
from dmz.registries.failures import reason, unreachable
from dmz.registries.retry import REPEATABLE, WHOLE

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self) -> str:
        """An access token that is good for some minutes more."""
        ...

    def drop(self, token: str) -> None:
        """Give this token out no more: a service did not accept it."""
        ...


class AmbientTokens:
    """The caller's own identity: `GOOGLE_OAUTH_ACCESS_TOKEN` if set, else Application Default Credentials."""

    def __init__(self) -> None:
        self._credentials: Any = None
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A token from the environment, the metadata server or the user's login.

        Raises:
            InputError: nobody is logged in, or the variable has no token.
        """
        if given := os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN", "").strip():
            if not (given.isascii() and given.isprintable() and " " not in given):
                raise InputError("GOOGLE_OAUTH_ACCESS_TOKEN is no access token; set it anew, or unset it")
            return given
        async with self._lock:
            if self._credentials is not None and self._credentials.valid:
                return str(self._credentials.token)
            return await asyncio.to_thread(self._refresh)

    def drop(self, token: str) -> None:
        """Ask for another one next time; one from the environment can't be had anew."""
        if self._credentials is not None and self._credentials.token == token:
            self._credentials.token = None

    @property
    def principal(self) -> str:
        """Whose the credentials are, as far as they know it themselves; empty if they don't."""
        for known in ("service_account_email", "account"):
            value = getattr(self._credentials, known, None)
            if isinstance(value, str) and "@" in value:
                return value
        return ""

    def _refresh(self) -> str:
        import google.auth
        import google.auth.exceptions
        import google.auth.transport.requests

        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(google.auth.transport.requests.Request())
        except google.auth.exceptions.GoogleAuthError as error:
            raise InputError(
                f"no Google credentials ({error}); log in with `gcloud auth application-default login`"
            ) from error
        return str(self._credentials.token)


class ImpersonatedTokens:
    """A service account's identity, lent by IAM Credentials for an hour at a time and renewed before it ends.

    See https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
    """

    _MARGIN: Final = 300
    """Seconds before its end at which a token is renewed: longer than one upload takes to begin."""

    def __init__(self, account: str, caller: Tokens, endpoint: str, client: httpx.AsyncClient) -> None:
        self._account = account
        self._caller = caller
        self._url = f"{endpoint}projects/-/serviceAccounts/{quote(account)}:generateAccessToken"
        self._client = client
        self._lock = asyncio.Lock()
        self._token = ""
        self._expires = 0.0

    async def token(self) -> str:
        """The account's token.

        Raises:
            InputError: the caller may not impersonate the account.
        """
        async with self._lock:
            if time.time() > self._expires - self._MARGIN:
                await self._renew()
            return self._token

    def drop(self, token: str) -> None:
        """Renew it before it is asked for again."""
        if token == self._token:
            self._expires = 0.0

    async def _renew(self) -> None:
        try:
            response = await self._client.post(
                self._url,
                json={"scope": [SCOPE], "lifetime": "3600s"},
                auth=TokenAuth(self._caller, basic=False),
                extensions=REPEATABLE | WHOLE,
            )
        except httpx.RequestError as error:
            raise unreachable(self._url, error) from error
        if response.status_code in {401, 403, 404}:
            raise InputError(
                f"may not act as {self._account} ({reason(response)}); add yourself to dmz:operators (for "
                "the attestor to dmz:attestors) of the outer stack and run `pulumi up` there, or log in again"
            )
        if response.is_error:
            raise TransferError(f"no token for {self._account}: {reason(response)}; try again")
        try:
            answer = response.json()
            token, expires = str(answer["accessToken"]), datetime.fromisoformat(answer["expireTime"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TransferError(
                f"no token for {self._account}: the answer is none ({error}); try again"
            ) from error
        self._token, self._expires = token, expires.timestamp()


class TokenAuth(httpx.Auth):
    """Puts a fresh token on every request: as a bearer, or as the password of `oauth2accesstoken`.

    One that a service does not accept is dropped, and the request sent once more with another. A streamed
    request can't be: its sender gets the 401, and the next try a new token.
    """

    def __init__(self, tokens: Tokens, *, basic: bool) -> None:
        self._tokens = tokens
        self._basic = basic

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Called by httpx for every request."""
        token = await self._tokens.token()
        self._put(request, token)
        response = yield request
        if response.status_code != 401:
            return
        self._tokens.drop(token)
        if isinstance(request.stream, httpx.ByteStream) and (fresh := await self._tokens.token()) != token:
            self._put(request, fresh)
            yield request

    def _put(self, request: httpx.Request, token: str) -> None:
        if self._basic:
            user = base64.b64encode(f"oauth2accesstoken:{token}".encode()).decode()
            request.headers["Authorization"] = f"Basic {user}"
        else:
            request.headers["Authorization"] = f"Bearer {token}"
