"""What the journal in inner's release bucket says of the runs that changed the inner side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from dmz.errors import InputError
from dmz.promotion import journal, runs
from dmz.promotion.journal import Action, Entry, parse, parse_name
from dmz.promotion.runs import Run
from dmz.promotion.wording import printable
from dmz.registries.bucket import Bucket
from dmz.registries.claiming import running
from dmz.registries.concurrency import together
from dmz.registries.google import connect
from dmz.workflow.claims import Say
from dmz.workflow.estate import Estate

_SHORTEST = 4
"""Characters by which a run may be named, at least."""
_TELLING = (Action.BEGAN, Action.COPIED, Action.ENDED, Action.FAILED)
"""What tells of a whole run; of those that come more than once, the last does."""


async def history(estate: Estate, say: Say, newest: int) -> list[Run]:
    """The newest runs, the newest first.

    Raises:
        InputError: the inner stack is not up.
        TransferError: the bucket can't be read.
    """
    outputs = estate.inner_outputs()
    async with connect(outputs["location"]) as google:
        bucket = Bucket(google, outputs["releaseBucket"])
        say("reading the journal")
        names = (await _names(bucket))[:newest]
        alive = {claim.holder.run for claim in await running(bucket)}
        return await together(_summary(bucket, name, alive) for name in names)


async def told(estate: Estate, which: str, say: Say) -> tuple[Run, list[Entry]]:
    """One run with its entries, in their order.

    Args:
        which: the beginning or the end of its name.

    Raises:
        InputError: there is no such run, or more than one.
        TransferError: the bucket can't be read.
    """
    outputs = estate.inner_outputs()
    async with connect(outputs["location"]) as google:
        bucket = Bucket(google, outputs["releaseBucket"])
        say("reading the journal")
        name = _named(await _names(bucket), which)
        alive = {claim.holder.run for claim in await running(bucket)}
        listed = [item.name for item in await bucket.list(f"{journal.FOLDER}{name}/")]
        found = await _entries(bucket, [each for each in listed if parse_name(each)])
        return runs.run(name, found, alive=name.rpartition("-")[2] in alive), found


def _named(names: Sequence[str], which: str) -> str:
    found = [
        name for name in names if len(which) >= _SHORTEST and (name.startswith(which) or name.endswith(which))
    ]
    if len(found) == 1:
        return found[0]
    shown = printable(which, 80)
    if found:
        raise InputError(
            f"{len(found)} runs are called {shown}, {found[0]} and {found[1]} among them; say more"
        )
    raise InputError(f"the journal has no run {shown}; `dmz journal` lists them")


async def _names(bucket: Bucket) -> list[str]:
    """The names of all runs, the newest first; costs a request for each thousand."""
    found = [each.removeprefix(journal.FOLDER).rstrip("/") for each in await bucket.folders(journal.FOLDER)]
    return sorted((each for each in found if journal.is_run(each)), reverse=True)


async def _summary(bucket: Bucket, name: str, alive: set[str]) -> Run:
    last: dict[Action, str] = {}
    for item in await bucket.list(f"{journal.FOLDER}{name}/"):
        parsed = parse_name(item.name)
        # What a run means to do is told by the first of its objects, all else by the last.
        if parsed and parsed[2] in _TELLING and not (parsed[2] is Action.BEGAN and parsed[2] in last):
            last[parsed[2]] = item.name
    found = await _entries(bucket, list(last.values()))
    return runs.run(name, found, alive=name.rpartition("-")[2] in alive)


async def _entries(bucket: Bucket, names: Sequence[str]) -> list[Entry]:
    found: list[Entry] = []
    for name, body in zip(names, await together(bucket.read(name) for name in names), strict=True):
        with suppress(
            InputError
        ):  # what can't be read tells nothing; its name is in the bucket for all to see
            found.append(parse(body or b"", name))
    return sorted(found, key=lambda entry: entry.number)
