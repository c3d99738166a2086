"""Waivers: OpenVEX documents, and what is missing in those that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.promotion.waivers import Waivers, parse
from tests.promotion.rules.cases import said

SHA = "a" * 64


def document(**fields: Any) -> dict[str, Any]:
    """A good document with one statement."""
    statement = {
        "vulnerability": {"name": "CVE-2026-1", "aliases": ["GHSA-1"]},
        "products": [
            {
                "@id": "pkg:pypi/jax@0.4.1",
                "identifiers": {"purl": "pkg:pypi/jax@0.4.1"},
                "hashes": {"sha-256": SHA},
            }
        ],
        "status": "not_affected",
        "status_notes": "until 2027-02-01. Looked at by the platform team.",
        "justification": "vulnerable_code_not_in_execute_path",
        "impact_statement": "We never parse foreign messages.",
    }
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.org/waivers/jax",
        "author": "Ada <ada@example.org>",
        "timestamp": "2026-11-22T10:00:00Z",
        "version": 1,
        "statements": [statement],
    } | fields


def changed(**fields: Any) -> dict[str, Any]:
    """The same with other fields of the statement; None takes one out."""
    made = document()
    statement = made["statements"][0] | fields
    made["statements"] = [{key: value for key, value in statement.items() if value is not None}]
    return made


def read(made: Any) -> list[Any]:
    return parse(json.dumps(made).encode(), "jax.json", "waivers/jax.json")


def refused(made: Any) -> str:
    with pytest.raises(InputError, match=r"^waivers/jax\.json: ") as error:
        read(made)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_waiver_says_who_why_until_when_and_for_which_file() -> None:
    [found] = read(document())
    assert found.author == "Ada <ada@example.org>"
    assert found.why == "vulnerable code not in execute path; We never parse foreign messages."
    assert found.until == datetime(2027, 2, 1, 23, 59, 59, tzinfo=UTC)
    assert found.begins == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert found.names == {"CVE-2026-1", "GHSA-1"}
    assert (found.purl, found.sha256) == ("pkg:pypi/jax@0.4.1", SHA)


def test_an_accepted_risk_says_what_is_done_about_it() -> None:
    [found] = read(
        changed(
            status="affected", justification=None, impact_statement=None, action_statement="Runs without net"
        )
    )
    assert found.why == "Runs without net"


def test_a_statement_may_be_about_several_files_and_begin_on_its_own_day() -> None:
    product = document()["statements"][0]["products"][0]
    other = product | {"hashes": {"sha-256": "b" * 64, "sha-512": "c" * 128}}
    found = read(changed(products=[product, other], timestamp="2026-12-01T00:00:00+01:00"))
    assert [each.sha256 for each in found] == ["a" * 64, "b" * 64]
    assert found[0].begins == datetime(2026, 11, 30, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (document(author=""), "author"),
        ({k: v for k, v in document().items() if k != "author"}, "'author' is missing"),
        (document(**{"@context": "https://openvex.dev/ns/v0.0.1"}), "the only version that is understood"),
        (document(statements=[]), "statements"),
        (document(until="2027"), "unknown key 'until'"),
        (document(timestamp="2026-11-22T10:00:00"), "timezone"),
        (changed(status_notes=None), "'statements.0.status_notes' is missing"),
        (changed(status_notes="for good"), "must begin with the last day, as in 'until 2027-02-01'"),
        (changed(status_notes="until 2027-02-30"), "must begin with the last day"),
        (changed(status_notes="until 2027-02-011"), "must begin with the last day"),
        (changed(status_notes="until 2026-11-21"), "before it begins"),
        (changed(justification=None), "needs a justification"),
        (changed(justification="we like it"), "justification"),
        (changed(status="affected", action_statement=None), "needs an action_statement"),
        (changed(status="affected", action_statement=" "), "action_statement"),
        (changed(status="fixed"), "'fixed' waives nothing"),
        (changed(status="under_investigation"), "waives nothing"),
        (changed(status="fine"), "status"),
        (changed(products=[]), "products"),
        (changed(products=None), "'statements.0.products' is missing"),
        (changed(products=[{"@id": "pkg:pypi/jax@0.4.1", "hashes": {"sha-256": SHA}}]), "identifiers"),
        (changed(products=[{"identifiers": {"purl": "pkg:pypi/jax@0.4.1"}}]), "hashes"),
        (
            changed(products=[{"identifiers": {"purl": "pkg:pypi/jax@0.4.1"}, "hashes": {"md5": "0"}}]),
            "'statements.0.products.0.hashes.sha-256' is missing",
        ),
        (
            changed(
                products=[{"identifiers": {"purl": "pkg:pypi/jax@0.4.1"}, "hashes": {"sha-256": "A" * 64}}]
            ),
            "no SHA-256",
        ),
        (
            changed(products=[{"identifiers": {"purl": "pkg:pypi/jax"}, "hashes": {"sha-256": SHA}}]),
            "no package URL with a version",
        ),
        (
            changed(products=[{"identifiers": {"purl": "jax"}, "hashes": {"sha-256": SHA}}]),
            "no package URL",
        ),
        (
            changed(products=[document()["statements"][0]["products"][0] | {"subcomponents": []}]),
            "unknown key 'statements.0.products.0.subcomponents'",
        ),
        (changed(vulnerability={"name": ""}), "vulnerability.name"),
        (changed(vulnerability={"name": "MAL-2026-1"}), "malware, which no waiver covers"),
        (changed(vulnerability={"name": "CVE-1", "aliases": ["MAL-2026-1"]}), "malware"),
        (changed(vulnerability={"name": "policy:malware"}), "malware"),
        ([], "waivers/jax.json"),
        (None, "waivers/jax.json"),
    ],
)
def test_a_waiver_that_is_not_whole_does_not_parse(made: Any, words: str) -> None:
    assert words in refused(made)


def test_a_key_that_stands_twice_is_refused() -> None:
    body = json.dumps(document()).replace('"version": 1', '"version": 1, "author": "Eve"').encode()
    with pytest.raises(InputError, match="'author' stands twice"):
        parse(body, "jax.json", "waivers/jax.json")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(InputError) as error:
        parse(body, "jax.json", "waivers/jax.json")
    assert "\n" not in str(error.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(document()["statements"][0])), json_values)
def test_any_value_in_any_field_is_a_waiver_or_refused_in_one_line(key: str, value: Any) -> None:
    made = document()
    made["statements"][0][key] = value
    assert "\n" not in said(lambda: read(made))


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(**files: Any) -> Path:
        for name, made in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(made))
        return tmp_path

    return write


def test_a_folder_of_waivers_has_a_digest_that_changes_with_any_of_them(folder: Callable[..., Path]) -> None:
    path = folder(jax=document())
    (path / "README.md").write_text("how to")
    (path / ".gitkeep").touch()
    one = Waivers.read(path)
    assert len(one.all) == 1
    assert Waivers.read(path) == one
    (path / "README.md").write_text("how to, better")
    assert Waivers.read(path).digest == one.digest
    folder(jax=document(version=2))
    assert Waivers.read(path).digest != one.digest


def test_without_a_folder_nothing_is_waived(tmp_path: Path) -> None:
    assert Waivers.read(tmp_path / "waivers") == Waivers()


@pytest.mark.parametrize("name", ["jax.jsn", "jax.vex", "deeper"])
def test_what_would_be_overlooked_is_refused(name: str, tmp_path: Path) -> None:
    if name == "deeper":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=name):
        Waivers.read(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "waivers").write_text("{}")
    with pytest.raises(InputError, match="waivers: no folder"):
        Waivers.read(tmp_path / "waivers")


def test_two_documents_about_one_finding_of_one_file_are_refused(folder: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"one\.json and two\.json both waive CVE-2026-1|GHSA-1"):
        Waivers.read(folder(one=document(), two=document()))


def test_qualifiers_and_spelling_of_a_package_url_do_not_matter() -> None:
    waivers = Waivers(tuple(read(document())))
    today = waivers.all[0].begins
    assert waivers.of("pkg:pypi/Jax@0.4.1?x=y", SHA, ["CVE-2026-1"], today)
    assert waivers.of("pkg:pypi/jax@0.4.1", SHA, ["other", "GHSA-1"], today)
    assert not waivers.of("pkg:pypi/jax@0.4.1", "b" * 64, ["CVE-2026-1"], today)


def test_the_example_in_the_folder_is_a_waiver() -> None:
    text = (Path(__file__).parents[2] / "waivers/README.md").read_text()
    [found] = parse(text.split("```json\n")[1].split("```")[0].encode(), "x.json", "x.json")
    assert found.until == datetime(2027, 2, 1, 23, 59, 59, tzinfo=UTC)
