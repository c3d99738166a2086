"""One package before the policy: every rule and what it saw."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from packaging.utils import InvalidName, canonicalize_name

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion import release as releases
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.inventory import Inventory
from dmz.promotion.verdict import Verdict
from dmz.promotion.versions import is_pep440, normalised
from dmz.promotion.wording import printable
from dmz.registries.google import Google, connect
from dmz.resolution import choose_wheel, supported_tags
from dmz.workflow.claims import Say
from dmz.workflow.discover import discover
from dmz.workflow.estate import Estate
from dmz.workflow.outer import DEPENDENCY, Outer, deb_entry
from dmz.workflow.repositories import outer_suites
from dmz.workflow.sources import screening

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_SHOWN: Final = 3
"""Versions of a distribution that a message names."""


async def examine(
    estate: Estate, package: str, version: str | None, offline: bool, say: Say
) -> list[Verdict]:
    """The verdict on a package: of the release, else of the newest inventory, else by name and version.

    Args:
        package: its name; where both a distribution and a Debian package have it, `pypi/NAME` or `apt/NAME`.
        version: another than the one of the release.
        offline: by what the lock files say alone; facts that they don't keep are unknown.

    Raises:
        InputError: nothing of that name is there.
        RefusedError: the sources are not fit to judge by.
        TransferError: an outer repository did not answer.
    """
    kinds, name = asked(package)
    entries = [each for each in _released(estate) if _is(each, kinds, name, version)]
    if offline:
        if not entries:
            raise InputError(
                f"{estate.releases} has no release with {printable(package, 80)}"
                f"{f' {printable(version, 80)}' if version else ''}; leave out --offline to ask the outer "
                "repositories"
            )
        judge = await screening(estate, None, say)
        return [judge.judge(Evidence(entry, published=entry.uploaded)) for entry in entries]
    outputs = estate.outer_outputs()
    async with connect(outputs["location"]) as google:
        judge = await screening(estate, google, say)
        outer = Outer(google, outputs, estate.base_image, say)
        if entries:
            found = await outer.gather(entries)
        elif version is None:
            found = await outer.collect(await _wanted(estate, package, kinds, name, say))
        else:
            found = await outer.gather(await _offered(google, outputs, outer, kinds, name, version))
        return [judge.judge(each) for each in found]


def asked(package: str) -> tuple[frozenset[Kind], str]:
    """What is meant by `NAME`, `pypi/NAME`, `apt/NAME` or `apt/NAME:ARCHITECTURE`: kinds, and the name.

    Raises:
        InputError: it is none of these.
    """
    kind, _, rest = package.rpartition("/")
    name = rest.partition(":")[0]
    if (kind and kind not in list(Kind)) or not _NAME.fullmatch(name):
        raise InputError(f"'{printable(package, 80)}' is no package; write a name, pypi/NAME or apt/NAME")
    return frozenset({Kind(kind)} if kind else Kind), name


def _is(entry: Entry, kinds: frozenset[Kind], name: str, version: str | None) -> bool:
    artifact = entry.artifact
    wanted = _normal(name) if artifact.kind is Kind.PYPI else name
    return (
        artifact.kind in kinds
        and artifact.name == wanted
        and (version is None or _same(artifact.kind, artifact.version, version))
    )


def _normal(name: str) -> str:
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        return name


def _same(kind: Kind, one: str, other: str) -> bool:
    if kind is Kind.PYPI and not is_pep440(other):
        return False
    return normalised(kind, one) == normalised(kind, other)


def _released(estate: Estate) -> tuple[Entry, ...]:
    name = estate.workload.name
    if name not in releases.released(estate.releases):
        return ()
    return releases.read(estate.releases, name).entries


async def _wanted(estate: Estate, package: str, kinds: frozenset[Kind], name: str, say: Say) -> Inventory:
    """The newest inventory, with this package alone."""
    inventory = await discover(estate, say, within=0)
    debs = tuple(each for each in inventory.apt if each.name == name and Kind.APT in kinds)
    wheels = tuple(each for each in inventory.pypi if each.name == _normal(name) and Kind.PYPI in kinds)
    files = tuple(each for each in inventory.files if each.name == name and Kind.FILE in kinds)
    if not (debs or wheels or files):
        raise InputError(
            f"neither the release nor the inventory has {printable(package, 80)}; give its version too, "
            "and the outer repositories are asked"
        )
    return inventory.model_copy(update={"apt": debs, "pypi": wheels, "files": files})


async def _offered(
    google: Google,
    outputs: Mapping[str, Any],
    outer: Outer,
    kinds: frozenset[Kind],
    name: str,
    version: str,
) -> list[Entry]:
    """What the outer repositories would give a machine for a name and a version."""
    found: list[Entry] = []
    places = await outer_suites(google, outputs, outer.image).named(name) if Kind.APT in kinds else ()
    if Kind.PYPI in kinds and is_pep440(version):
        found += await _distribution(outer, _normal(name), version)
    if Kind.APT in kinds:
        architectures = {outer.image.architecture, "all"}
        for place in places:
            stanza = place.stanza
            if stanza.version == version and stanza.architecture in architectures:
                found.append(deb_entry(place, DEPENDENCY))
                break
    if not found:
        there = [f"apt/{name} {each.stanza.version}" for each in places]
        if Kind.PYPI in kinds:
            offered = (await outer.offered(_normal(name)))[-_SHOWN:]
            there += [f"pypi/{_normal(name)} {each.version}" for each in offered]
        raise InputError(
            f"no outer repository offers {name} '{printable(version, 80)}' for {outer.image.runtime}; "
            + (f"the newest are {', '.join(there)}" if there else "look at the name")
        )
    return found


async def _distribution(outer: Outer, name: str, version: str) -> list[Entry]:
    file = choose_wheel(await outer.remote.files(name), version, supported_tags(outer.image))
    if file is None:
        return []
    described = (await outer.remote.describe([(name, file.filename)]))[file.filename]
    artifact = Artifact(
        Kind.PYPI,
        name,
        "",
        version,
        described.filename,
        described.sha256,
        described.size or 0,
        outer.remote_id,
        (DEPENDENCY,),
    )
    return [Entry(artifact)]
