"""Which records are about the same: one finding for one vulnerability, and never one for two.

`aliases` is symmetric and transitive, `upstream` is neither: a distribution's record *passes on* the
vulnerabilities that it lists there (https://ossf.github.io/osv-schema/#aliases-field). For one package, the
record about one vulnerability and the distribution's about the same one are one finding. A record about
several (a security notice, or one whose aliases are several CVEs) is none of them: whoever accepts one of the
vulnerabilities has not accepted the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from dmz.promotion.finding import Severity

_CVE: Final = "CVE-"


class Named(Protocol):
    """What a record calls itself."""

    @property
    def id(self) -> str:
        """Its own name."""
        ...

    @property
    def aliases(self) -> Sequence[str]:
        """Other names of the same vulnerability."""
        ...

    @property
    def upstream(self) -> Sequence[str]:
        """Vulnerabilities that it passes on."""
        ...

    @property
    def group(self) -> str:
        """What its aliases lead to, directly or by way of other records."""
        ...


T = TypeVar("T", bound=Named)


class Groups:
    """Names that mean the same, directly or by way of others (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        """Whether anything else means the same."""
        return name in self._parent

    def __getitem__(self, name: str) -> str:
        root = name
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while (parent := self._parent.get(name, root)) != root:
            self._parent[name], name = root, parent
        return root

    def join(self, name: str, others: Iterable[str]) -> None:
        """All of these mean the same."""
        root = self._parent[name] = self[name]
        for other in others:
            self._parent[self[other]] = root


def subjects(record: Named) -> frozenset[str]:
    """The CVEs that a record is about, by its own name, its aliases or what it passes on."""
    called = (record.id, *record.aliases, *record.upstream)
    return frozenset([name for name in called if name.startswith(_CVE)])


def names(record: Named) -> tuple[str, ...]:
    """What a record's finding may be called; of a record about several CVEs, none of them."""
    about = subjects(record)
    if len(about) == 1:
        return (record.id, *record.aliases, *about)
    return (record.id, *(name for name in record.aliases if name not in about))


def together(records: Iterable[T], rating: Callable[[T], Severity | None]) -> list[list[T]]:
    """The records about one package, those about the same vulnerability together.

    A record about several vulnerabilities comes alone, and not at all if each of them has a record of its own
    here and none of what it says is worse.
    """
    several: dict[str, list[T]] = defaultdict(list)
    unnamed: list[T] = []
    about: dict[str, list[T]] = defaultdict(list)
    led: dict[str, set[str]] = defaultdict(set)
    for record in records:
        match sorted(subjects(record)):
            case []:
                unnamed.append(record)
            case [cve]:
                about[cve].append(record)
                led[record.group].add(cve)
            case _:
                several[record.id].append(record)
    others: dict[str, list[T]] = defaultdict(list)
    for record in unnamed:
        # By way of its aliases it is about one CVE, or nobody says about which.
        match sorted(led[record.group]):
            case [cve]:
                about[cve].append(record)
            case _:
                others[record.group].append(record)
    alone = [each for each in several.values() if not all(_told(one, about, rating) for one in each)]
    return [*about.values(), *others.values(), *alone]


def _told(record: T, about: Mapping[str, list[T]], rating: Callable[[T], Severity | None]) -> bool:
    found = subjects(record)
    if not found <= about.keys():
        return False
    said = rating(record)
    worst = max(
        (known for cve in found for each in about[cve] if (known := rating(each)) is not None), default=None
    )
    return said is None or (worst is not None and said <= worst)
