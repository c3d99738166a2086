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
from dmz.registries.failures import reason
from dmz.registries.retry import REPEATABLE

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self) -> str:
        """An access token that is good for some minutes more."""
        ...


class AmbientTokens:
    """The caller's own identity: `GOOGLE_OAUTH_ACCESS_TOKEN` if set, else Application Default Credentials."""

    def __init__(self) -> None:
        self._credentials: Any = None
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A token from the environment, the metadata server or the user's login.

        Raises:
            InputError: nobody is logged in.
        """
        if given := os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
            return given
        async with self._lock:
            return await asyncio.to_thread(self._refresh)

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

    async def _renew(self) -> None:
        response = await self._client.post(
            self._url,
            json={"scope": [SCOPE], "lifetime": "3600s"},
            headers={"Authorization": f"Bearer {await self._caller.token()}"},
            extensions=REPEATABLE,
        )
        if response.status_code in {401, 403, 404}:
            raise InputError(
                f"may not act as {self._account} ({reason(response)}); add yourself to dmz:operators (for "
                "the attestor to dmz:attestors) of the outer stack and run `pulumi up` there, or log in again"
            )
        if response.is_error:
            raise TransferError(f"no token for {self._account}: {reason(response)}; try again")
        answer = response.json()
        self._token = answer["accessToken"]
        self._expires = datetime.fromisoformat(answer["expireTime"]).timestamp()


class TokenAuth(httpx.Auth):
    """Puts a fresh token on every request: as a bearer, or as the password of `oauth2accesstoken`."""

    def __init__(self, tokens: Tokens, *, basic: bool) -> None:
        self._tokens = tokens
        self._basic = basic

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Called by httpx for every request."""
        token = await self._tokens.token()
        if self._basic:
            user = base64.b64encode(f"oauth2accesstoken:{token}".encode()).decode()
            request.headers["Authorization"] = f"Basic {user}"
        else:
            request.headers["Authorization"] = f"Bearer {token}"
        yield request
