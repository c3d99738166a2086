"""What the inner repositories really hold, as lines: a refresh returns it, so that a preview shows drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

from dmz.artifact import Artifact, Kind
from dmz.promotion import lines
from dmz.promotion.place import Slot, slot
from dmz.registries.interface import Stored

UNKNOWN: Final = "unknown"
"""The origin of what no release has."""
WHY: Final = "not in any release"

_SAFE: Final = "+~!%@=,"


def present(stored: Iterable[Stored], old: Mapping[str, str]) -> dict[str, str]:
    """The content of the repositories as PackageSync's `packages`.

    Where the bytes are those of an old line, that line stands: a repository knows neither origin nor reason.

    Args:
        stored: everything that the inner repositories hold, from their own record.
        old: the lines in the state.

    Raises:
        InputError: an old line is unreadable.
    """
    known: dict[tuple[Slot, str], Artifact] = {
        (slot(artifact), artifact.sha256): artifact for artifact in lines.parse(old)
    }
    return lines.render({known.get((slot(each), each.sha256)) or _stranger(each) for each in stored})


def approved(old: Mapping[str, str], lingering: Iterable[str]) -> set[str]:
    """The SHA-256 of what releases approved for a stack, as its state tells.

    Args:
        old: the lines in the state, drift among them.
        lingering: what the last sync called so, each ending in `sha256:DIGEST`.

    Raises:
        InputError: an old line is unreadable.
    """
    found = {artifact.sha256 for artifact in lines.parse(old) if artifact.origin != UNKNOWN}
    return found | {digest for each in lingering if (digest := each.rpartition("sha256:")[2])}


def _stranger(stored: Stored) -> Artifact:
    # Whoever put it there chose its names: what would break a line is shown percent-encoded.
    return Artifact(
        kind=stored.kind,
        name=_shown(stored.name),
        architecture=_shown(stored.architecture) if stored.kind is Kind.APT else "",
        version=_shown(stored.version, ":"),
        filename=_shown(stored.filename),
        sha256=stored.sha256,
        size=stored.size,
        origin=UNKNOWN,
        why=(WHY,),
    )


def _shown(text: str, also: str = "") -> str:
    return quote(text, safe=_SAFE + also) or "-"
