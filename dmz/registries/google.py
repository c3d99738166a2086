"""How this project speaks to Google: where, and with what patience.

Endpoints come from the environment, under the names that Google's Terraform and Pulumi providers read
(`GOOGLE_<SERVICE>_CUSTOM_ENDPOINT`); the default is the public service.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from dmz.errors import TransferError
from dmz.registries.credentials import AmbientTokens, ImpersonatedTokens, TokenAuth, Tokens
from dmz.registries.failures import OperationError, failure, unreachable
from dmz.registries.multipart import Frame
from dmz.registries.retry import REPEATABLE, WHOLE, Retry, RetryingTransport

_LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=16)
# A remote repository answers only once its upstream has: reading waits long, connecting does not.
_TIMEOUT = httpx.Timeout(60, connect=10, read=300, pool=None)


@dataclass(frozen=True)
class Endpoints:
    """Base addresses of the services used here; each ends in a slash."""

    artifact_registry: str
    storage: str
    iam_credentials: str
    python: str
    """Data plane of Python repositories."""
    apt: str
    """Data plane of apt repositories."""
    kms: str
    container_analysis: str

    @classmethod
    def from_environment(cls, location: str) -> Endpoints:
        """The endpoints for repositories in `location` (`us-central1`)."""

        def named(variable: str, default: str) -> str:
            return os.environ.get(variable, default).replace("{location}", location).rstrip("/") + "/"

        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        return cls(
            named("GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT", "https://artifactregistry.googleapis.com/v1/"),
            named(
                "GOOGLE_STORAGE_CUSTOM_ENDPOINT",
                f"{(emulator or 'https://storage.googleapis.com').rstrip('/')}/storage/v1/",
            ),
            named("GOOGLE_IAM_CREDENTIALS_CUSTOM_ENDPOINT", "https://iamcredentials.googleapis.com/v1/"),
            named("DMZ_PYTHON_REPOSITORY_ENDPOINT", "https://{location}-python.pkg.dev/"),
            named("DMZ_APT_REPOSITORY_ENDPOINT", "https://{location}-apt.pkg.dev/"),
            named("GOOGLE_KMS_CUSTOM_ENDPOINT", "https://cloudkms.googleapis.com/v1/"),
            named(
                "GOOGLE_CONTAINER_ANALYSIS_CUSTOM_ENDPOINT", "https://containeranalysis.googleapis.com/v1/"
            ),
        )


def upload_base(endpoint: str) -> str:
    """The media upload address that belongs to an API's base address: the same path below `/upload`."""
    url = httpx.URL(endpoint)
    return str(url.copy_with(path="/upload" + url.path))


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

    async def call(
        self,
        method: str,
        url: str,
        *,
        missing: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        json: dict[str, Any] | None = None,
        repeatable: bool = False,
    ) -> dict[str, Any]:
        """Call a JSON method and return its answer.

        Args:
            missing: returned for 404 if given.
            repeatable: a POST that may be sent twice.

        Raises:
            TransferError: the service refused or kept failing.
        """
        response = await self.send(method, url, params=params, json=json, repeatable=repeatable)
        if response.status_code == 404 and missing is not None:
            return missing
        if response.is_error:
            raise failure(f"{method} {response.url.path}", response)
        return dict(response.json()) if response.content else {}

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
                auth=self.basic if basic else self.bearer,
                extensions=WHOLE | (REPEATABLE if repeatable else {}),
            )
        except httpx.TransportError as error:
            raise unreachable(url, error) from error

    @asynccontextmanager
    async def download(
        self, url: str, what: str, *, basic: bool = False
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a file; `what` names it in errors.

        Raises:
            TransferError: refused, or the connection broke before the announced end.
        """
        try:
            async with self.client.stream(
                "GET",
                url,
                auth=self.basic if basic else self.bearer,
                # What is hashed are the file's bytes, so no coding on the way.
                headers={"Accept-Encoding": "identity"},
                follow_redirects=True,
            ) as response:
                if response.is_error:
                    await response.aread()
                    raise failure(what, response)
                yield _chunks(response, what)
        except httpx.TransportError as error:
            raise unreachable(url, error) from error

    async def upload(
        self,
        url: str,
        frame: Frame,
        chunks: AsyncIterator[bytes],
        size: int,
        what: str,
        *,
        params: dict[str, str] | None = None,
        basic: bool = False,
    ) -> httpx.Response:
        """POST a file of exactly `size` bytes within its frame as it arrives; `what` names it in errors.

        When `chunks` raises, the connection is cut before the announced length: the server has half a
        request and commits nothing. What `chunks` raised comes out of this call.
        """
        try:
            return await self.client.post(
                url,
                params=params,
                content=frame.around(chunks, size, what),
                headers={"Content-Type": frame.content_type, "Content-Length": str(frame.length(size))},
                auth=self.basic if basic else self.bearer,
            )
        except httpx.TransportError as error:
            raise unreachable(url, error) from error

    async def operation(self, operation: dict[str, Any], what: str, *, within: float = 900) -> dict[str, Any]:
        """Wait for a long-running operation of Artifact Registry and return its response.

        Args:
            operation: as the method answered it.
            what: names the work in messages.
            within: seconds after which waiting ends.

        Raises:
            OperationError: it ended with an error.
            TransferError: it did not end in time.
        """
        started = time.monotonic()
        pause = 0.05
        while not operation.get("done"):
            if time.monotonic() - started > within:
                raise TransferError(f"{what}: not done after {within:.0f} seconds; run again to go on")
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 1.6)
            operation = await self.call("GET", self.endpoints.artifact_registry + operation["name"])
        if error := operation.get("error"):
            raise OperationError(f"{what}: {error.get('message', 'failed')}", int(error.get("code", 2)))
        return dict(operation.get("response", {}))


async def _chunks(response: httpx.Response, what: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_raw(1 << 18):
            yield chunk
    except httpx.TransportError as error:
        raise TransferError(f"{what}: the connection broke before the last byte; run again") from error


@asynccontextmanager
async def connect(
    location: str, *, impersonate: str | None = None, retry: Retry | None = None
) -> AsyncIterator[Google]:
    """A connection as the ambient identity, or as the service account `impersonate`.

    Made where it is used and closed after: nothing of it can be pickled or shared between event loops.
    """
    endpoints = Endpoints.from_environment(location)
    transport = httpx.AsyncHTTPTransport(limits=_LIMITS)
    async with httpx.AsyncClient(
        transport=RetryingTransport(transport, retry or Retry()),
        timeout=_TIMEOUT,
        headers={"User-Agent": "package-dmz"},
    ) as client:
        tokens: Tokens = AmbientTokens()
        if impersonate:
            tokens = ImpersonatedTokens(impersonate, tokens, endpoints.iam_credentials, client)
            await tokens.token()  # a refusal comes here, once, and not from many requests at the same time
        yield Google(endpoints, client, tokens, TokenAuth(tokens, basic=False), TokenAuth(tokens, basic=True))
