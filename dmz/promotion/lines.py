"""Artifacts as the lines of PackageSync's `packages`: what a preview shows, and all that the sync reads.

One line for each package: `VERSION FILENAME sha256:HEX SIZE from ORIGIN; WHY`, several versions joined by
` | `. A changed package is one changed line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion.wording import printable

_LINE: Final = re.compile(
    r"([^\s|;]+) ([^\s|;]+) sha256:([0-9a-f]{64}) "
    r"(0|[1-9][0-9]{0,17}) from ([^\s|;]+)(?:; ([^|;]+))?"
)
_KEY: Final = re.compile(r"(?:(pypi|files)/([^/:\s]+)|(apt)/([^/:\s]+):([^/:\s]+))")
_REASONS: Final = re.compile(r"[^\s|;,]+(?:,? [^\s|;,]+)*")
"""Each of words, and a comma and a space between two."""


def render(artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Artifacts → `packages`, keys and versions sorted.

    Raises:
        InputError: an artifact has a part that would read as something else.
    """
    found: dict[str, list[str]] = {}
    for artifact in sorted(artifacts):
        line = _line(artifact)
        if _artifact(artifact.key, line) != artifact:
            raise InputError(
                f"{printable(artifact.key)}: {printable(line)} cannot stand in a line; "
                "names must not have spaces, commas, semicolons or bars"
            )
        found.setdefault(artifact.key, []).append(line)
    return {key: " | ".join(lines) for key, lines in sorted(found.items())}


def parse(packages: Mapping[str, str]) -> list[Artifact]:
    """`packages` → artifacts, sorted.

    Raises:
        InputError: a key or line is not in the form above.
    """
    found = []
    for key, value in packages.items():
        for line in value.split(" | "):
            artifact = _artifact(key, line)
            if artifact is None:
                raise InputError(
                    f"{printable(key)}: '{printable(line)}' is no package line; run `dmz screen` again"
                )
            found.append(artifact)
    return sorted(found)


def _line(artifact: Artifact) -> str:
    why = f"; {', '.join(artifact.why)}" if artifact.why else ""
    return (
        f"{artifact.version} {artifact.filename} sha256:{artifact.sha256} {artifact.size} "
        f"from {artifact.origin}{why}"
    )


def _artifact(key: str, line: str) -> Artifact | None:
    place, parts = _KEY.fullmatch(key), _LINE.fullmatch(line)
    if not place or not parts:
        return None
    version, filename, sha256, size, origin, why = parts.groups()
    if why and not _REASONS.fullmatch(why):
        return None
    kind, name, architecture = (place[1], place[2], "") if place[1] else place.group(3, 4, 5)
    reasons = tuple(why.split(", ")) if why else ()
    return Artifact(Kind(kind), name, architecture, version, filename, sha256, int(size), origin, reasons)
