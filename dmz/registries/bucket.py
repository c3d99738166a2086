"""Cloud Storage: the small objects of one bucket, each read and written whole.

See https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import builtins
import contextlib
import email.utils
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import httpx

from dmz.errors import TransferError
from dmz.registries.endpoints import upload_base
from dmz.registries.failures import failure
from dmz.registries.google import Google
from dmz.registries.sums import SUMS, Sums, sums

_ABSENT: Final = "0"
"""`ifGenerationMatch` for an object that must not exist yet."""
_LOOKS: Final = 8
"""How often an object may be replaced while it is looked at."""


@dataclass(frozen=True)
class Object:
    """One object's metadata."""

    name: str
    size: int
    """Bytes."""
    created: str
    """RFC 3339, by the service's clock: who writes has no say in it."""
    updated: str
    """RFC 3339."""
    generation: str
    sums: Sums | None = None


@dataclass(frozen=True)
class Found:
    """An object with its bytes, and what the service's clock said when it was looked at."""

    data: bytes
    generation: str
    updated: datetime
    """When it got these bytes."""
    now: datetime
    """To the second below."""


@dataclass(frozen=True)
class Bucket:
    """The objects of one bucket: inventories, releases, reports."""

    google: Google
    name: str

    @property
    def _objects(self) -> str:
        return f"{self.google.endpoints.storage}b/{self.name}/o"

    @property
    def uploads(self) -> str:
        """Where new objects are posted to."""
        return f"{upload_base(self.google.endpoints.storage)}b/{self.name}/o"

    def url(self, name: str) -> str:
        """The address of an object's metadata."""
        return f"{self._objects}/{quote(name, safe='')}"

    async def list(self, prefix: str = "") -> list[Object]:
        """The objects whose names begin with `prefix`, by name.

        Raises:
            TransferError: no such bucket, or the service kept failing.
        """
        found: list[Object] = []
        fields = f"items(name,timeCreated,updated,generation,{SUMS}),nextPageToken"
        params = {"prefix": prefix, "fields": fields}
        async for page in self.google.pages(self._objects, params):
            with readable(self._objects):
                found += (
                    Object(
                        item["name"],
                        int(item["size"]),
                        item["timeCreated"],
                        item["updated"],
                        item["generation"],
                        sums(item),
                    )
                    for item in page.get("items", [])
                )
        return found

    async def read(self, name: str) -> bytes | None:
        """A small object whole; None if there is none."""
        response = await self.google.send("GET", self.url(name), params={"alt": "media"})
        if response.status_code == 404:
            return None
        if response.is_error:
            raise failure(f"{self.name}/{name}", response)
        return response.content

    async def write(self, name: str, data: bytes, *, if_generation_match: int | None = None) -> bool:
        """Write a small object whole.

        Args:
            if_generation_match: 0 to create only; None to write whatever is there.

        Returns:
            False when the condition does not hold; nothing was written then.
        """
        params = {} if if_generation_match is None else {"ifGenerationMatch": str(if_generation_match)}
        response = await self._insert(name, data, params, repeatable=if_generation_match is None)
        if response.status_code == 412:
            return False
        if response.is_error:
            raise failure(f"{self.name}/{name}", response)
        return True

    async def _insert(
        self, name: str, data: bytes, params: dict[str, str], *, repeatable: bool
    ) -> httpx.Response:
        return await self.google.send(
            "POST",
            self.uploads,
            params={"uploadType": "media", "name": name, **params},
            content=data,
            headers={"Content-Type": "application/octet-stream"},
            repeatable=repeatable,
        )

    async def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error.

        Raises:
            TransferError: the service refused or kept failing.
        """
        await self._gone(name, None, {404})

    # Objects that several write: only on the condition that nobody else did meanwhile.
    # See https://cloud.google.com/storage/docs/request-preconditions

    async def create(self, name: str, data: bytes) -> str | None:
        """Write an object that must not be there yet.

        Args:
            data: bytes that nobody else writes: by them an object is known as this call's own when the
                answer to an earlier try was lost.

        Returns:
            Its generation; None if somebody else's object is there.

        Raises:
            TransferError: the service refused or kept failing; whether the object is there is not known.
        """
        return await self._conditional(name, data, _ABSENT)

    async def replace(self, name: str, data: bytes, generation: str) -> str | None:
        """Write over just this generation of an object; arguments, result and errors as with `create`."""
        return await self._conditional(name, data, generation)

    async def _conditional(self, name: str, data: bytes, generation: str) -> str | None:
        failed: TransferError | None
        try:
            response = await self._insert(name, data, {"ifGenerationMatch": generation}, repeatable=True)
            if response.is_success:
                with readable(self._objects):
                    return str(response.json()["generation"])
            failed = None if response.status_code == 412 else failure(f"{self.name}/{name}", response)
        except TransferError as error:
            failed = error
        try:
            # It may be this call's own object that is in the way, or all the answers were lost.
            found = await self.look(name)
        except TransferError as error:
            raise failed or error from None
        if found is not None and found.data == data:
            return found.generation
        if failed is not None:
            raise failed
        return None

    async def remove(self, name: str, generation: str) -> bool:
        """Delete just this generation of an object.

        Returns:
            Whether there is no object now; False if there is another generation, which stays.

        Raises:
            TransferError: the service refused or kept failing.
        """
        return await self._gone(name, {"ifGenerationMatch": generation}, {404, 412}) != 412

    async def _gone(self, name: str, params: dict[str, str] | None, fine: Set[int]) -> int:
        """Delete an object; the status of the answer, an error only if it is among those that are fine."""
        response = await self.google.send("DELETE", self.url(name), params=params)
        if response.is_error and response.status_code not in fine:
            raise failure(f"{self.name}/{name}", response)
        if not response.is_error and response.content:
            # Cloud Storage says nothing; somebody on the way, who asks to log in, does so with 200.
            raise TransferError(
                f"{self.name}/{name}: the answer to its deletion is not Cloud Storage's; check the endpoint "
                "variables and the way there, then run again"
            )
        return response.status_code

    async def look(self, name: str) -> Found | None:
        """A small object with its generation and times; None if there is none.

        Raises:
            TransferError: the service refused or kept failing.
        """
        for _ in range(_LOOKS):
            response = await self.google.send("GET", self.url(name), params={"fields": "generation,updated"})
            if response.status_code == 404:
                return None
            if response.is_error:
                raise failure(f"{self.name}/{name}", response)
            with readable(self._objects):
                seen, now = response.json(), _clock(response)
                generation = str(seen["generation"])
                updated = datetime.fromisoformat(seen["updated"]).astimezone(UTC)
            body = await self.google.send(
                "GET", self.url(name), params={"alt": "media", "generation": generation}
            )
            if body.is_success:
                return Found(body.content, generation, updated, now)
            if body.status_code != 404:
                raise failure(f"{self.name}/{name}", body)
            # It was replaced or deleted in between.
        raise TransferError(f"{self.name}/{name}: it changes faster than it can be read; run again")

    async def now(self) -> datetime:
        """What the service's clock says, to the second below.

        Raises:
            TransferError: no such bucket, or the service kept failing.
        """
        response = await self.google.send(
            "GET", self._objects, params={"maxResults": "1", "fields": "nextPageToken"}
        )
        if response.is_error:
            raise failure(self.name, response)
        with readable(self._objects):
            return _clock(response)

    async def folders(self, prefix: str) -> builtins.list[str]:
        """What there is one level below `prefix`, each with its last slash, by name.

        Raises:
            TransferError: no such bucket, or the service kept failing.
        """
        found: builtins.list[str] = []
        params = {"prefix": prefix, "delimiter": "/", "fields": "prefixes,nextPageToken"}
        async for page in self.google.pages(self._objects, params):
            with readable(self._objects):
                found += (str(name) for name in page.get("prefixes", []))
        return found


@contextlib.contextmanager
def readable(url: str) -> Iterator[None]:
    """Turns what can't be made sense of in an answer into a line that says where it came from."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TransferError(
            f"{httpx.URL(url).netloc.decode()}: the answer is not as Cloud Storage's are "
            f"({type(error).__name__}: {error}); look at what answers there, then run again"
        ) from error


def _clock(response: httpx.Response) -> datetime:
    """The time of an answer (RFC 9110, 6.6.1)."""
    return email.utils.parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
