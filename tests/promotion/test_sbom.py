"""The bill of materials: complete, valid, the same every time."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from dmz.artifact import Kind
from dmz.errors import InputError
from dmz.promotion import workload as workloads
from dmz.promotion.entry import Build, Entry
from dmz.promotion.evidence import Evidence, Publisher
from dmz.promotion.purl import purl
from dmz.promotion.release import Release
from dmz.promotion.sbom import licences, name, sbom
from tests.promotion.builders import deb, entry, file, image, release, releases, sha, wheel

WORKLOAD = workloads.parse(
    f"""
name = "small"
summary = "Trains."
base-image = "sandbox-debian-12"
check = "true"
[[file]]
name = "data.tar.gz"
address = "gs://bucket/data.tar.gz"
sha256 = "{sha(b"file")}"
""",
    "small.toml",
)


def made(*entries: Entry, evidence: tuple[Evidence, ...] = ()) -> dict[str, Any]:
    body = sbom(replace(release(), entries=entries), WORKLOAD, image(), evidence)
    document: dict[str, Any] = json.loads(body)
    return document


def component(document: dict[str, Any], key: str) -> dict[str, Any]:
    [found] = [each for each in document["components"] if each["bom-ref"] == key]
    assert isinstance(found, dict)
    return found


def properties(of: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in of["properties"]}


def needs(document: dict[str, Any], ref: str) -> list[str]:
    [found] = [each for each in document["dependencies"] if each["ref"] == ref]
    return list(found.get("dependsOn", []))


def test_the_workload_is_what_it_is_about() -> None:
    document = made(entry(wheel()))
    root = document["metadata"]["component"]
    assert document["specVersion"] == "1.6"
    assert (root["type"], root["name"], root["description"]) == ("application", "small", "Trains.")
    assert root["version"] == release(wheel()).digest
    assert properties(root)["dmz:release-digest"] == release(wheel()).digest


def test_each_kind_has_its_purl_hash_and_origin() -> None:
    document = made(
        entry(wheel("jax", "1!2.0+cpu")),
        entry(deb("libjq1", "2:1.6~rc1-1"), "jq", "2:1.6~rc1-1"),
        entry(file()),
    )
    jax, libjq1, data = (
        component(document, key) for key in ("pypi/jax", "apt/libjq1:amd64", "files/data.tar.gz")
    )
    assert jax["purl"] == "pkg:pypi/jax@1%212.0%2Bcpu"
    assert jax["hashes"] == [{"alg": "SHA-256", "content": sha(b"wheel")}]
    assert properties(jax)["dmz:origin"] == "python-remote"
    assert libjq1["purl"] == "pkg:deb/debian/libjq1@2:1.6~rc1-1?arch=amd64&distro=bookworm"
    assert properties(libjq1)["dmz:source-package"] == "jq 2:1.6~rc1-1"
    [reference] = data["externalReferences"]
    assert (reference["type"], reference["url"]) == ("distribution", "gs://bucket/data.tar.gz")
    assert reference["hashes"] == data["hashes"] == [{"alg": "SHA-256", "content": sha(b"file")}]


@given(releases)
def test_a_purl_is_in_its_canonical_form(drawn: Release) -> None:
    for artifact in drawn.artifacts:
        if artifact.kind is not Kind.FILE:
            text = purl(artifact, image())
            assert PackageURL.from_string(text).to_string() == text


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"licence": "MIT"}, {"license": {"id": "MIT", "acknowledgement": "declared"}}),
        (
            {"licence": "Apache-2.0 OR MIT"},
            {"expression": "Apache-2.0 OR MIT", "acknowledgement": "declared"},
        ),
        (
            {"licence_text": "BSD-like,\x1b[2J see <file>"},
            {"license": {"name": "BSD-like,?[2J see <file>", "acknowledgement": "declared"}},
        ),
    ],
)
def test_a_licence_is_stated_as_exactly_as_it_is_known(known: dict[str, str], said: dict[str, Any]) -> None:
    one = entry(wheel())
    document = made(one, evidence=(Evidence(one, **known),))  # type: ignore[arg-type]
    assert component(document, "pypi/jax")["licenses"] == [said]


def test_a_licence_that_nobody_states_is_not_made_up() -> None:
    one = entry(wheel())
    assert "licenses" not in component(made(one, evidence=(Evidence(one),)), "pypi/jax")


def test_a_publisher_is_told() -> None:
    one = entry(wheel())
    document = made(one, evidence=(Evidence(one, publisher=Publisher("GitHub", "jax-ml/jax release.yml")),))
    assert properties(component(document, "pypi/jax"))["dmz:publisher"] == "GitHub jax-ml/jax release.yml"


def test_a_wheel_that_was_built_here_tells_of_its_source() -> None:
    build = Build("jax-0.4.1.tar.gz", sha(b"sdist"), sha(b"environment"), ("setuptools==80.0",))
    one = Entry(wheel(origin="python-built"), built=build)
    [source] = component(made(one), "pypi/jax")["pedigree"]["ancestors"]
    assert source["purl"] == "pkg:pypi/jax@0.4.1?file_name=jax-0.4.1.tar.gz"
    assert source["hashes"] == [{"alg": "SHA-256", "content": sha(b"sdist")}]
    assert properties(source)["dmz:build-environment"] == sha(b"environment")
    assert properties(source)["dmz:build-requires"] == "setuptools==80.0"


def test_the_graph_follows_the_reasons() -> None:
    document = made(
        entry(wheel("flax", why=("requested",))),
        entry(wheel("jax", content=b"2", why=("flax", "requested"))),
        entry(wheel("numpy", content=b"3", why=("flax", "jax"))),
        entry(deb(why=("requested",))),
        entry(deb("libjq1", content=b"4", why=("jq",))),
        entry(deb("libonig5", content=b"5", why=("dependency",))),
    )
    assert needs(document, "workload/small") == [
        "apt/jq:amd64",
        "apt/libonig5:amd64",
        "pypi/flax",
        "pypi/jax",
    ]
    assert needs(document, "pypi/flax") == ["pypi/jax", "pypi/numpy"]
    assert needs(document, "pypi/numpy") == []
    assert needs(document, "apt/jq:amd64") == ["apt/libjq1:amd64"]
    # What apt did not tell is not stated as "needs nothing".
    assert "apt/libonig5:amd64" not in {each["ref"] for each in document["dependencies"]}


def test_a_circle_hangs_on_the_workload() -> None:
    document = made(entry(wheel("a", why=("b",))), entry(wheel("b", content=b"2", why=("a",))))
    assert needs(document, "workload/small") == ["pypi/a", "pypi/b"]


@given(releases, st.randoms())
def test_the_order_of_what_is_known_makes_no_difference(drawn: Release, random: Any) -> None:
    known = [Evidence(each, licence="MIT") for each in drawn.entries]
    shuffled = random.sample(known, len(known))
    assert sbom(drawn, WORKLOAD, image(), known) == sbom(drawn, WORKLOAD, image(), shuffled)


@given(releases)
def test_every_entry_is_in_it_and_hangs_on_the_workload(drawn: Release) -> None:
    document = json.loads(sbom(drawn, WORKLOAD, image()))
    keys = {artifact.key for artifact in drawn.artifacts}
    assert {each["bom-ref"] for each in document.get("components", ())} == keys
    edges = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    found = todo = {f"workload/{drawn.workload}"}
    while todo:
        todo = {below for each in todo for below in edges.get(each, ())} - found
        found = found | todo
    assert found == keys | {f"workload/{drawn.workload}"}


@given(releases)
def test_it_has_no_moment_and_a_number_of_its_own(drawn: Release) -> None:
    one, other = (
        json.loads(sbom(drawn, WORKLOAD, image(), [Evidence(each, licence=text) for each in drawn.entries]))
        for text in ("MIT", "BSD-3-Clause")
    )
    assert "timestamp" not in one["metadata"]
    assert one["serialNumber"].startswith("urn:uuid:")
    assert (one["serialNumber"] == other["serialNumber"]) is (not drawn.entries)


@given(releases)
def test_it_fits_the_published_schema(drawn: Release) -> None:
    pytest.importorskip("jsonschema")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    body = sbom(drawn, WORKLOAD, image(), [Evidence(each, licence="MIT") for each in drawn.entries])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(body.decode()) is None


def test_the_licences_can_be_read_again() -> None:
    one, two, three = entry(wheel("a")), entry(wheel("b", content=b"2")), entry(deb())
    body = sbom(
        release(one.artifact, two.artifact, three.artifact),
        WORKLOAD,
        image(),
        [Evidence(one, licence="Apache-2.0 OR MIT"), Evidence(two, licence_text="as it is")],
    )
    assert licences(body, name("small")) == {"pypi/a": "Apache-2.0 OR MIT", "pypi/b": "as it is"}


@given(st.binary() | st.text().map(str.encode) | st.just(b'{"components": [' * 5000))
def test_any_bytes_are_read_or_refused_in_one_line(body: bytes) -> None:
    with suppress(InputError):
        licences(body, "sbom.small.cdx.json")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"components": 1}', b'{"components": [{}]}', b"\xff"])
def test_what_is_no_bill_of_materials_is_refused(body: bytes) -> None:
    with pytest.raises(InputError, match="run `dmz screen` again"):
        licences(body, "sbom.small.cdx.json")
