"""What a base image comes with, where no machine is asked: from the checkout, or from who had one before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dmz.errors import InputError
from dmz.promotion import inventory as inventories
from dmz.promotion.base_image import BaseImage
from dmz.promotion.installed import Installed, digest, read_status
from dmz.promotion.inventory import Inventory
from dmz.registries.bucket import Bucket
from dmz.registries.google import Google

_LOOKS: Final = 20
"""Inventories that are looked at, the newest first."""


def status_file(folder: Path, runtime: str) -> Path:
    """Where the checkout may keep a base image's packages: its `/var/lib/dpkg/status`."""
    return folder / "base-images" / f"{runtime}.status"


async def base_packages(
    google: Google, outputs: Mapping[str, Any], folder: Path, image: BaseImage, dpkg_digest: str = ""
) -> tuple[Installed, ...]:
    """The packages of a base image; empty if nobody knows them.

    Args:
        folder: the checkout.
        dpkg_digest: of the image; empty for whichever is known.

    Raises:
        InputError: the checkout's file is none, or of another image than the digest says.
    """
    file = status_file(folder, image.runtime)
    if file.exists():
        found = read_status(file)
        if dpkg_digest and digest(found) != dpkg_digest:
            raise InputError(
                f"{file}: these are not the packages of the image that the machine has (dpkg digest "
                f"{dpkg_digest[:16]}…); copy its /var/lib/dpkg/status, or delete the file"
            )
        return found
    bucket = Bucket(google, outputs["inventoryBucket"])
    objects = sorted(await bucket.list("inventories/"), key=lambda item: (item.updated, item.name))
    for item in objects[: -_LOOKS - 1 : -1]:
        try:
            claim = inventories.parse(await bucket.read(item.name) or b"", item.name)
        except InputError:
            continue  # what cannot be read is said where it is asked for by name
        if (
            isinstance(claim, Inventory)
            and claim.base_packages
            and claim.base_image.runtime == image.runtime
            and dpkg_digest in {"", claim.base_image.dpkg_digest}
        ):
            return claim.base_packages
    return ()
