"""Who published a file, as far as its provenance is about it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import RefusedError
from dmz.promotion.evidence import Publisher
from dmz.promotion.publisher import publisher

NAME, DIGEST = "a-1.0-py3-none-any.whl", "a" * 64
GITHUB = {"kind": "GitHub", "repository": "org/a", "workflow": "release.yml", "environment": "pypi"}


def statement(name: str = NAME, digest: str = DIGEST) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": None,
    }


def provenance(*said: dict[str, Any], by: dict[str, Any] = GITHUB) -> bytes:
    """As PEP 740 has it."""
    attestations = [
        {
            "version": 1,
            "verification_material": {"certificate": "x", "transparency_entries": [{}]},
            "envelope": {
                "statement": base64.b64encode(json.dumps(each).encode()).decode(),
                "signature": "x",
            },
        }
        for each in said
    ]
    bundle = {"publisher": by, "attestations": attestations}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


@pytest.mark.parametrize(
    ("by", "identity"),
    [
        (GITHUB, Publisher("GitHub", "org/a release.yml")),
        (
            {"kind": "GitLab", "repository": "org/a", "workflow_filepath": ".ci.yml", "claims": {"x": 1}},
            Publisher("GitLab", "org/a .ci.yml"),
        ),
        ({"kind": "Google", "email": "a@example.com"}, Publisher("Google", "a@example.com")),
        ({"kind": "New", "who": "me", "claims": {"run": 1}}, Publisher("New", "who=me")),
    ],
)
def test_the_publisher_is_kind_and_identity(by: dict[str, Any], identity: Publisher) -> None:
    assert publisher(provenance(statement(), by=by), NAME, DIGEST) == identity


@pytest.mark.parametrize("other", [statement(digest="b" * 64), statement(name="b-1.0-py3-none-any.whl")])
def test_a_provenance_of_something_else_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(
        RefusedError, match=rf"^{NAME}: its provenance is about .*, not about sha256:a+;"
    ) as no:
        publisher(provenance(other), NAME, DIGEST)
    assert len(str(no.value).splitlines()) == 1
    with pytest.raises(RefusedError):
        publisher(provenance(statement(), other), NAME, DIGEST)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: it.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda it: it.pop("subject"),
        lambda it: it.update(subject=[{"name": NAME}]),
    ],
)
def test_a_statement_of_another_form_tells_nothing(spoil: Callable[[dict[str, Any]], object]) -> None:
    said = statement()
    spoil(said)
    assert publisher(provenance(said), NAME, DIGEST) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"5",
        b"{}",
        b'{"attestation_bundles": 5}',
        b'{"attestation_bundles": [5]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_provenance_tells_nothing(data: bytes) -> None:
    assert publisher(data, NAME, DIGEST) is None


def test_a_bundle_without_attestations_tells_nothing() -> None:
    assert publisher(provenance(), NAME, DIGEST) is None


def test_a_publisher_is_shown_in_one_line() -> None:
    found = publisher(provenance(statement(), by={**GITHUB, "workflow": "a\nb\x1b"}), NAME, DIGEST)
    assert str(found) == "GitHub org/a a b?"


@given(st.binary())
def test_any_bytes_tell_nothing(data: bytes) -> None:
    assert publisher(data, NAME, DIGEST) is None
