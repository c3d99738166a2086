"""The software bill of materials of a release: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

It says what the lock files say, and what is known besides: licences, package URLs, where each file is from,
and what needs what. It stands beside the lock files and is not part of the release's digest: a licence that
is stated better later is no other release, and no machine has to install anything for it. The review names
its SHA-256.

The same release with the same evidence gives the same bytes. So there is no moment in it (git knows when it
was written), and its serial number is made from its content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion.base_image import BaseImage
from dmz.promotion.entry import Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.purl import purl
from dmz.promotion.release import Release
from dmz.promotion.wording import printable
from dmz.promotion.workload import Workload

_NIL: Final = UUID(int=0)
_FORM: Final = "https://cyclonedx.org/schema/bom-1.6.schema.json"


def name(workload: str) -> str:
    """The file's name, beside the lock files."""
    return f"sbom.{workload}.cdx.json"


def sbom(release: Release, workload: Workload, image: BaseImage, evidence: Iterable[Evidence] = ()) -> bytes:
    """The bill of materials of a release.

    Args:
        release: what is listed.
        workload: what it is for; gives the addresses of its files.
        image: gives the distribution for package URLs.
        evidence: what is known of the entries; of an entry without, the licence is not stated.
    """
    known = {each.entry.artifact.key: each for each in evidence}
    addresses = {file.name: file.address for file in workload.files}
    components = {
        entry.artifact: _component(entry, known.get(entry.artifact.key), addresses, image)
        for entry in release.entries
    }
    root = _root(release, workload)
    bom = Bom(serial_number=_NIL, components=components.values())
    bom.metadata.component = root
    bom.metadata.tools.components.add(Component(name="dmz", type=ComponentType.APPLICATION))
    graph = list(_graph(root, components))
    bom.dependencies = graph
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library dates every document and numbers it at random; both would differ each time.
    del document["metadata"]["timestamp"]
    del document["serialNumber"]
    # It also gives each row that is missing an empty one, which would say more than is known.
    rows = {str(row.ref) for row in graph}
    document["dependencies"] = [row for row in document["dependencies"] if row["ref"] in rows]
    document["serialNumber"] = uuid5(NAMESPACE_URL, f"{_FORM}#{_text(document)}").urn
    return _text(document).encode()


def licences(body: bytes, where: str) -> dict[str, str]:
    """The licence of each entry by the artifact's key, as a bill of materials of this project states it.

    Args:
        body: the file's content.
        where: its name, for messages.

    Raises:
        InputError: it is none.
    """
    try:
        stated = msgspec.json.decode(body, type=_Stated)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{where} is no bill of materials ({printable(str(error))}); run `dmz screen` again"
        ) from None
    return {
        each.ref: words
        for each in stated.components
        if (words := " AND ".join(filter(None, (choice.words for choice in each.licenses))))
    }


class _Licence(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""


class _Choice(msgspec.Struct, frozen=True):
    expression: str = ""
    license: _Licence = _Licence()

    @property
    def words(self) -> str:
        return self.expression or self.license.id or self.license.name


class _Listed(msgspec.Struct, frozen=True):
    ref: str = msgspec.field(name="bom-ref")
    licenses: tuple[_Choice, ...] = ()


class _Stated(msgspec.Struct, frozen=True):
    components: tuple[_Listed, ...] = ()


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _root(release: Release, workload: Workload) -> Component:
    return Component(
        name=release.workload,
        type=ComponentType.APPLICATION,
        bom_ref=f"workload/{release.workload}",
        version=release.digest,
        description=printable(workload.summary),
        properties=_properties(
            ("release-digest", release.digest),
            ("workload-digest", release.workload_digest),
            ("base-image", release.runtime),
            ("base-image-dpkg-digest", release.dpkg_digest),
            ("python", release.python),
        ),
    )


def _component(
    entry: Entry, evidence: Evidence | None, addresses: dict[str, str], image: BaseImage
) -> Component:
    artifact = entry.artifact
    address = addresses.get(artifact.name) if artifact.kind is Kind.FILE else None
    hashes = _sha256(artifact.sha256)
    return Component(
        name=artifact.name,
        type=ComponentType.FILE if artifact.kind is Kind.FILE else ComponentType.LIBRARY,
        bom_ref=artifact.key,
        version=artifact.version,
        purl=PackageURL.from_string(purl(artifact, image)),
        hashes=hashes,
        licenses=_licences(evidence) if evidence else (),
        external_references=(
            [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(address), hashes=hashes)]
            if address
            else ()
        ),
        pedigree=_pedigree(entry),
        properties=_properties(
            ("origin", artifact.origin),
            ("file", artifact.filename),
            ("size", str(artifact.size)),
            ("why", ", ".join(artifact.why)),
            ("source-package", f"{entry.source} {entry.source_version}".strip()),
            ("uploaded", f"{entry.uploaded:%Y-%m-%dT%H:%M:%SZ}" if entry.uploaded else ""),
            ("publisher", str(evidence.publisher) if evidence and evidence.publisher else ""),
        ),
    )


def _sha256(digest: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest)]


def _properties(*pairs: tuple[str, str]) -> Iterator[Property]:
    # Names in a namespace of one's own, as CycloneDX's property taxonomy asks.
    return (Property(name=f"dmz:{key}", value=printable(value)) for key, value in pairs if value)


def _licences(evidence: Evidence) -> Iterator[License]:
    """What the metadata declares: an SPDX expression, or else a name in its own words."""
    if evidence.licence:
        yield LicenseFactory().make_from_string(
            evidence.licence, license_acknowledgement=LicenseAcknowledgement.DECLARED
        )
    elif words := printable(evidence.licence_text):
        yield DisjunctiveLicense(name=words, acknowledgement=LicenseAcknowledgement.DECLARED)


def _pedigree(entry: Entry) -> Pedigree | None:
    """A wheel that was built here comes from a source distribution that upstream published."""
    if not entry.built:
        return None
    artifact, build = entry.artifact, entry.built
    sdist = Component(
        name=artifact.name,
        type=ComponentType.LIBRARY,
        bom_ref=f"{artifact.key}/sdist",
        version=artifact.version,
        purl=PackageURL("pypi", None, artifact.name, artifact.version, {"file_name": build.sdist}),
        hashes=_sha256(build.sha256),
        properties=_properties(
            ("file", build.sdist),
            ("build-environment", build.environment),
            ("build-requires", ", ".join(build.requires)),
        ),
    )
    return Pedigree(ancestors=[sdist])


def _graph(root: Component, components: Mapping[Artifact, Component]) -> Iterator[Dependency]:
    """What needs what, by the reasons in the lock files.

    What was asked for hangs on the workload, and so does what nobody in the release is named as needing: apt
    does not always say which package wanted another. For the same reason a deb that is not named as needing
    anything has no row: CycloneDX reads an empty one as "needs nothing", a missing one as "not known".
    """
    by_name = {(artifact.kind, artifact.name): component for artifact, component in components.items()}
    needs: dict[str, set[str]] = {str(component.bom_ref): set() for component in (root, *components.values())}
    for artifact, component in components.items():
        owners = [by_name.get((artifact.kind, why), root) for why in artifact.why] or [root]
        for owner in owners:
            needs[str(owner.bom_ref)].add(str(component.bom_ref))
    needs[str(root.bom_ref)] |= needs.keys() - _reachable(str(root.bom_ref), needs)
    for artifact, component in components.items():
        if artifact.kind is Kind.APT and not needs[str(component.bom_ref)]:
            del needs[str(component.bom_ref)]
    for ref, needed in needs.items():
        yield Dependency(BomRef(ref), [Dependency(BomRef(each)) for each in needed - {ref}])


def _reachable(start: str, needs: Mapping[str, set[str]]) -> set[str]:
    found, todo = {start}, [start]
    while todo:
        new = needs[todo.pop()] - found
        found |= new
        todo += new
    return found
