"""Retention: nothing that a kept release names may go, in whatever order its records are read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release
from dmz.promotion.retention import (
    YOUNG,
    Record,
    Stack,
    expendable,
    folder_of,
    name_of,
    render,
    retain,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
STACK = Stack("dmz-inner", "us-central1", "small")
WHEEL = Artifact(
    Kind.PYPI, "jax", "", "0.4", "jax-0.4-py3-none-any.whl", "a" * 64, 7, "python-remote", ("requested",)
)
DEB = Artifact(Kind.APT, "hello", "amd64", "1:2.10-3", "hello_2.10-3_amd64.deb", "b" * 64, 8, "apt-bookworm")
RELEASE = Release(
    "small", "c" * 64, "sandbox-debian-12", "d" * 64, "3.11", (Entry(DEB, "hello", "1:2.10-3"), Entry(WHEEL))
)
NAME = name_of(STACK, RELEASE.digest, NOW)
BODY = render(RELEASE)


OTHER = replace(RELEASE, entries=RELEASE.entries[:1])


def changed(**fields: object) -> bytes:
    """The record with another field."""
    return json.dumps({**json.loads(BODY), **fields}).encode()


def record(digest: int, minutes: int, workload: str = "small", project: str = "dmz-inner") -> Record:
    """The record of a release that is called by a number, so many minutes before now."""
    when = NOW - timedelta(minutes=minutes)
    return Record.of(name_of(Stack(project, "us-central1", workload), f"{digest:064x}", when), when)


def kept(records: list[Record], newest: int) -> set[tuple[str, int, int]]:
    return {
        (each.stack.workload, int(each.digest, 16), int((NOW - each.created).total_seconds() // 60))
        for each in retain(records, newest).kept
    }


class TestRecord:
    def test_it_says_what_it_is_about(self) -> None:
        assert (
            name_of(STACK, RELEASE.digest, NOW)
            == f"releases/dmz-inner/us-central1/small/20261122T120000.000000Z-{RELEASE.digest}.json"
        )
        assert NAME.startswith(folder_of(STACK))
        found = Record.of(NAME, NOW)
        assert (found.stack, found.digest, found.created) == (STACK, RELEASE.digest, NOW)

    def test_it_has_the_whole_release(self) -> None:
        assert Record.of(NAME, NOW).parse(BODY) == RELEASE

    def test_the_same_release_gives_the_same_bytes(self) -> None:
        other = Release("small", "c" * 64, "sandbox-debian-12", "d" * 64, "3.11", RELEASE.entries[::-1])
        assert render(other) == BODY

    def test_an_empty_release_has_a_record_too(self) -> None:
        empty = Release("small", "c" * 64, "sandbox-debian-12", "d" * 64, "3.11", ())
        assert Record.of(name_of(STACK, empty.digest, NOW), NOW).parse(render(empty)) == empty

    @pytest.mark.parametrize(
        "name",
        [
            "releases/notes.txt",
            NAME.replace("releases/", "release/"),
            NAME.replace("/small", ""),
            NAME.replace("small", "small/er"),
            NAME.replace("small", ".."),
            NAME.removesuffix(".json"),
            NAME + "\n",
            NAME.replace(RELEASE.digest, RELEASE.digest.upper()),
            NAME.replace(RELEASE.digest, RELEASE.digest[:-1]),
        ],
    )
    def test_what_is_called_otherwise_is_none(self, name: str) -> None:
        with pytest.raises(InputError, match="not called like a record") as caught:
            Record.of(name, NOW)
        assert "nothing is pruned" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff",
            b"[]",
            b"3",
            b"{}",
            b"[" * 100_000,
            BODY[:-1],
            BODY.replace(b'"locks"', b'"lock"'),
            changed(locks="none"),
            changed(locks=[]),
            changed(locks={}),
            changed(locks=dict.fromkeys(RELEASE.files, 3)),
            changed(locks=dict.fromkeys(RELEASE.files, "")),
            changed(locks=dict(list(json.loads(BODY)["locks"].items())[1:])),
            changed(version=2),
            changed(version=None),
            BODY.replace(b"a" * 64, b"e" * 64),
            render(OTHER),
            render(replace(RELEASE, workload="other")),
        ],
    )
    def test_what_can_not_be_read_keeps_nobody_knows_what(self, body: bytes) -> None:
        with pytest.raises(InputError) as caught:
            Record.of(NAME, NOW).parse(body)
        assert NAME in str(caught.value)
        assert "\n" not in str(caught.value)

    @given(st.binary(max_size=200))
    def test_any_bytes(self, body: bytes) -> None:
        with pytest.raises(InputError):
            Record.of(NAME, NOW).parse(body)


class TestRetain:
    def test_the_newest_of_each_stack(self) -> None:
        records = [record(digest, digest) for digest in (1, 2, 3)] + [
            record(digest, digest + 10, "other") for digest in (4, 5)
        ]
        found = retain(records, 2)
        assert {(each.stack.workload, int(each.digest, 16)) for each in found.kept} == {
            ("small", 1),
            ("small", 2),
            ("other", 4),
            ("other", 5),
        }
        assert [int(each.digest, 16) for each in found.old] == [3]
        assert {
            stack.workload: [int(each.digest, 16) for each in has] for stack, has in found.stacks.items()
        } == {
            "other": [4, 5],
            "small": [1, 2],
        }

    def test_each_inner_project_is_a_stack_of_its_own(self) -> None:
        records = [record(1, 1), record(2, 2, project="other-inner")]
        assert len(retain(records, 1).kept) == 2

    def test_one_that_came_back_counts_once_with_its_last_time(self) -> None:
        records = [record(1, 30), record(2, 20), record(3, 10), record(1, 5)]
        assert kept(records, 2) == {("small", 1, 5), ("small", 3, 10)}

    def test_the_archives_clock_decides_and_not_the_stamp(self) -> None:
        ahead = Record.of(name_of(STACK, "1" * 64, NOW + timedelta(days=900)), NOW - timedelta(days=2))
        assert retain([ahead, record(2, 1)], 1).kept == (record(2, 1),)

    def test_keeping_nothing_is_no_retention(self) -> None:
        with pytest.raises(ValueError, match="0"):
            retain([], 0)

    @given(
        st.lists(
            st.tuples(st.integers(0, 6), st.integers(0, 40), st.sampled_from(["small", "other"])), max_size=25
        ),
        st.integers(1, 5),
        st.randoms(use_true_random=False),
    )
    def test_the_order_never_matters(
        self, made: list[tuple[int, int, str]], newest: int, random: object
    ) -> None:
        records = [record(*each) for each in made]
        mixed = list(records)
        random.shuffle(mixed)  # type: ignore[attr-defined]
        assert retain(mixed, newest) == retain(records, newest)

    @given(
        st.lists(
            st.tuples(st.integers(0, 6), st.integers(0, 40), st.sampled_from(["small", "other"])), max_size=25
        ),
        st.integers(1, 5),
    )
    def test_the_newest_are_kept_and_no_record_is_lost(
        self, made: list[tuple[int, int, str]], newest: int
    ) -> None:
        records = [record(*each) for each in made]
        found = retain(records, newest)
        assert sorted(each.name for each in (*found.kept, *found.old)) == sorted(
            each.name for each in records
        )
        for workload in {each[2] for each in made}:
            last: dict[int, int] = {}
            for digest, minutes, _ in (each for each in made if each[2] == workload):
                last[digest] = min(minutes, last.get(digest, 99))
            has = {int(each.digest, 16) for each in found.kept if each.stack.workload == workload}
            assert len(has) == min(newest, len(last))
            # Nothing that is not kept came later than something that is.
            assert all(last[digest] >= max(last[one] for one in has) for digest in last.keys() - has)

    @given(
        st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), max_size=25),
        st.integers(1, 5),
        st.integers(1, 5),
    )
    def test_keeping_more_never_drops_one(self, made: list[tuple[int, int]], fewer: int, more: int) -> None:
        records = [record(*each) for each in made]
        assert kept(records, fewer) <= kept(records, fewer + more)


class TestExpendable:
    FILES = st.dictionaries(st.integers(0, 12), st.integers(0, 72), max_size=12)

    @given(FILES, st.sets(st.integers(0, 12)))
    def test_nothing_that_a_kept_release_names_ever_goes(
        self, hours: dict[int, int], named: set[int]
    ) -> None:
        created = {f"{each:064x}": NOW - timedelta(hours=age) for each, age in hours.items()}
        needed = {f"{each:064x}" for each in named}
        gone = expendable(created, needed, NOW)
        assert not needed & set(gone)
        assert all(NOW - created[each] >= YOUNG for each in gone)
        stays = created.keys() - set(gone) - needed
        assert all(NOW - created[each] < YOUNG for each in stays)

    def test_what_came_within_the_last_day_stays(self) -> None:
        created = {"a" * 64: NOW - YOUNG, "b" * 64: NOW - YOUNG + timedelta(seconds=1)}
        assert expendable(created, (), NOW) == ["a" * 64]

    def test_so_does_what_came_in_the_future(self) -> None:
        assert expendable({"a" * 64: NOW + timedelta(days=400)}, (), NOW) == []
