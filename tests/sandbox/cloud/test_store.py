"""The store keeps what was declared, whatever happens to the process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.cloud.store import Store, read_records
from sandbox.cloud.tokens import Tokens


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resources.jsonl"


def test_it_is_there_when_opened_again(path: Path) -> None:
    store = Store(path)
    store.put("a/1", {"x": 1})
    store.put("a/1", {"x": 2})
    store.put("a/2", {})
    store.delete("a/2")
    store.delete("a/none")
    assert Store(path).list("") == {"a/1": {"x": 2}} == read_records(path)


def test_a_line_that_was_cut_off_is_the_only_one_lost(path: Path) -> None:
    store = Store(path)
    store.put("a", {"x": 1})
    store.put("b", {"x": 2})
    text = path.read_text()
    for end in range(len(text) - 10, len(text)):
        path.write_text(text[:end])
        again = Store(path)
        assert again.list("") == {"a": {"x": 1}}
        again.put("c", {})
        assert Store(path).list("") == {"a": {"x": 1}, "c": {}}


def test_a_journal_that_is_damaged_is_not_taken_for_an_empty_one(path: Path) -> None:
    path.write_text('["a",{"x":1}]\nnonsense\n["b",{}]\n')
    with pytest.raises(json.JSONDecodeError):
        Store(path)
    assert "nonsense" in path.read_text()


def test_what_was_overwritten_goes_when_it_is_opened(path: Path) -> None:
    store = Store(path)
    for number in range(100):
        store.put("a", {"x": number})
    Store(path)
    assert len(path.read_text().splitlines()) == 1


def test_callers_have_copies(path: Path) -> None:
    store = Store(path)
    store.put("a", {"x": []})
    for copy in (store.get("a"), store.list("a")["a"]):
        assert copy is not None
        copy["x"].append(1)
    assert store.get("a") == {"x": []}


def test_prefixes_and_order(path: Path) -> None:
    store = Store(path)
    for name in ("b/2", "b/1", "c"):
        store.put(name, {})
    assert list(store.list("b/")) == ["b/1", "b/2"]


def test_tokens_outlive_the_process_but_not_their_end(tmp_path: Path) -> None:
    token = Tokens(tmp_path / "key").issue("user:a@b.c")
    again = Tokens(tmp_path / "key")
    assert again.identity(token) == "user:a@b.c"
    assert again.identity(again.issue("user:a@b.c", lifetime=0)) is None
    assert Tokens(tmp_path / "other").identity(token) is None
