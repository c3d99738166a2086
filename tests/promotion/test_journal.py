"""The journal's form, and what it says of whole runs."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.promotion import journal, runs
from dmz.promotion.journal import Action, Entry, Event, Lines, entries, parse, parse_name, run_name
from dmz.promotion.plan import Plan
from dmz.promotion.runs import State
from tests.promotion.builders import deb, wheel

NOW = datetime(2026, 11, 22, 17, 3, 11, tzinfo=UTC)
RUN = run_name(NOW, "0123456789abcdef")


def made(*events: Event) -> list[Entry]:
    found: list[Entry] = []
    for event in events:
        found += [parse(data, name) for name, data in entries(RUN, len(found) + 1, NOW, event)]
    return found


def test_an_object_says_in_its_name_what_it_is() -> None:
    [(name, data)] = entries(RUN, 7, NOW, Event(Action.TOOK_OVER, ("a", "b"), "why", {"x": 1}))
    assert name == f"journal/{RUN}/000007-took-over.json"
    assert parse_name(name) == (RUN, 7, Action.TOOK_OVER)
    assert json.loads(data) == {
        "format": 1,
        "run": RUN,
        "number": 7,
        "action": "took over",
        "at": "2026-11-22T17:03:11.000000Z",
        "items": ["a", "b"],
        "note": "why",
        "details": {"x": 1},
    }


def test_the_newest_run_is_the_last_by_name() -> None:
    later = run_name(NOW.replace(hour=18), "0" * 16)
    assert sorted([later, RUN]) == [RUN, later]
    assert journal.begun(RUN) == NOW


def test_many_items_take_several_objects() -> None:
    items = tuple(f"item {number}" for number in range(journal.PART * 2 + 1))
    found = made(Event(Action.BEGAN, items, "why", {"who": "ada"}))
    assert [(each.number, each.part, each.parts) for each in found] == [(1, 1, 3), (2, 2, 3), (3, 3, 3)]
    assert tuple(item for each in found for item in each.items) == items
    assert [each.note for each in found] == ["why", "", ""]


def test_they_are_made_one_by_one() -> None:
    read: list[int] = []

    def line(number: int) -> str:
        read.append(number)
        return f"item {number}"

    event = Event(Action.BEGAN, Lines().of(range(journal.PART * 2 + 1), line))
    assert journal.parts(event) == 3
    assert read == []
    objects = entries(RUN, 1, NOW, event)
    next(objects)
    assert len(read) == journal.PART
    assert [len(parse(data, name).items) for name, data in objects] == [journal.PART, 1]


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=4), st.data())
def test_lines_are_those_of_all_their_items(parts: list[list[int]], data: st.DataObject) -> None:
    made_of, lines = [str(each) for part in parts for each in part], Lines()
    for part in parts:
        lines.of(part, str)
    assert (len(lines), list(lines)) == (len(made_of), made_of)
    window = data.draw(st.slices(len(made_of)))
    assert lines[window] == tuple(made_of[window])
    for index in range(-len(made_of), len(made_of)):
        assert lines[index] == made_of[index]
    for index in (len(made_of), -len(made_of) - 1):
        with pytest.raises(IndexError):
            lines[index]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "journal/",
        f"journal/{RUN}/1-began.json",
        f"journal/{RUN}/000001-burnt.json",
        "journal/x/000001-began.json",
    ],
)
def test_other_names_are_no_entries(name: str) -> None:
    assert parse_name(name) is None


@given(st.binary() | st.sampled_from([b"[" * 100_000, b"{}", b"null", b'{"format":1}', b"\xff\xfe"]))
def test_any_bytes_lead_to_an_answer_or_a_refusal(data: bytes) -> None:
    with suppress(InputError):
        parse(data, "journal/x")


class TestRuns:
    BEGAN = Event(
        Action.BEGAN,
        details={
            "who": "ada@example.org",
            "said": {"user": "ada@home"},
            "doing": "sync",
            "releases": {"small": "ab"},
        },
    )

    @pytest.mark.parametrize(
        ("events", "alive", "state"),
        [
            ((), False, State.KILLED),
            ((), True, State.RUNNING),
            ((Event(Action.ENDED, details={"copied": 3, "withdrawn": 1, "bytes": 10}),), True, State.ENDED),
            ((Event(Action.FAILED, note="the disk is full"),), False, State.FAILED),
        ],
    )
    def test_how_it_stands(self, events: tuple[Event, ...], alive: bool, state: State) -> None:
        found = runs.run(RUN, made(self.BEGAN, *events), alive=alive)
        assert (found.state, found.who, found.doing) == (state, "ada@example.org", "sync")
        assert found.releases == {"small": "ab"}
        assert found.copied == (3 if state is State.ENDED else None)
        assert found.note == ("the disk is full" if state is State.FAILED else "")

    def test_a_killed_one_tells_how_far_it_came(self) -> None:
        copied = Event(Action.COPIED, ("x",), details={"copied": 12})
        assert runs.run(RUN, made(self.BEGAN, copied), alive=False).copied == 12

    @given(
        st.dictionaries(st.text(max_size=5), st.none() | st.integers(-9, 9) | st.lists(st.text(max_size=3)))
    )
    def test_details_of_any_shape(self, details: dict[str, object]) -> None:
        details = {**details, "who": details.get("who", 3), "said": details.get("said", []), "copied": True}
        found = runs.run(
            RUN, made(Event(Action.BEGAN, details=details), Event(Action.ENDED, details=details)), alive=False
        )
        assert found.who == "unknown"
        assert found.copied is None

    def test_who_takes_over_says_what_is_in_place(self) -> None:
        there, missing = deb("hello"), wheel("jax")
        told = made(Event(Action.BEGAN, runs.intended(Plan(copy=(there, missing)))))
        event = runs.Takeover(RUN, {there.sha256}).told(told)
        assert event.action is Action.TOOK_OVER
        assert len(event.items) == 1
        assert there.sha256 in event.items[0]
        assert "1 of 2 artifacts" in event.note
        assert RUN in event.note

    def test_of_many_part_by_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journal, "PART", 2)
        artifacts = tuple(deb(f"p{number}", content=bytes([number])) for number in range(5))
        held = {each.sha256 for each in artifacts[1:]}
        told = made(Event(Action.BEGAN, runs.intended(Plan(copy=artifacts))))
        assert [each.parts for each in told] == [3, 3, 3]
        taken = runs.Takeover(RUN, held)
        events = [taken.told([each], each.part, each.parts) for each in told]
        lines = [line for event in events for line in event.items]
        assert lines == [journal.described(each) for each in artifacts if each.sha256 in held]
        assert "part 1 of 3" in events[0].note
        assert events[-1].note.endswith("4 of 5 artifacts that it meant to copy are in place")
