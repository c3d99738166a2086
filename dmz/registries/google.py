"""How this project speaks to Google: as whom, and with what patience."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from dmz.collecting import settle
from dmz.errors import TransferError
from dmz.registries.credentials import AmbientTokens, ImpersonatedTokens, TokenAuth, Tokens
from dmz.registries.endpoints import Endpoints
from dmz.registries.failures import OperationError, failure, unreachable
from dmz.registries.guard import Guard, GuardedTransport
from dmz.registries.multipart import Frame
from dmz.registries.pace import PacedTransport, weighing
from dmz.registries.retry import REPEATABLE, WHOLE, Retry, RetryingTransport
from dmz.registries.wire import Upload, Wire, blocking


@dataclass(frozen=True)
class Google:
    """One identity's connection to Google."""

    endpoints: Endpoints
    client: httpx.AsyncClient
    """Sends no credentials of its own: they are put on by the methods below."""
    tokens: Tokens
    bearer: httpx.Auth
    basic: httpx.Auth
    """As the data plane of Python repositories documents it."""
    retry: Retry = field(default_factory=Retry)
    guard: Guard = field(default_factory=Guard)
    """Asked before each request that may change something."""

    async def call(
        self,
        method: str,
        url: str,
        *,
        missing: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        json: dict[str, Any] | None = None,
        repeatable: bool = False,
        weight: int = 1,
    ) -> dict[str, Any]:
        """Call a JSON method and return its answer.

        Args:
            missing: returned for 404 if given.
            repeatable: a POST that may be sent twice.
            weight: as how many calls the quota counts it.

        Raises:
            TransferError: the service refused or kept failing.
        """
        response = await self.send(
            method, url, params=params, json=json, repeatable=repeatable, weight=weight
        )
        if response.status_code == 404 and missing is not None:
            return missing
        if response.is_error:
            raise failure(f"{method} {response.url.path}", response)
        if not response.content and method != "GET":
            return {}
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):  # nothing is concluded from it, such as that a repository is empty
            raise TransferError(
                f"{method} {response.url.path}: the answer is no JSON object; check the endpoint variables, "
                "then run again"
            )
        return answer

    async def pages(self, url: str, params: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
        """The pages of a listing, one after the other.

        Raises:
            TransferError: the service refused or kept failing, or goes in circles.
        """
        seen: set[str] = set()
        while True:
            page = await self.call("GET", url, params=params)
            yield page
            token = page.get("nextPageToken")
            if not token:
                return
            if not isinstance(token, str):
                raise TransferError(
                    f"GET {httpx.URL(url).path}: the listing does not say how it goes on; run again"
                )
            if token in seen:
                raise TransferError(
                    f"GET {httpx.URL(url).path}: the listing gives the same page again and again; run again"
                )
            seen.add(token)
            params = {**params, "pageToken": token}

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: dict[str, str] | None = None,
        json: dict[str, Any] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        repeatable: bool = False,
        basic: bool = False,
        weight: int = 1,
    ) -> httpx.Response:
        """Send a request with a small body and answer; a connection that keeps failing is a TransferError."""
        try:
            return await self.client.request(
                method,
                url,
                params=params,
                json=json,
                content=content,
                headers=headers,
                auth=self._auth(basic=basic),
                extensions=WHOLE | weighing(weight) | (REPEATABLE if repeatable else {}),
            )
        except httpx.RequestError as error:
            raise unreachable(url, error) from error

    @asynccontextmanager
    async def download(self, url: str, what: str, *, basic: bool = False) -> AsyncIterator[Iterator[bytes]]:
        """Stream a file, to be read in a thread; `what` names it in errors.

        Raises:
            TransferError: refused, or the connection broke before the announced end.
        """
        try:
            async with self.client.stream(
                "GET",
                url,
                auth=self._auth(basic=basic),
                # What is hashed are the file's bytes, so no coding on the way.
                headers={"Accept-Encoding": "identity"},
                follow_redirects=True,
            ) as response:
                if response.is_error:
                    await response.aread()
                    raise failure(what, response)
                yield _chunks(response, what)
        except httpx.RequestError as error:
            raise unreachable(url, error) from error

    async def upload(
        self,
        url: str,
        frame: Frame,
        chunks: Iterator[bytes],
        size: int,
        what: str,
        *,
        params: dict[str, str] | None = None,
        basic: bool = False,
    ) -> httpx.Response:
        """POST a file of exactly `size` bytes within its frame as it arrives; `what` names it in errors.

        `chunks` is read in the thread that sends. When it raises, the connection is cut before the announced
        length: the server has half a request and commits nothing. What it raised comes out of this call.
        """
        try:
            request = self.client.build_request(
                "POST",
                url,
                params=params,
                headers={"Content-Type": frame.content_type, "Content-Length": str(frame.length(size))},
            )
            request.stream = Upload(frame.around(chunks, size, what))
            return await self.client.send(request, auth=self._auth(basic=basic))
        except httpx.RequestError as error:
            raise unreachable(url, error) from error

    def _auth(self, *, basic: bool) -> httpx.Auth:
        return self.basic if basic else self.bearer

    async def operation(self, operation: dict[str, Any], what: str) -> dict[str, Any]:
        """Wait for a long-running operation of Artifact Registry and return its response.

        Args:
            operation: as the method answered it.
            what: names the work in messages.

        Raises:
            OperationError: it ended with an error.
            TransferError: it did not end within `Retry.patience`.
        """
        looks = self.retry.looks()
        while not operation.get("done"):
            name = operation.get("name")
            if not isinstance(name, str):
                raise TransferError(f"{what}: the service did not say how to wait for it; run again")
            if await anext(looks, self) is self:
                raise TransferError(
                    f"{what}: not done after {self.retry.patience:.0f} seconds; run again to go on"
                )
            operation = await self.call("GET", self.endpoints.artifact_registry + name)
        error, answer = operation.get("error"), operation.get("response", {})
        if isinstance(error, dict):
            code = error.get("code")
            raise OperationError(
                f"{what}: {error.get('message', 'failed')}", code if isinstance(code, int) else 2
            )
        if error or not isinstance(answer, dict):
            raise TransferError(f"{what}: the service did not say how it ended; run again")
        return answer


def _chunks(response: httpx.Response, what: str) -> Iterator[bytes]:
    try:
        yield from blocking(response)
    except httpx.RequestError as error:
        raise TransferError(f"{what}: the connection broke before the last byte; run again") from error


@asynccontextmanager
async def connect(
    location: str, *, impersonate: str | None = None, retry: Retry | None = None, share: float = 1.0
) -> AsyncIterator[Google]:
    """A connection as the ambient identity, or as the service account `impersonate`.

    Made where it is used and closed after: nothing of it can be pickled or shared between event loops.

    Args:
        location: region of the repositories.
        impersonate: account whose identity is borrowed.
        retry: patience.
        share: of the region's quotas, `1/N` for one of N tasks that run at the same time.
    """
    settle()
    endpoints = Endpoints.from_environment(location)
    retry = retry or Retry()
    guard = Guard()
    wire = GuardedTransport(Wire(), guard)
    paced = PacedTransport(wire, endpoints.counted, share, retry.most)
    async with _Client(
        transport=RetryingTransport(paced, retry),
        timeout=httpx.Timeout(60, connect=10, read=retry.answer, pool=None),
        headers={"User-Agent": "package-dmz"},
    ) as client:
        tokens: Tokens = AmbientTokens()
        if impersonate:
            tokens = ImpersonatedTokens(impersonate, tokens, endpoints.iam_credentials, client)
            await tokens.token()  # a refusal comes here, once, and not from many requests at the same time
        yield Google(
            endpoints,
            client,
            tokens,
            TokenAuth(tokens, basic=False),
            TokenAuth(tokens, basic=True),
            retry,
            guard,
        )


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """None are kept: to look for them is a good part of what an answer costs."""


class _Client(httpx.AsyncClient):
    @property
    def cookies(self) -> httpx.Cookies:
        return _NoCookies()

    @cookies.setter
    def cookies(self, cookies: Any) -> None:
        raise ValueError("no cookies are sent")
