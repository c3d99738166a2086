"""The provenance of a wheel that was built, and what a lock says of it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.machine.agent import builds
from dmz.promotion import build, lockfiles
from dmz.promotion.entry import Build, Entry
from dmz.promotion.release import Release
from tests.promotion.builders import deb, entry, release, sha, wheel

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
STATEMENT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "omega-1.0-1dabc-py3-none-any.whl", "digest": {"sha256": A}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "urn:package-dmz:wheel-from-sdist:1",
            "externalParameters": {"sdist": "omega-1.0.tar.gz"},
            "internalParameters": {
                "runtime": "sandbox-debian-12",
                "dpkgDigest": B,
                "python": "3.11.2",
                "architecture": "amd64",
            },
            "resolvedDependencies": [
                {"name": "omega-1.0.tar.gz", "digest": {"sha256": C}},
                {"name": "wheel-0.45.1-py3-none-any.whl", "digest": {"sha256": D}},
                {"name": "setuptools-80.9.0-py3-none-any.whl", "digest": {"sha256": A}},
            ],
        },
        "runDetails": {
            "builder": {"id": "urn:package-dmz:machine:dmz-outer"},
            "metadata": {"finishedOn": "2026-11-22T10:29:00Z"},
        },
    },
}


def parse(document: object) -> build.Provenance:
    return build.parse(json.dumps(document).encode(), "gs://builds/provenance.json")


def test_it_says_what_came_out_of_what() -> None:
    found = parse(STATEMENT)
    assert found.wheel.name == "omega-1.0-1dabc-py3-none-any.whl"
    assert found.sdist.digest.sha256 == C
    assert [file.name for file in found.requires] == [
        "wheel-0.45.1-py3-none-any.whl",
        "setuptools-80.9.0-py3-none-any.whl",
    ]
    said = found.build
    assert (said.sdist, said.sha256) == ("omega-1.0.tar.gz", C)
    assert said.requires == ("setuptools==80.9.0", "wheel==0.45.1")


def test_the_environment_is_everything_that_the_build_could_see() -> None:
    requires = [("a-1-py3-none-any.whl", A), ("b-1-py3-none-any.whl", B)]
    expected = hashlib.sha256(
        f"dpkg {C}\npython 3.11.2\n{A}  a-1-py3-none-any.whl\n{B}  b-1-py3-none-any.whl\n".encode()
    ).hexdigest()
    assert build.environment(C, "3.11.2", requires) == expected
    assert build.environment(C, "3.11.2", reversed(requires)) == expected
    assert (
        len({build.environment(D, "3.11.2", requires), build.environment(C, "3.11.3", requires), expected})
        == 3
    )
    assert build.environment(C, "3.11.2", requires[:1]) != expected


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([A, B, C, D])))
def test_the_machine_computes_the_same_environment(requires: dict[str, str]) -> None:
    assert builds.environment(A, "3.11.2", requires) == build.environment(A, "3.11.2", requires.items())


def definition(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["predicate"]["buildDefinition"]
    return found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: it.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda it: it.update(predicateType="https://slsa.dev/provenance/v0.2"),
        lambda it: it.update(more=1),
        lambda it: it["subject"].append(it["subject"][0]),
        lambda it: it["subject"].clear(),
        lambda it: it["subject"][0].update(name="../omega-1.0-py3-none-any.whl"),
        lambda it: it["subject"][0].update(name="other-1.0-py3-none-any.whl"),
        lambda it: it["subject"][0].update(name="omega-1.1-py3-none-any.whl"),
        lambda it: it["subject"][0]["digest"].update(sha256="A" * 64),
        lambda it: definition(it).update(buildType="urn:package-dmz:something-else"),
        lambda it: definition(it)["externalParameters"].update(sdist="omega-2.0.tar.gz"),
        lambda it: definition(it)["resolvedDependencies"].pop(0),
        lambda it: definition(it)["resolvedDependencies"].append(definition(it)["resolvedDependencies"][0]),
        lambda it: definition(it)["resolvedDependencies"][1].update(name="wheel-1.tar.gz"),
        lambda it: definition(it)["internalParameters"].update(dpkgDigest="x"),
        lambda it: it["predicate"]["runDetails"]["builder"].update(id="me"),
    ],
)
def test_what_is_not_of_the_form_is_one_line(spoil: Callable[[dict[str, Any]], object]) -> None:
    document = copy.deepcopy(STATEMENT)
    spoil(document)
    with pytest.raises(InputError, match=r"^gs://builds/provenance\.json: ") as refused:
        parse(document)
    assert len(str(refused.value).splitlines()) == 1


@given(st.binary())
def test_any_bytes_are_one_line(data: bytes) -> None:
    with pytest.raises(InputError):
        build.parse(data, "it")


def test_objects_are_named_by_content() -> None:
    file = parse(STATEMENT).wheel
    assert build.provenance_object(C, B) == f"builds/{C}/{B}/provenance.json"
    assert build.wheel_object(C, B, file) == f"builds/{C}/{B}/{A}/{file.name}"


BUILT = Entry(wheel("omega", "1.0", origin="python-built"), built=parse(STATEMENT).build)


def test_a_lock_carries_it() -> None:
    made = Release("small", A, "sandbox-debian-12", B, "3.11", (BUILT, entry(wheel("jax"))))
    text = made.files["pylock.small.toml"].decode()
    assert (
        f"""
[packages.tool.dmz]
origin = "python-built"
why = ["requested"]

[packages.tool.dmz.built]
sdist = "omega-1.0.tar.gz"
sha256 = "{C}"
environment = "{BUILT.built.environment if BUILT.built else ""}"
requires = ["setuptools==80.9.0", "wheel==0.45.1"]
"""
        in text
    )
    assert text.count("built]") == 1
    assert Release.parse("small", made.files, "releases").entries == made.entries


def test_a_release_without_a_build_has_the_form_of_before() -> None:
    assert b"built" not in release(wheel("jax"), deb()).files["pylock.small.toml"]


def lock(**values: object) -> dict[str, bytes]:
    """A release whose table on the build was changed by hand, with right checksums."""
    made = Release("small", A, "sandbox-debian-12", B, "3.11", (BUILT,))
    files = dict(made.files)
    pylock, apt, others, checksums = lockfiles.names("small")
    lines = files[pylock].decode().splitlines()
    start = lines.index("[packages.tool.dmz.built]") + 1
    for key, value in values.items():
        place = next(number for number in range(start, len(lines)) if lines[number].startswith(f"{key} = "))
        lines[place] = f"{key} = {value}"
    files[pylock] = ("\n".join(lines) + "\n").encode()
    files[checksums] = "".join(f"{sha(files[name])}  {name}\n" for name in (pylock, apt, others)).encode()
    return files


def test_a_lock_that_nobody_changed_reads() -> None:
    assert Release.parse("small", lock(), "releases").entries == (BUILT,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sdist", '"omega-1.1.tar.gz"'),
        ("sdist", '"../omega-1.0.tar.gz"'),
        ("sdist", '"omega-1.0-py3-none-any.whl"'),
        ("sdist", "5"),
        ("sdist", "[]"),
        ("sha256", '"c"'),
        ("sha256", "5"),
        ("environment", '""'),
        ("requires", '["wheel==0.45.1", "setuptools==80.9.0"]'),
        ("requires", '["wheel"]'),
        ("requires", '["wheel==1 --index-url=http://x"]'),
        ("requires", "5"),
        ("requires", "[5]"),
        ("requires", '"abc"'),
    ],
)
def test_a_lock_with_a_build_that_cannot_be_is_one_line(key: str, value: str) -> None:
    with pytest.raises(InputError, match="releases/pylock") as refused:
        Release.parse("small", lock(**{key: value}), "releases")
    assert len(str(refused.value).splitlines()) == 1


def test_only_wheels_are_built_and_upstream_never_got_them() -> None:
    how = BUILT.built
    assert how is not None
    with pytest.raises(InputError, match="only a wheel is built"):
        Entry(deb(), "jq", "1.6-2.1", built=how)
    with pytest.raises(InputError, match="upstream never got it"):
        Entry(BUILT.artifact, uploaded=datetime(2026, 1, 1, tzinfo=UTC), built=how)
    with pytest.raises(InputError, match="another distribution or version"):
        Entry(wheel("jax"), built=how)
    with pytest.raises(InputError, match="no SHA-256"):
        Entry(BUILT.artifact, built=Build("omega-1.0.tar.gz", "x", A))
