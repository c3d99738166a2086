"""Pages of the simple API: both forms, all facts, any bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import TransferError
from dmz.registries.simple import IndexFile, Page, parse_page, parse_simple

JSON = "application/vnd.pypi.simple.v1+json"
A, B = "a" * 64, "b" * 64


def page(*files: dict[str, Any], **more: Any) -> Page:
    return parse_page(JSON, json.dumps({"meta": {"api-version": "1.1"}, "files": list(files), **more}))


def test_every_fact_of_the_json_form() -> None:
    [file] = page(
        {
            "filename": "a-1.0-py3-none-any.whl",
            "url": "../../a-1.0-py3-none-any.whl",
            "hashes": {"sha256": A, "md5": "x"},
            "size": 3,
            "upload-time": "2026-01-02T03:04:05.000006Z",
            "yanked": "bad",
            "core-metadata": {"sha256": B},
            "provenance": "https://example.org/p",
        }
    ).files
    assert file == IndexFile(
        "a-1.0-py3-none-any.whl",
        A,
        3,
        "2026-01-02T03:04:05.000006Z",
        True,
        "bad",
        "../../a-1.0-py3-none-any.whl",
        B,
        "https://example.org/p",
    )
    assert file.moment == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_what_the_json_form_does_not_say_is_not_known() -> None:
    [file] = page({"filename": "a-1.0.tar.gz", "url": "x", "hashes": {}, "yanked": False}).files
    assert file == IndexFile("a-1.0.tar.gz", "", None, None, False, address="x")
    assert file.moment is None


def test_yanked_without_a_reason_is_yanked() -> None:
    first, second, third = page(
        {"filename": "a", "yanked": ""}, {"filename": "b", "yanked": True}, {"filename": "c", "yanked": None}
    ).files
    assert [(each.yanked, each.reason) for each in (first, second, third)] == [
        (True, ""),
        (True, ""),
        (False, ""),
    ]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"core-metadata": {"sha256": A}, "dist-info-metadata": {"sha256": B}}, A),
        ({"dist-info-metadata": {"sha256": B}}, B),
        ({"core-metadata": True}, ""),
        ({"core-metadata": False, "dist-info-metadata": {"sha256": B}}, ""),
        ({"core-metadata": {"sha256": "../x"}}, ""),
    ],
)
def test_metadata_count_only_with_a_digest(said: dict[str, Any], meant: str) -> None:
    [file] = page({"filename": "a.whl", **said}).files
    assert file.metadata == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"project-status": {"status": "archived", "reason": "x"}}, "archived"),
        ({"meta": {"api-version": "1.4"}}, "active"),
        ({"meta": {"api-version": "1.10"}}, "active"),
        ({"meta": {"api-version": "1.3"}}, None),
        ({"meta": {"api-version": "one"}}, None),
        ({"meta": 5, "project-status": 5}, None),
    ],
)
def test_status_of_the_project(said: dict[str, Any], meant: str | None) -> None:
    assert page(**said).status == meant


def test_every_fact_of_the_html_form() -> None:
    text = (
        f'<a href="https://files.example/x/a%2Bb-1.0.whl#sha256={A}" data-yanked="it&#39;s bad" '
        f'data-dist-info-metadata="sha256={B}" data-provenance="https://example.org/p">a</a>'
        '<A data-requires-python="&gt;=3.8" HREF = "../../c-1.0.tar.gz" >c</a><abbr href="d"></abbr>'
        "<a rel=x href='e-1.0-py3-none-any.whl#md5=1'>e</a><a href=f-1.0.zip>f</a><a name='g'>g</a>"
        '<a href="h%2Fi.whl">h</a><a href="j.whl" data-core-metadata="true">j</a>'
    )
    found = parse_simple("text/html; charset=utf-8", text)
    names = ["a+b-1.0.whl", "c-1.0.tar.gz", "e-1.0-py3-none-any.whl", "f-1.0.zip", "j.whl"]
    assert [file.filename for file in found] == names
    assert (found[0].sha256, found[0].yanked, found[0].reason) == (A, True, "it's bad")
    assert (found[0].metadata, found[0].provenance) == (B, "https://example.org/p")
    assert {file.sha256 for file in found[1:]} == {""}
    assert found[4].metadata == ""


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (JSON, json.dumps({"files": [{"filename": "a.whl", "hashes": {"sha256": each}} for each in (A, B)]})),
        ("text/html", f'<a href="a.whl#sha256={A}"></a><a href="x/a.whl#sha256={B}"></a>'),
    ],
)
def test_one_file_name_with_two_contents_is_refused(kind: str, text: str) -> None:
    with pytest.raises(TransferError, match=rf"^a\.whl is offered with two contents, sha256:{A} and sha256:"):
        parse_page(kind, text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", "null", '{"files": 5}', '{"files": null}', '{"files": [5]}', "[" * 100_000, "{}"],
)
def test_what_is_no_page_is_one_line(text: str) -> None:
    with pytest.raises(TransferError, match="no page of the simple API") as refused:
        parse_page(JSON, text)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["../a.whl", "a/b.whl", "a\\b.whl", "", "a b.whl", "a\n.whl", "ä.whl", 5, None]
)
def test_what_is_no_file_name_is_left_out(name: object) -> None:
    assert page({"filename": name, "hashes": {"sha256": A}}).files == ()


@pytest.mark.parametrize("text", ["yesterday", "2026-01-02T03:04:05", "0001-01-01T00:00:00+14:00", ""])
def test_a_moment_that_cannot_be_read_is_not_known(text: str) -> None:
    [file] = page({"filename": "a.whl", "upload-time": text}).files
    assert file.moment is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("filename", "url", "hashes", "size", "upload-time", "yanked", "core-metadata", "provenance")


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), anything), max_size=3), anything, anything)
def test_any_json_is_a_page_or_one_line(files: list[Any], meta: Any, status: Any) -> None:
    text = json.dumps({"files": files, "meta": meta, "project-status": status})
    try:
        for file in parse_page(JSON, text).files:
            assert file.moment is None or file.moment.tzinfo
    except TransferError:
        pass


@given(st.text())
def test_any_text_is_a_page_or_one_line(text: str) -> None:
    for kind in (JSON, "text/html"):
        try:
            parse_page(kind, text)
        except TransferError as error:
            said = str(error)
        else:
            said = ""
        assert len(said.splitlines()) <= 1
