"""Advisories and artifacts to measure with: made up, in the form and the sizes of published ones.

The sizes are those of the PyPA database (2,661 records of October 2024: 1.9 KB each; 32 listed versions in
the middle, 165 at the 95th percentile; a text of 375 letters in the middle; half of them with commits beside
the versions; a few packages with hundreds of records, most with one). For distributions the form is that in
which osv.dev and Canonical publish, a record for each CVE with every release and its versions; one package,
like the kernel, has a seventh of all. Always the same for the same arguments.
"""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MODIFIED: Final = "2026-11-21T10:00:00.123456Z"
DEBIAN: Final = "Debian:12"
_RELEASES: Final = ("Debian:11", "Debian:12", "Debian:13")
_UBUNTU: Final = ("Ubuntu:20.04:LTS", "Ubuntu:22.04:LTS", "Ubuntu:24.04:LTS", "Ubuntu:Pro:18.04:LTS")
_FLAT: Final = 10
_KERNEL: Final = 1 / 7
_URGENCIES: Final = ("not yet assigned", "unimportant", "low", "medium", "high")
_CVSS: Final = (
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "CVSS:3.1/AV:N/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N",
    "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H",
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N",
)
_CVSS4: Final = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N"


@dataclass(frozen=True)
class Item:
    """One artifact that is screened."""

    ecosystem: str
    name: str
    version: str


class Maker:
    """Makes records and artifacts from a seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing is secret here
        letters = "aaabcdeeefghiiiklmnooopqrsttuvwxyz "
        self._prose = "".join(self._random.choices(letters, k=200_000))

    def _text(self, middle: int) -> str:
        length = int(self._random.lognormvariate(0, 0.8) * middle) + 20
        start = self._random.randrange(len(self._prose) - 4000)
        return self._prose[start : start + min(length, 4000)]

    def _package(self, kind: str, count: int) -> str:
        """The rank among its kind follows the Zipf-Mandelbrot law, with a head as flat as PyPI's."""
        spread = (count + _FLAT) / _FLAT
        return f"{kind}-{min(count - 1, int(_FLAT * (spread ** self._random.random() - 1))):05}"

    def versions(self, middle: int) -> list[str]:
        """Versions as a project of some age has them, oldest first."""
        count = max(1, min(1200, int(self._random.lognormvariate(0, 1.1) * middle)))
        return [f"{number // 40}.{number // 8 % 5}.{number % 8}" for number in range(1, count + 1)]

    def python(self, number: int, packages: int) -> Iterator[dict[str, Any]]:
        """A vulnerability of a Python package: of both databases that know them, or of one."""
        cve = f"CVE-{2015 + number % 12}-{10_000 + number}"
        package = self._package("package", packages)
        listed = self.versions(32)
        fixed = f"{len(listed) // 40 + 1}.0.0"
        ranges: list[dict[str, Any]] = [
            {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}
        ]
        if number % 2:
            commits = [{"introduced": "0"}, {"fixed": f"{number:040x}"}]
            ranges.insert(0, {"type": "GIT", "repo": f"https://example.com/{package}", "events": commits})
        pysec, ghsa = f"PYSEC-2026-{number}", f"GHSA-{number:04x}-xxxx-yyyy"
        affected = {
            "package": {"ecosystem": "PyPI", "name": package, "purl": f"pkg:pypi/{package}"},
            "ranges": ranges,
            "versions": listed,
            "database_specific": {"source": f"https://example.com/vulns/{package}/{pysec}.yaml"},
        }
        common = {
            "modified": MODIFIED,
            "published": "2026-01-01T00:00:00Z",
            "schema_version": "1.7.3",
            "references": [
                {"type": "WEB", "url": f"https://example.com/{number}/{each}"} for each in range(5)
            ],
        }
        if number % 4 != 3:
            rated = [{"type": "CVSS_V3", "score": self._random.choice(_CVSS)}]
            if number % 5 == 0:
                rated.append({"type": "CVSS_V4", "score": _CVSS4})
            yield {
                "id": ghsa,
                "aliases": [cve, pysec],
                "summary": self._text(60),
                "details": self._text(600),
                "severity": rated,
                "affected": [affected],
                "database_specific": {"severity": "HIGH", "cwe_ids": ["CWE-79"], "github_reviewed": True},
                **common,
            }
        if number % 4 in (1, 3):
            yield {
                "id": pysec,
                "aliases": [cve, ghsa],
                "details": self._text(375),
                "affected": [affected],
                **common,
            }

    def malware(self, number: int) -> dict[str, Any]:
        """A malicious package: one nobody would want, with all its versions."""
        name = f"malicious-{number}"
        return {
            "id": f"MAL-2026-{number}",
            "modified": MODIFIED,
            "published": "2026-01-01T00:00:00Z",
            "schema_version": "1.7.3",
            "summary": f"Malicious code in {name} (PyPI)",
            "details": self._text(300),
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": name, "purl": f"pkg:pypi/{name}"},
                    "versions": ["0.0.1", "1.0.0"],
                    "database_specific": {"cwes": [{"cweId": "CWE-506", "name": "Embedded Malicious Code"}]},
                }
            ],
            "database_specific": {
                "malicious-packages-origins": [{"sha256": f"{number:064x}", "source": "x"}]
            },
        }

    def debian(self, number: int, packages: int) -> dict[str, Any]:
        """A CVE as osv.dev makes it from Debian's tracker."""
        kernel = self._random.random() < _KERNEL
        package = "source-00000" if kernel else self._package("source", packages)
        affected = []
        for release in _RELEASES:
            listed = [f"{each}-1" for each in self.versions(8)]
            events = [{"introduced": "0"}]
            if self._random.random() < 0.7:
                events.append({"fixed": f"{len(listed) // 40 + 1}.0.0-1+deb{release[-2:]}u1"})
            affected.append(
                {
                    "package": {"ecosystem": release, "name": package, "purl": f"pkg:deb/debian/{package}"},
                    "ranges": [{"type": "ECOSYSTEM", "events": events}],
                    "versions": listed,
                    "ecosystem_specific": {"urgency": self._random.choice(_URGENCIES)},
                }
            )
        cve = f"CVE-{2015 + number % 12}-{500_000 + number}"
        return {
            "id": f"DEBIAN-{cve}",
            "upstream": [cve],
            "modified": MODIFIED,
            "published": "2026-01-01T00:00:00Z",
            "schema_version": "1.7.3",
            "details": self._text(300),
            "affected": affected,
            "references": [{"type": "ADVISORY", "url": f"https://example.com/tracker/{cve}"}],
        }

    def ubuntu(self, number: int, packages: int) -> dict[str, Any]:
        """A CVE as Canonical publishes it."""
        package = self._package("source", packages)
        cve = f"CVE-{2015 + number % 12}-{800_000 + number}"
        return {
            "id": f"UBUNTU-{cve}",
            "upstream": [cve],
            "aliases": [],
            "related": [],
            "modified": MODIFIED,
            "published": "2026-01-01T00:00:00Z",
            "schema_version": "1.7.3",
            "details": self._text(300),
            "severity": [{"type": "Ubuntu", "score": self._random.choice(("low", "medium", "high"))}],
            "affected": [
                {
                    "package": {"ecosystem": release, "name": package, "purl": f"pkg:deb/ubuntu/{package}"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
                    "versions": [f"{each}-0ubuntu1" for each in self.versions(8)],
                    "ecosystem_specific": {
                        "binaries": [{"binary_name": package, "binary_version": "1-0ubuntu1"}]
                    },
                }
                for release in _UBUNTU
            ],
        }

    def items(self, count: int, packages: int) -> list[Item]:
        """Artifacts of a release, Python and Debian half and half, mixed.

        Two in five have any record: among them the packages that have most, the kernel with a seventh of all
        of Debian's, and more of the popular ones than of the others.
        """
        found = []
        each = count // 2
        known = each * 2 // 5
        for number in range(each):
            rank = number + int((packages - known) * (number / known) ** 2)
            which = rank if number < known else packages + number
            major = self._random.randint(0, 9)
            found.append(Item("PyPI", f"package-{which:05}", f"{major}.{number % 5}.1"))
            found.append(Item(DEBIAN, f"source-{which:05}", f"{major}.{number % 5}.1-1"))
        self._random.shuffle(found)
        return found


def write(folder: Path, count: int) -> None:
    """Write `count` records as the archives that are published.

    Two fifths are vulnerabilities of Python packages, one fifth malware, three tenths Debian's, one tenth
    Ubuntu's.
    """
    maker = Maker()
    packages = count // 10
    python, malware, debian = count * 2 // 5, count // 5, count * 3 // 10
    with _archive(folder, "PyPI") as archive:
        written = number = 0
        while written < python:
            for record in maker.python(number, packages):
                if written < python:
                    _add(archive, record)
                    written += 1
            number += 1
        for number in range(malware):
            _add(archive, maker.malware(number))
    with _archive(folder, "Debian") as archive:
        for number in range(debian):
            _add(archive, maker.debian(number, packages))
    with _archive(folder, "Ubuntu") as archive:
        for number in range(count - python - malware - debian):
            _add(archive, maker.ubuntu(number, packages))


def _archive(folder: Path, ecosystem: str) -> zipfile.ZipFile:
    (folder / ecosystem).mkdir(parents=True, exist_ok=True)
    return zipfile.ZipFile(folder / ecosystem / "all.zip", "w", zipfile.ZIP_DEFLATED)


def _add(archive: zipfile.ZipFile, record: dict[str, Any]) -> None:
    archive.writestr(f"{record['id']}.json", json.dumps(record, separators=(",", ":")))
