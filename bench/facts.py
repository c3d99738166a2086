"""What repositories and upstream would say of the artifacts that are screened: made up, always the same.

Ages, licences and publishers are spread as they are among popular distributions: one in fifty is younger than
the cool-down, one in seven says its licence in words of its own, a third says who published it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from bench.records import MODIFIED, Item
from dmz.artifact import Artifact, Kind
from dmz.promotion.base_image import BaseImage, Distribution, RemoteBase, Suite
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence, Publisher, Status

TODAY: Final = datetime.fromisoformat(MODIFIED)
"""The moment of the screening: the advisories are of now."""
IMAGE: Final = BaseImage(
    runtime="bench-debian-12",
    distribution=Distribution.DEBIAN,
    release="bookworm",
    suites=(Suite(name="bookworm", base=RemoteBase.DEBIAN, path="debian/dists/bookworm"),),
    components=("main",),
    python="3.11",
    architecture="amd64",
    glibc="2.36",
)
_PYTHON: Final = "python-remote"
_APT: Final = IMAGE.suites[0].repository
_LICENCES: Final = {
    "MIT": 40,
    "Apache-2.0": 20,
    "BSD-3-Clause": 15,
    "BSD-2-Clause": 3,
    "MPL-2.0": 2,
    "Apache-2.0 OR BSD-2-Clause": 2,
    "MIT AND BSD-3-Clause": 2,
    "LGPL-3.0-or-later": 2,
    "": 14,
}
"""SPDX expressions by their weight; empty: words of its own."""
_WORDS: Final = ("BSD", "see LICENSE", "Proprietary License", "GPL", "")
_YOUNGEST: Final = timedelta(days=7)


def evidence(items: Iterable[Item]) -> list[Evidence]:
    """The facts of each."""
    chance = random.Random(3)  # noqa: S311 - nothing is secret here
    return [_wheel(item, chance) if item.ecosystem == "PyPI" else _deb(item) for item in items]


def _wheel(item: Item, chance: random.Random) -> Evidence:
    filename = f"{item.name.replace('-', '_')}-{item.version}-py3-none-any.whl"
    age = _YOUNGEST * chance.lognormvariate(3.8, 1.8)
    published = TODAY.astimezone(UTC) - age
    licence = chance.choices(list(_LICENCES), list(_LICENCES.values()))[0]
    publisher = None
    if chance.random() < 1 / 3:
        publisher = Publisher("GitHub", f"example/{item.name} release.yml")
    return Evidence(
        Entry(_artifact(Kind.PYPI, item, "", filename, _PYTHON), uploaded=published),
        published=published,
        licence=licence or None,
        licence_text="" if licence else chance.choice(_WORDS),
        status=Status.ACTIVE,
        last_upload=published + age * chance.random(),
        publisher=publisher,
        former_publisher=publisher if chance.random() < 0.7 else None,
        upstreams=(_PYTHON,),
    )


def _deb(item: Item) -> Evidence:
    artifact = _artifact(Kind.APT, item, "amd64", f"{item.name}_{item.version}_amd64.deb", _APT)
    return Evidence(Entry(artifact, source=item.name, source_version=item.version), upstreams=(_APT,))


def _artifact(kind: Kind, item: Item, architecture: str, filename: str, origin: str) -> Artifact:
    sha256 = hashlib.sha256(filename.encode()).hexdigest()
    size = 1000 + int(sha256[:5], 16)
    return Artifact(
        kind, item.name, architecture, item.version, filename, sha256, size, origin, ("dependency",)
    )
