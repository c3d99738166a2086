"""Whatever lies where advisories should be: findings, or one line. Never another exception."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.promotion.advisories.database import Database
from dmz.promotion.advisories.records import decode
from tests.promotion.advisories.records import ALL, packed, record

FIELDS = [
    *("id", "modified", "withdrawn", "aliases", "upstream", "summary", "details", "severity", "affected"),
    *("package", "ecosystem", "name", "ranges", "type", "events", "introduced", "fixed", "last_affected"),
    *("limit", "versions", "score", "ecosystem_specific", "database_specific", "urgency"),
]
WORDS = [
    *(
        "GHSA-1",
        "CVE-1",
        "PyPI",
        "Debian:12",
        "Ubuntu:Pro:22.04:LTS",
        "thing",
        "0",
        "1.0",
        "1:2-3",
        "*",
        "1+x",
    ),
    *(
        "ECOSYSTEM",
        "GIT",
        "CVSS_V3",
        "CVSS_V4",
        "CVSS:3.1/AV:N",
        "CVSS:4.0/",
        "2026-01-01T00:00:00Z",
        "\ud800",
        "\0",
    ),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)
SOUND = packed(
    record([{"introduced": "0"}, {"fixed": "2"}], aliases=["CVE-1"], summary="A summary."),
    record(ALL, ecosystem="Debian:12", identity="B", affected={"versions": ["1-1"]}),
    comment=b'{"dmz":"advisories","feed":"f","as_of":"2026-01-01T00:00:00Z","fetched":"2026-01-01T00:00:00Z"}',
)
THOROUGH = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tolerated(path: Path) -> None:
    try:
        database = Database.open(path)
    except InputError:
        return
    assert database.count
    for ecosystem, version in (("PyPI", "1.0"), ("Debian:12", "1-1"), ("Ubuntu:22.04:LTS", "1")):
        for finding in database.findings(ecosystem, "thing", version):
            assert finding.id in finding.names
        database.mends(ecosystem, "thing", version)


@THOROUGH
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    for name in ("x.json", "x.zip"):
        (tmp_path / name).write_bytes(data)
        tolerated(tmp_path / name)


@THOROUGH
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8))
def test_any_json(tmp_path: Path, document: dict[str, Any]) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"id": "X"} | document))
    tolerated(tmp_path / "x.json")


@THOROUGH
@given(package=VALUES, affected=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
def test_any_statement_about_a_package(tmp_path: Path, package: Any, affected: dict[str, Any]) -> None:
    sound = {"ecosystem": "PyPI", "name": "thing"}
    for each in (sound, package):
        (tmp_path / "x.json").write_text(json.dumps({"id": "X", "affected": [affected | {"package": each}]}))
        tolerated(tmp_path / "x.json")


@THOROUGH
@given(
    kind=st.sampled_from(["CVSS_V3", "CVSS_V4", "CVSS_V2", "Ubuntu"]),
    score=st.text(max_size=30),
    prefix=st.sampled_from(
        ["", "CVSS:3.1/AV:N/", "CVSS:4.0/AV:N/AC:", "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:"]
    ),
)
def test_any_score(tmp_path: Path, kind: str, score: str, prefix: str) -> None:
    (tmp_path / "x.json").write_text(
        json.dumps(record(ALL, severity=[{"type": kind, "score": prefix + score}]))
    )
    tolerated(tmp_path / "x.json")


@THOROUGH
@given(st.integers(0, len(SOUND) - 1), st.integers(1, 255))
def test_any_changed_byte_of_an_archive(tmp_path: Path, place: int, other: int) -> None:
    data = bytearray(SOUND)
    data[place] ^= other
    (tmp_path / "all.zip").write_bytes(data)
    tolerated(tmp_path / "all.zip")


@THOROUGH
@given(st.integers(0, len(SOUND)), st.binary(max_size=12))
def test_any_shortened_archive(tmp_path: Path, length: int, tail: bytes) -> None:
    (tmp_path / "all.zip").write_bytes(SOUND[:length] + tail)
    tolerated(tmp_path / "all.zip")


class TestArchives:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "all.zip"

    def refused(self, path: Path) -> str:
        with pytest.raises(InputError) as refusal:
            Database.open(path)
        assert str(path) in str(refusal.value)
        return str(refusal.value)

    def test_stored_members_are_read_too(self, path: Path) -> None:
        path.write_bytes(packed(record(ALL), method=zipfile.ZIP_STORED))
        assert Database.open(path).count == 1

    def test_an_archive_is_known_by_its_content(self, path: Path) -> None:
        path.with_suffix(".db").write_bytes(SOUND)
        assert Database.open(path.with_suffix(".db")).count == 2

    def test_a_method_that_the_databases_do_not_use(self, path: Path) -> None:
        path.write_bytes(packed(record(ALL), method=zipfile.ZIP_LZMA))
        assert "packed by method 14" in self.refused(path)

    def test_a_damaged_member(self, path: Path) -> None:
        data = bytearray(packed(record(ALL, summary="not as packed"), method=zipfile.ZIP_STORED))
        place = data.index(b"not as packed")
        data[place : place + 3] = b"now"
        path.write_bytes(data)
        assert "its bytes are not the ones that were packed" in self.refused(path)

    def test_a_bomb_is_not_unpacked(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("X.json", b" " * (65 << 20))
        assert "unpacks to more than advisories have" in self.refused(path)

    def test_a_bomb_that_lies_about_its_size_is_not_unpacked(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("X.json", b" " * (65 << 20))
        data = bytearray(path.read_bytes())
        for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            struct.pack_into("<I", data, data.index(signature) + offset, 100)
        path.write_bytes(data)
        tracemalloc.start()
        try:
            assert "its bytes are not the ones that were packed" in self.refused(path)
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()

    def test_one_with_more_members_than_the_old_form_can_count(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(0x10000):
                archive.writestr(f"{number}", b"")
            archive.writestr("last.json", json.dumps(record(ALL)))
            archive.comment = b"PK\x05\x06 is no end of it"
        assert Database.open(path).count == 1

    def test_names_lead_nowhere(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../outside.json", json.dumps(record(ALL)))
        assert Database.open(path).count == 1
        assert list(path.parent.iterdir()) == [path]

    def test_a_foreign_comment_is_no_stamp(self, path: Path) -> None:
        for comment in (
            b"hello",
            b"[]",
            b'{"dmz":"advisories"}',
            b'{"dmz":"advisories","feed":"f","as_of":"?","fetched":"?"}',
        ):
            path.write_bytes(packed(record(ALL), comment=comment))
            assert not Database.open(path).fetched

    def test_the_error_names_the_record(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("X.json", "{}")
        assert f"{path}: X.json: no OSV record" in self.refused(path)


def test_an_unreadable_place_in_an_error_is_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a\nb\x1b.json", "{}")
    with pytest.raises(InputError, match=r"a b\?\.json"):
        Database.open(tmp_path)


class Place:
    where = "here"


@given(st.binary(max_size=60))
def test_any_bytes_as_a_record(data: bytes) -> None:
    with suppress(InputError):
        assert decode(data, Place()).id
