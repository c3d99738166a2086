"""The journal: every change of what inner holds stands in it, said before it was done."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

from dmz.promotion.journal import FINAL, Action, Entry, parse, parse_name
from tests.faults.proxy import Exchange
from tests.faults.world import Inner

_WRITTEN = re.compile(r"[?&]name=([^&]+)")
_REMOVING = frozenset({Action.CLEARING, Action.WITHDRAWING})
_ADMITTING = frozenset({Action.ADMITTING})
_MEANT = frozenset({Action.BEGAN})


def nothing_is_missing(inner: Inner) -> None:
    """Each run's entries are all there, each run has an end or is known to have none, and each change of this
    test is named by an entry that was kept before the change was asked for."""
    entries = _kept(inner)
    _whole_runs(entries.values())
    told: list[Entry] = []
    copied: set[str] = set()
    for exchange in inner.world.proxy.exchanges:
        if not exchange.done:
            continue
        if exchange.step.name == "write journal":
            (name,) = _WRITTEN.findall(exchange.path)
            assert unquote(name) in entries, f"{unquote(name)} was written, and is lost"
            told.append(entries[unquote(name)])
        for actions, what in _changes(exchange):
            assert any(what in item for each in told if each.action in actions for item in each.items), (
                f"{exchange.method} {exchange.path}: {what} was changed, and nothing of {actions} tells of it"
            )
            if actions is _MEANT:
                copied.add(what)
    known = [
        item
        for entry in entries.values()
        if entry.action in {Action.COPIED, Action.TOOK_OVER}
        for item in entry.items
    ]
    for what in copied:
        assert any(what in item for item in known), f"{what} was copied, and no run says so"


def _changes(exchange: Exchange) -> Iterator[tuple[frozenset[Action], str]]:
    """What a request changes of what can be read: the kinds of entries that tell of it, and how."""
    match exchange.step.name:
        case "upload wheel":
            yield _MEANT, f" {exchange.subject} sha256:"
        case "upload file":
            yield _MEANT, f"sha256:{exchange.subject.split('/')[1]}"
        case "import debs":
            for uri in json.loads(exchange.head)["gcsSource"]["uris"]:
                yield _ADMITTING, f"sha256:{uri.split('/')[3]}"
        case "withdraw version":
            for name in json.loads(exchange.head)["names"]:
                package, _, version = name.partition("/packages/")[2].partition("/versions/")
                yield _REMOVING, f"/{unquote(package)} {unquote(version)} "
        case "withdraw file":
            yield _REMOVING, f"sha256:{unquote(exchange.path).split('/files/')[1].split('/')[0]}"


def _kept(inner: Inner) -> dict[str, Entry]:
    """Every entry that is in the bucket, by the object's name, in their order."""
    box, base = inner.world.box, f"storage/v1/b/{inner.bucket}/o"
    found: dict[str, Entry] = {}
    for item in box.call("GET", "storage", base, prefix="journal/").get("items", []):
        body = box.send("GET", "storage", f"{base}/{quote(item['name'], safe='')}", alt="media").content
        found[item["name"]] = parse(body, item["name"])
        named = parse_name(item["name"])
        entry = found[item["name"]]
        assert named == (entry.run, entry.number, entry.action)
    return found


def _whole_runs(entries: Iterable[Entry]) -> None:
    runs: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        runs[entry.run].append(entry)
    taken_over = {
        entry.details["run"] for run in runs.values() for entry in run if entry.action is Action.TOOK_OVER
    }
    for name, run in runs.items():
        assert [entry.number for entry in run] == list(range(1, len(run) + 1)), f"{name} has gaps"
        assert run[0].action is Action.BEGAN
        ends = [entry for entry in run if entry.action in FINAL]
        assert ends == run[-1:] or (not ends and name in taken_over), f"{name} has no end, and nobody saw it"
