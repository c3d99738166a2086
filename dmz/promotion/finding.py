"""The finding: one known problem of one version, whoever knows of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum

from msgspec import Struct
from msgspec.structs import replace

from dmz.errors import InputError
from dmz.promotion.wording import printable


class Severity(IntEnum):
    """How bad; the ranks of CVSS v3.1 and v4.0, section "Qualitative Severity Rating Scale"."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> Severity:
        """A severity from its name, as it stands in configuration.

        Raises:
            InputError: there is no such severity.
        """
        try:
            return cls[word.upper()]
        except KeyError:
            known = ", ".join(str(each) for each in cls)
            raise InputError(f"'{printable(word, 40)}' is no severity; use one of {known}") from None


class Nature(StrEnum):
    """What sort of problem."""

    VULNERABILITY = "vulnerability"
    MALWARE = "malware"
    """Not a weakness but an attack."""
    UNSUPPORTED = "unsupported"
    """Nobody mends it any more."""
    DENIED = "denied"
    """Somebody here wrote it on a list."""


class Finding(Struct, frozen=True, array_like=True, gc=False):
    """One known problem of one version; records that are aliases of each other are one finding."""

    id: str
    aliases: tuple[str, ...]
    """The other names that it goes by."""
    summary: str
    severity: Severity | None
    """None: nobody says."""
    fixed: tuple[str, ...]
    """Versions that mend it, one for each line of development, in the ecosystem's order."""
    nature: Nature = Nature.VULNERABILITY
    source: str = "osv"
    """Which source knows of it, by its name in the policy."""

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that it is called, by which a waiver may name it."""
        return (self.id, *self.aliases)

    @property
    def label(self) -> str:
        """The name that people know first, with the record's id: `CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7)`."""
        if not self.id.startswith("CVE-"):
            for name in self.aliases:
                if name.startswith("CVE-"):
                    return f"{name} ({self.id})"
        return self.id


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each problem, whichever sources know of it: those of one nature that share a name.

    It takes the worst severity, and every name and fixed version that any of them gives.
    """
    every = list(findings)
    if len(every) > 1:
        names = {name for finding in every for name in finding.aliases}
        names.update([finding.id for finding in every])
        if len(names) < len(every) + sum([len(finding.aliases) for finding in every]):
            every = _joined(every)
        every.sort(key=lambda each: (each.label, each.nature, each.names))
    return tuple(every)


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    found: dict[int, Finding] = {}
    # By name, as a kernel has thousands: comparing each with each would take as long as all the rest.
    places: dict[Nature, dict[str, int]] = {}
    for number, finding in enumerate(findings):
        place = places.setdefault(finding.nature, {})
        for same in sorted({place[name] for name in finding.names if name in place}):
            finding = _both(found.pop(same), finding)
        found[number] = finding
        for name in finding.names:
            place[name] = number
    return list(found.values())


def _both(one: Finding, other: Finding) -> Finding:
    rated = [each for each in (one.severity, other.severity) if each is not None]
    return replace(
        one,
        aliases=tuple(sorted({*one.names, *other.names} - {one.id})),
        summary=one.summary or other.summary,
        severity=max(rated, default=None),
        fixed=one.fixed + tuple(each for each in other.fixed if each not in one.fixed),
        source=one.source if one.source == other.source else f"{one.source}, {other.source}",
    )
