"""Whatever bytes a parser gets, it answers, or says in one line what is wrong with them.

Most bytes here are valid documents with something changed in them, because random ones go no deeper than the
first character.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmz.errors import DmzError, InputError
from dmz.promotion import build, inventory, licence, report, waivers, workload
from dmz.promotion.advisories.database import Database
from dmz.promotion.entry import Entry
from dmz.promotion.policy import Policy
from dmz.promotion.release import Release
from dmz.promotion.sources.artifact_analysis import ArtifactAnalysis
from dmz.promotion.sources.deny_list import DenyList
from dmz.promotion.sources.end_of_life import EndOfLife
from dmz.registries.python import parse_filename
from dmz.registries.simple import parse_page
from tests.promotion import builders, test_build, test_inventory, test_report
from tests.promotion.sources import test_artifact_analysis, test_deny_list, test_end_of_life

ROOT: Final = Path(__file__).parents[2]
NOW: Final = datetime(2026, 11, 22, tzinfo=UTC)

# ---- what goes wrong

_HUGE: Final = "9" * 5000
"""More digits than Python makes a number of."""
_DEEP: Final = 100_000

_JSON: Final = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, 10**30, "", "x", "\0", "\ud800", "é", "1" * 300, "a\nb", _HUGE])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_WORDS: Final = [
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\n", b"\n\n", b" ", b"#", b'"', b"'",
    b"\\", b"[", b"]", b"{", b"}", b"=", b":", b",", b"..", b"/", b"%2f", b"~", b"+", b"-", b"1:", b"0",
    b"-1", b"1e999", b"NaN", b"true", b"null", b"[[", b'"\\ud800"', b"9999-12-31", b"0000-00-00T00:00:00Z",
    b"x" * 300, _HUGE.encode(),
]  # fmt: skip
_TOML: Final = [
    "1", "-1", "1.5", "nan", "true", '""', '"x"', '"\\u0000"', "[]", "[1]", "[[]]", "{}", "{a = 1}",
    "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", _HUGE, f'"{_HUGE}"', '"é\\n"', "'''", "",
    "[" * 1500 + "]" * 1500,
]  # fmt: skip


@st.composite
def _cut(draw: st.DrawFn, body: bytes) -> bytes:
    """Some bytes put in, taken out, doubled."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 12)))
        put = draw(st.sampled_from(_WORDS) | st.binary(max_size=4) | st.just(body[start:end] * 2))
        body = body[:start] + put + body[end:]
    return body


def _places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(document, dict | list):
        keys = document if isinstance(document, dict) else range(len(document))
        for key in keys:
            yield from _places(document[key], (*path, key))


@st.composite
def _other_value(draw: st.DrawFn, body: bytes) -> bytes:
    """A JSON document with another value in one place, or without it, or with one key more."""
    document = copy.deepcopy(json.loads(body))
    *path, last = draw(st.sampled_from([place for place in _places(document) if place]))
    inside = document
    for key in path:
        inside = inside[key]
    match draw(st.sampled_from(["replace", "remove", "add", "double"])):
        case "replace":
            inside[last] = draw(_JSON)
        case "remove":
            del inside[last]
        case "add" if isinstance(inside, dict):
            inside[draw(st.text(max_size=8))] = draw(_JSON)
        case "double" if isinstance(inside, list):
            inside.append(inside[last])
        case _:
            inside[last] = [inside[last]]
    return json.dumps(document).encode("utf-8", "surrogatepass")


@st.composite
def _other_setting(draw: st.DrawFn, body: bytes) -> bytes:
    """A TOML document with another value behind one of its equals signs."""
    text = body.decode()
    match = draw(st.sampled_from(list(re.finditer(r"= *[^\n]*", text))))
    return (text[: match.start()] + "= " + draw(st.sampled_from(_TOML)) + text[match.end() :]).encode()


_FORMS: Final = {".json": _other_value, ".toml": _other_setting}


@dataclass(frozen=True)
class Parser:
    """Something that takes bytes from outside."""

    read: Callable[[bytes, Path], object]
    """Given a folder of its own too."""
    valid: bytes
    """What it takes."""
    form: str = ""
    """`.json` or `.toml`: then values are changed, too, and not only bytes."""

    def bytes(self) -> st.SearchStrategy[bytes]:
        changed = st.binary(max_size=60) | _cut(self.valid)
        return changed | _FORMS[self.form](self.valid) if self.form else changed


# ---- who reads what


def _written(folder: Path, name: str, body: bytes) -> Path:
    (folder / name).write_bytes(body)
    return folder / name


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _advisories(body: bytes, folder: Path) -> None:
    database = Database.open(_written(folder, "advisories.json", body))
    for version in ("1", "1.5", "9"):
        database.findings("PyPI", "thing", version)
        database.findings("Debian:12", "thing", version)


def _zipped(body: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("GHSA-1.json", body)
    return packed.getvalue()


def _archive(body: bytes, folder: Path) -> None:
    Database.open(_written(folder, "all.zip", body)).findings("PyPI", "thing", "1")


def _record(body: bytes, folder: Path) -> None:
    _archive(_zipped(body), folder)


def _release(name: str) -> Callable[[bytes, Path], Release]:
    """Reads a release of which one file has other bytes, with sums that agree."""

    def read(body: bytes, folder: Path) -> Release:
        bodies = RELEASE.files | {name: body}
        if not name.endswith(".sha256"):
            sums = (
                f"{hashlib.sha256(bodies[lock]).hexdigest()}  {lock}\n"
                for lock in bodies
                if not lock.endswith(".sha256")
            )
            bodies["release.small.sha256"] = "".join(sums).encode()
        return Release.parse("small", bodies, "releases")

    return read


RELEASE: Final = builders.release(builders.wheel(), builders.deb(), builders.file())
RECORD: Final = {
    "id": "GHSA-1",
    "modified": "2026-01-01T00:00:00Z",
    "aliases": ["CVE-1"],
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}],
    "affected": [
        {
            "package": {"ecosystem": ecosystem, "name": "thing"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "1"}, {"fixed": "2"}, {"limit": "3"}]}
            ],
            "versions": ["1.5"],
            "ecosystem_specific": {"urgency": "low"},
        }
        for ecosystem in ("PyPI", "Debian:12")
    ],
}
WAIVER: Final = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "@id": "https://example.com/waivers/1",
    "author": "Somebody",
    "timestamp": "2026-11-01T00:00:00Z",
    "version": 1,
    "statements": [
        {
            "vulnerability": {"name": "CVE-2026-1"},
            "products": [{"identifiers": {"purl": "pkg:pypi/jax@0.4.1"}, "hashes": {"sha-256": "a" * 64}}],
            "status": "not_affected",
            "status_notes": "until 2027-02-01",
            "justification": "vulnerable_code_not_present",
        }
    ],
}
PAGE: Final[dict[str, Any]] = {
    "meta": {"api-version": "1.4"},
    "name": "thing",
    "project-status": {"status": "archived"},
    "files": [
        {
            "filename": "thing-1.0-py3-none-any.whl",
            "url": "thing-1.0-py3-none-any.whl",
            "hashes": {"sha256": "a" * 64},
            "size": 3,
            "upload-time": "2026-01-01T00:00:00Z",
            "yanked": "because",
            "core-metadata": {"sha256": "b" * 64},
        }
    ],
}
METADATA: Final = b"""Metadata-Version: 2.4
Name: thing
Version: 1.0
License-Expression: MIT OR Apache-2.0
Classifier: License :: OSI Approved :: MIT License

It does things.
"""

PARSERS: Final = {
    "workload": Parser(
        lambda body, folder: workload.read(_written(folder, "small.toml", body)),
        (ROOT / "workloads" / "small.toml").read_bytes(),
        ".toml",
    ),
    "inventory": Parser(
        lambda body, _: inventory.parse(body, "inventory"), _json(test_inventory.FINE), ".json"
    ),
    "report": Parser(lambda body, _: report.parse(body, "report"), _json(test_report.FINE), ".json"),
    "provenance": Parser(
        lambda body, _: build.parse(body, "provenance"), _json(test_build.STATEMENT), ".json"
    ),
    **{
        f"release: {name}": Parser(_release(name), body, ".toml" if name.endswith(".toml") else "")
        for name, body in RELEASE.files.items()
    },
    "advisory": Parser(_advisories, _json(RECORD), ".json"),
    "advisory in an archive": Parser(_record, _json(RECORD), ".json"),
    "archive of advisories": Parser(_archive, _zipped(_json(RECORD))),
    "deny list": Parser(
        lambda body, folder: DenyList.read(_written(folder, "deny.toml", body)).findings(
            "PyPI", "thing", "1"
        ),
        (
            test_deny_list.entry("thing", ">=1.0,<1.4")
            + test_deny_list.entry("thing", "<< 1.4-2", "Debian:12")
        ).encode(),
        ".toml",
    ),
    **{
        name: Parser(
            lambda body, folder, name=name: EndOfLife.read(  # type: ignore[misc]
                [_written(folder, name, body)], "Debian:12", "3.11", date(2026, 11, 22)
            ).findings("Debian:12", "thing", "1"),
            text.encode(),
            Path(name).suffix if name.endswith(".toml") else "",
        )
        for name, text in (
            ("security-support-ended.deb12", test_end_of_life.ENDED),
            ("security-support-limited", test_end_of_life.LIMITED),
            ("end-of-life.toml", test_end_of_life.OWN),
        )
    },
    "policy": Parser(
        lambda body, folder: Policy.read(_written(folder, "policy.toml", body)),
        (ROOT / "policy.toml").read_bytes(),
        ".toml",
    ),
    "waiver": Parser(
        lambda body, _: waivers.parse(body, "one.json", "waivers/one.json"), _json(WAIVER), ".json"
    ),
    "index page": Parser(
        lambda body, _: parse_page("application/vnd.pypi.simple.v1+json", body.decode("utf-8", "replace")),
        _json(PAGE),
        ".json",
    ),
    "index page of links": Parser(
        lambda body, _: parse_page("text/html", body.decode("utf-8", "replace")),
        f'<a href="../{PAGE["files"][0]["filename"]}#sha256={"a" * 64}" data-yanked="">x</a>'.encode(),
    ),
    "metadata": Parser(lambda body, _: licence.read(body), METADATA),
}


def check(read: Callable[[bytes, Path], object], body: bytes, folder: Path) -> str:
    """What it said against these bytes; empty if they were good."""
    try:
        read(body, folder)
    except DmzError as error:
        said = str(error)
    else:
        return ""
    assert said.strip()
    assert said.isprintable(), repr(said)
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_valid_is_taken(name: str, folder: Path) -> None:
    assert check(PARSERS[name].read, PARSERS[name].valid, folder) == ""


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_lead_to_an_answer_or_a_line(name: str, folder: Path, data: st.DataObject) -> None:
    check(PARSERS[name].read, data.draw(PARSERS[name].bytes()), folder)


def test_a_version_with_more_digits_than_a_number_may_have() -> None:
    assert parse_filename(f"thing-{_HUGE}-py3-none-any.whl") is None
    assert parse_filename(f"thing-{_HUGE}.tar.gz") is None
    artifact = replace(builders.wheel(), filename=f"jax-{_HUGE}-py3-none-any.whl")
    with pytest.raises(InputError, match="pypi/jax"):
        Entry(artifact)


@given(st.text())
def test_an_error_cannot_command_a_terminal(text: str) -> None:
    assert str(InputError(f"{text}\x1b[31m\n")).isprintable()


@pytest.mark.parametrize("name", [name for name, parser in PARSERS.items() if parser.form == ".json"])
@pytest.mark.parametrize("deep", [b"[" * _DEEP, b'{"a":' * _DEEP, b"[" * _DEEP + b"]" * _DEEP, b"1" * 5000])
def test_deep_and_huge_json(name: str, deep: bytes, folder: Path) -> None:
    assert check(PARSERS[name].read, deep, folder)


@pytest.mark.parametrize("name", [name for name, parser in PARSERS.items() if parser.form == ".toml"])
@pytest.mark.parametrize("deep", [b"a = " + b"[" * _DEEP, b"a = " + b"{a=" * _DEEP, b"a = " + b"1" * 5000])
def test_deep_and_huge_toml(name: str, deep: bytes, folder: Path) -> None:
    assert check(PARSERS[name].read, deep, folder)


@given(st.recursive(st.none() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)))
def test_occurrences_of_any_shape(found: Any) -> None:
    occurrence = test_artifact_analysis.vulnerability(packageIssue=found)
    check(lambda *_: ArtifactAnalysis.of([occurrence], NOW), b"", Path())
