"""What tells the machines which release to install is not written over what somebody else wrote meanwhile."""

from __future__ import annotations

import pytest

from dmz.errors import TransferError
from dmz.promotion.release import Release
from dmz.registries.bucket import Bucket, Object
from dmz.sync.publication import publish
from tests.promotion.builders import release, wheel
from tests.registries.conftest import as_sync, cloud
from tests.registries.counterpart import Counterpart

__all__ = ["cloud"]

CURRENT = "current/small.json"


class Overtaken(Bucket):
    """A bucket in which somebody else writes as soon as it was listed."""

    async def list(self, prefix: str = "") -> list[Object]:
        found = await super().list(prefix)
        if prefix == "current/":
            await self.write(CURRENT, b"somebody else's")
        return found


@pytest.mark.parametrize("before", [{}, {CURRENT: b"old"}])
@pytest.mark.parametrize("wanted", [{"small": release(wheel())}, {}])
def test_what_somebody_else_wrote_meanwhile_is_neither_replaced_nor_deleted(
    cloud: Counterpart, before: dict[str, bytes], wanted: dict[str, Release]
) -> None:
    box = cloud.buckets["box"] = dict(before)
    attested = dict.fromkeys(wanted, b"attested")
    if before or wanted:
        with pytest.raises(TransferError, match=f"{CURRENT}: somebody else wrote it meanwhile"):
            as_sync(lambda google: publish(Overtaken(google, "box"), wanted, attested))
    else:
        as_sync(lambda google: publish(Overtaken(google, "box"), wanted, attested))
    assert box[CURRENT] == b"somebody else's"
    if wanted:  # nobody else is in the way
        as_sync(lambda google: publish(Bucket(google, "box"), wanted, attested))
        assert box[CURRENT] != b"somebody else's"
