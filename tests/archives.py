"""An archive in the sandbox's cloud, with the access that the outer stack declares."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import pytest

from dmz.registries.google import Google, connect
from sandbox.cloud import policies
from sandbox.cloud.context import OPERATOR
from tests.registries.conftest import FAST
from tests.sandbox.cloud.conftest import Box

T = TypeVar("T")

BUCKET: Final = "outer-archive"
SYNC: Final = "dmz-sync@outer.iam.gserviceaccount.com"
ARCHIVIST: Final = "dmz-archivist@outer.iam.gserviceaccount.com"
ROLES: Final = (
    ("roles/storage.objectCreator", SYNC),
    ("roles/storage.objectViewer", SYNC),
    ("roles/storage.objectUser", ARCHIVIST),
)
"""As `tests/program/test_outer.py` sees them declared."""


class Archived:
    """The archive as the tests see it, past every permission."""

    def __init__(self, box: Box) -> None:
        self.box = box
        for account in (SYNC, ARCHIVIST):
            box.account(account.partition("@")[0], "outer")
            self._grant(
                f"iam/projects/outer/serviceAccounts/{account}",
                [("roles/iam.serviceAccountTokenCreator", OPERATOR)],
            )
        self.bucket(BUCKET, [(role, f"serviceAccount:{account}") for role, account in ROLES])

    def bucket(self, name: str, access: list[tuple[str, str]]) -> None:
        """Declare a bucket."""
        self.box.call("POST", "storage", "storage/v1/b", {"name": name}, project="outer")
        self._grant(f"storage/b/{name}", [*access, ("roles/storage.objectAdmin", OPERATOR)])

    def environment(self) -> dict[str, str]:
        """What leads this project's clients here, as the operator."""
        endpoints = self.box.cloud.endpoints
        return {
            "GOOGLE_STORAGE_CUSTOM_ENDPOINT": f"{endpoints['storage']}/storage/v1/",
            "GOOGLE_IAM_CREDENTIALS_CUSTOM_ENDPOINT": f"{endpoints['iamcredentials']}/v1/",
            "DMZ_OAUTH2_ENDPOINT": f"{endpoints['oauth2']}/",
            "GOOGLE_OAUTH_ACCESS_TOKEN": self.box.token,
        }

    def names(self, prefix: str = "") -> list[str]:
        """The objects that there are."""
        page = self.box.call("GET", "storage", f"storage/v1/b/{BUCKET}/o", prefix=prefix, maxResults="1000")
        return [item["name"] for item in page.get("items", [])]

    def read(self, name: str) -> bytes:
        """An object's bytes."""
        path = f"storage/v1/b/{BUCKET}/o/{quote(name, safe='')}"
        return self.box.send("GET", "storage", path, alt="media").content

    def write(self, name: str, body: bytes, bucket: str = BUCKET) -> None:
        """Put an object there, whatever is there."""
        self.box.write(bucket, name, body)

    def _grant(self, name: str, access: list[tuple[str, str]]) -> None:
        bindings = [{"role": role, "members": [member]} for role, member in access]

        async def put() -> None:
            policies.put(self.box.cloud.store, name, {"bindings": bindings})

        self.box.do(put())


@contextmanager
def archive(root: Path) -> Iterator[Archived]:
    """An archive that nothing is in yet, and this process led there."""
    box = Box(root / "sandbox")
    try:
        with pytest.MonkeyPatch.context() as patch:
            made = Archived(box)
            for name, value in made.environment().items():
                patch.setenv(name, value)
            yield made
    finally:
        box.close()


def acting_as(account: str, work: Callable[[Google], Awaitable[T]]) -> T:
    """Do something with a connection of one account."""

    async def connected() -> T:
        async with connect("us-central1", impersonate=account, retry=FAST) as google:
            return await work(google)

    return asyncio.run(connected())
