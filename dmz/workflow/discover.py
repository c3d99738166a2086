"""Discovery: what the workload really needs, as the outer machine found out."""

from __future__ import annotations

from datetime import UTC, datetime

from dmz.errors import DmzError
from dmz.promotion import inventory as inventories
from dmz.promotion.inventory import Failure, Inventory
from dmz.promotion.workload import workload_digest
from dmz.registries.bucket import Bucket
from dmz.registries.google import connect
from dmz.workflow.claims import PATIENCE, Say, newest
from dmz.workflow.estate import Estate


async def discover(
    estate: Estate, say: Say, *, within: float = PATIENCE, since: datetime | None = None
) -> Inventory:
    """The newest inventory of the workload as it is in the checkout; waits for the outer machine.

    Args:
        within: seconds after which waiting ends.
        since: a failure from before this moment is passed over, as the machine tries again by itself; None
            for the moment of the call.

    Raises:
        DmzError: the machine could not install the workload, or published nothing in time.
    """
    outputs = estate.outer_outputs()
    workload, digest = estate.workload, workload_digest(estate.workload)
    if outputs["workloadDigest"] != digest:
        raise DmzError(
            f"the outer machine installs another version of the workload {workload.name} than the checkout "
            f"has; run: pulumi up -s {estate.outer_name}"
        )
    earliest = (since or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    async with connect(outputs["location"]) as google:
        found = await newest(
            Bucket(google, outputs["inventoryBucket"]),
            f"inventories/{workload.name}/{digest}/",
            inventories.parse,
            lambda each: (
                each.workload == workload.name
                and each.workload_digest == digest
                and (isinstance(each, Inventory) or each.created >= earliest)
            ),
            say,
            within=within,
        )
    if isinstance(found, Failure):
        raise DmzError(f"the outer machine could not install {workload.name}: {found.error}")
    if found.base_image.runtime != estate.base_image.runtime:
        raise DmzError(
            f"the inventory is of the base image {found.base_image.runtime}, the inner stack runs "
            f"{estate.base_image.runtime}; make dmz:runtime the same in both stacks"
        )
    return found


def counts_of(inventory: Inventory) -> dict[str, int]:
    """How many debs, distributions and files an inventory has."""
    return {"apt": len(inventory.apt), "pypi": len(inventory.pypi), "files": len(inventory.files)}


def counted(inventory: Inventory) -> str:
    """The same in words."""
    found = counts_of(inventory)
    return f"{found['apt']} debs, {found['pypi']} Python distributions, {found['files']} files"
