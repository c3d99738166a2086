"""The smallest change, and the shortest explanation, against all resolutions of small worlds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from dmz.promotion.conflict import minimal, smallest_cover
from dmz.promotion.remedy import Conflict, Mended, Pins, Question, Search, Way

Universe = Mapping[str, Mapping[str, Sequence[str]]]
"""What there is: name → version → what it requires."""
World = tuple[Universe, list[str], dict[str, frozenset[str]]]
"""What there is, what is asked for, and what is refused."""


def resolutions(universe: Universe, question: Question) -> Iterator[dict[str, str]]:
    """Every resolution: all that is needed, each fit for who needs it, and nothing that is not needed."""

    def extend(chosen: dict[str, str], wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
        open_ = [text for text in wanted if Requirement(text).name not in chosen]
        if any(
            not Requirement(text).specifier.contains(chosen[Requirement(text).name])
            for text in wanted
            if Requirement(text).name in chosen
        ):
            return
        if not open_:
            yield chosen
            return
        name = Requirement(open_[0]).name
        for version in sorted(universe.get(name, {}), key=int, reverse=True):
            if version in question.excluded.get(name, ()):
                continue
            if question.pins.get(name, version) != version:
                continue
            yield from extend({**chosen, name: version}, (*wanted, *universe[name][version]))

    yield from extend({}, question.requirements)


@dataclass
class Small:
    """A resolver that knows everything; whim picks among what fits, as no claim may rest on its taste."""

    universe: Universe
    whim: int = 0
    asked: list[Question] = field(default_factory=list)

    async def resolve(self, question: Question) -> Pins | None:
        self.asked.append(question)
        found = list(resolutions(self.universe, question))
        return found[self.whim % len(found)] if found else None

    async def nearest(self, name: str, version: str) -> Sequence[str]:
        return nearest(self.universe, name, version)


def nearest(universe: Universe, name: str, version: str) -> list[str]:
    return sorted(universe[name], key=lambda text: (abs(int(text) - int(version)), -int(text)))


@dataclass
class List:
    """Refuses by a list; `open` names are known beforehand, the others only when looked at."""

    refusals: Mapping[str, frozenset[str]]
    open: frozenset[str] = frozenset()

    async def refused(self, pins: Pins) -> Collection[str]:
        return [name for name, version in pins.items() if version in self.refusals.get(name, ())]

    async def known(self, name: str) -> Collection[str]:
        return self.refusals.get(name, frozenset()) if name in self.open else frozenset()


def relaxed(requirement: str) -> tuple[str, str] | None:
    parsed = Requirement(requirement)
    return (parsed.name, parsed.name) if parsed.specifier else None


def search(
    universe: Universe,
    requirements: Sequence[str],
    refusals: Mapping[str, frozenset[str]],
    *,
    first: Pins | None = None,
    questions: int = 1000,
    known: bool = False,
    whim: int = 0,
) -> tuple[Mended | Conflict, Pins]:
    resolver, wanted = Small(universe, whim), tuple(requirements)
    start = first or asyncio.run(resolver.resolve(Question(wanted, {}))) or {}
    judge = List(refusals, frozenset(refusals) if known else frozenset())
    return asyncio.run(Search(resolver, judge, wanted, start, relaxed, questions).run()), start


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = "abcd"[: draw(st.integers(2, 4))]
    versions = [str(number) for number in range(1, draw(st.integers(2, 5)) + 1)]

    def need(name: str) -> str:
        operator = draw(st.sampled_from(["", "==", "==", ">=", "<=", "!="]))
        return name + (operator and operator + draw(st.sampled_from(versions)))

    universe = {
        name: {
            version: [
                need(other)
                for other in draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
                if other > name
            ]
            for version in versions
        }
        for name in names
    }
    requirements = [
        need(name) for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    ]
    refusals = {
        name: frozenset(draw(st.lists(st.sampled_from(versions), max_size=3)))
        for name in draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    }
    return universe, requirements, refusals


def moved(first: Pins, found: Pins, refused: Collection[str]) -> int:
    return sum(found.get(name, version) != version for name, version in first.items() if name not in refused)


class TestSmallestChange:
    # Nothing needs d as long as b is far off; that the nearest d is refused turns out only later.
    @example(
        (
            {
                "b": {"1": [], "2": [], "3": ["d==4"], "4": ["d"], "5": []},
                "d": {"1": [], "2": [], "3": [], "4": [], "5": []},
            },
            ["b"],
            {"d": frozenset({"4", "5"})},
        ),
        False,
        285,
    )
    @given(worlds(), st.booleans(), st.integers(0, 1000))
    @settings(max_examples=300, deadline=None)
    def test_against_all_resolutions(self, world: World, known: bool, whim: int) -> None:
        universe, requirements, refusals = world
        if not list(resolutions(universe, Question(tuple(requirements), {}))):
            return
        outcome, first = search(universe, requirements, refusals, known=known, whim=whim)
        fine = list(resolutions(universe, Question(tuple(requirements), refusals)))
        if isinstance(outcome, Conflict):
            assert not fine
            return
        refused = {name for name in first if first[name] in refusals.get(name, ())}
        assert outcome.refused == {name: first[name] for name in refused}
        assert outcome.pins in fine
        assert outcome.fewest
        least = min(moved(first, one, refused) for one in fine)
        assert len(outcome.moved) == moved(first, outcome.pins, refused) == least
        # As near as can be, the refused first, each in turn.
        same = [
            one
            for one in fine
            if all(
                one.get(name, first[name]) == first[name]
                for name in first
                if name not in refused | outcome.moved
            )
        ]

        def distances(one: Pins) -> list[int]:
            places = []
            for name in [*sorted(refused), *sorted(outcome.moved)]:
                order = [v for v in nearest(universe, name, first[name]) if v not in refusals.get(name, ())]
                places.append(order.index(one[name]) if name in one else 0)
            return places

        assert distances(outcome.pins) == min(map(distances, same))

    @given(worlds())
    @settings(max_examples=150, deadline=None)
    def test_without_questions_left_none_could_have_stayed(self, world: World) -> None:
        universe, requirements, refusals = world
        if not list(resolutions(universe, Question(tuple(requirements), {}))):
            return
        outcome, first = search(universe, requirements, refusals, questions=0)
        if isinstance(outcome, Conflict) or not outcome.refused:
            return
        assert not outcome.fewest
        fine = list(resolutions(universe, Question(tuple(requirements), refusals)))
        assert outcome.pins in fine
        kept = {name for name in first if name not in outcome.refused} - outcome.moved
        for name in outcome.moved:
            stay = kept | {name}
            assert not [
                one for one in fine if all(one.get(each, first[each]) == first[each] for each in stay)
            ]

    def test_one_version_back_and_the_rest_stays(self) -> None:
        universe: Universe = {
            "app": {"1": ["lib"]},
            "lib": {"1": [], "2": [], "3": ["leaf"]},
            "leaf": {"1": []},
        }
        outcome, _ = search(universe, ["app"], {"lib": frozenset("3")})
        assert outcome == Mended({"app": "1", "lib": "2"}, {"lib": "3"}, frozenset(), True)

    def test_what_a_resolver_would_move_without_need_stays(self) -> None:
        """Going back with `bad` moves `other`, which has to; `third` stays although a newer one is there."""
        universe: Universe = {
            "bad": {"1": ["other<=2"], "2": ["other"]},
            "other": {"1": [], "2": [], "3": []},
            "third": {"1": [], "2": []},
        }
        first = {"bad": "2", "other": "3", "third": "1"}
        outcome, _ = search(universe, ["bad", "third"], {"bad": frozenset("2")}, first=first)
        assert isinstance(outcome, Mended)
        assert outcome.pins == {"bad": "1", "other": "2", "third": "1"}
        assert outcome.moved == {"other"}

    def test_two_conflicts_with_one_cause_move_one(self) -> None:
        """`hub` stands in both conflicts: it alone moves, although either side could give way in each."""
        universe: Universe = {
            "bad": {"1": ["hub==1", "left", "right"], "2": ["hub", "left", "right"]},
            "hub": {"1": [], "2": [], "3": []},
            "left": {"1": ["hub==2"], "2": ["hub"]},
            "right": {"1": ["hub==3"], "2": ["hub"]},
        }
        first = {"bad": "2", "hub": "2", "left": "2", "right": "2"}
        for whim in range(6):
            outcome, _ = search(universe, ["bad"], {"bad": frozenset("2")}, first=first, whim=whim)
            assert isinstance(outcome, Mended)
            assert outcome.moved == {"hub"}

    def test_one_of_a_pair_that_cannot_both_stay(self) -> None:
        universe: Universe = {
            "bad": {"1": ["one!=2", "two!=2"], "2": ["one", "two"]},
            "one": {"1": [], "2": [], "3": []},
            "two": {"1": [], "2": [], "3": []},
            "three": {"1": [], "2": []},
        }
        first = {"bad": "2", "one": "2", "two": "2", "three": "1"}
        for whim in range(8):
            outcome, _ = search(universe, ["bad", "three"], {"bad": frozenset("2")}, first=first, whim=whim)
            assert isinstance(outcome, Mended)
            assert outcome.pins == {"bad": "1", "one": "3", "two": "3", "three": "1"}
            assert outcome.fewest

    def test_one_of_two_that_could_give_way(self) -> None:
        universe: Universe = {
            "bad": {"1": ["one!=2", "two"], "2": ["one", "two!=2"], "3": ["one", "two"]},
            "one": {"1": [], "2": []},
            "two": {"1": [], "2": []},
        }
        first = {"bad": "3", "one": "2", "two": "2"}
        for whim in range(8):
            outcome, _ = search(universe, ["bad"], {"bad": frozenset("3")}, first=first, whim=whim)
            assert isinstance(outcome, Mended)
            assert len(outcome.moved) == 1

    def test_what_went_does_not_come_back_for_the_next_one(self) -> None:
        """`p` is no longer needed; that `q` could be nearer with a far `p` does not bring `p` back."""
        universe: Universe = {
            "root": {"1": ["p==1", "q==2"], "2": ["q==1"], "3": ["p==3", "q==3"]},
            "p": {"1": [], "2": [], "3": []},
            "q": {"1": [], "2": [], "3": []},
        }
        refusals = {"p": frozenset("3"), "q": frozenset("3")}
        for whim in range(4):
            outcome, _ = search(
                universe, ["root"], refusals, first={"root": "3", "p": "3", "q": "3"}, whim=whim
            )
            assert isinstance(outcome, Mended)
            assert outcome.pins == {"root": "2", "q": "1"}

    def test_the_nearest_of_many(self) -> None:
        universe: Universe = {"a": {str(number): [] for number in range(1, 30)}}
        for whim in (0, 7, 28):
            refusals = {"a": frozenset(str(number) for number in range(12, 20))}
            outcome, _ = search(universe, ["a"], refusals, first={"a": "14"}, whim=whim)
            assert isinstance(outcome, Mended)
            assert outcome.pins == {"a": "11"}

    def test_nothing_is_refused(self) -> None:
        outcome, first = search({"a": {"1": []}}, ["a"], {})
        assert outcome == Mended(first, {}, frozenset(), True)

    def test_what_turns_out_refused_on_the_way_is_left_out_too(self) -> None:
        universe: Universe = {"a": {str(number): [] for number in range(1, 7)}}
        outcome, _ = search(universe, ["a"], {"a": frozenset("6543")})
        assert isinstance(outcome, Mended)
        assert outcome.pins == {"a": "2"}


class TestExplanation:
    @given(worlds())
    @settings(max_examples=200, deadline=None)
    def test_unsatisfiable_and_minimal(self, world: World) -> None:
        universe, requirements, refusals = world
        if not list(resolutions(universe, Question(tuple(requirements), {}))):
            return
        outcome, _ = search(universe, requirements, refusals)
        if isinstance(outcome, Mended):
            return

        def fits(wanted: Sequence[str], excluded: Mapping[str, frozenset[str]]) -> bool:
            return next(resolutions(universe, Question(tuple(wanted), excluded)), None) is not None

        assert not fits(outcome.requirements, outcome.excluded)
        for text in outcome.requirements:
            assert fits([each for each in outcome.requirements if each != text], outcome.excluded)
        for name in outcome.excluded:
            others = {each: gone for each, gone in outcome.excluded.items() if each != name}
            assert fits(outcome.requirements, others)
        for name, gone in outcome.excluded.items():
            assert gone <= refusals[name]

    @given(worlds())
    @settings(max_examples=200, deadline=None)
    def test_ways_out_lead_out(self, world: World) -> None:
        universe, requirements, refusals = world
        if not list(resolutions(universe, Question(tuple(requirements), {}))):
            return
        outcome, _ = search(universe, requirements, refusals)
        if isinstance(outcome, Mended):
            return
        for way in outcome.ways:
            wanted = [
                f"{way.name}=={way.version}" if each == way.requirement else each for each in requirements
            ]
            assert next(resolutions(universe, Question(tuple(wanted), refusals)), None)

    def test_as_a_person_would_say_it(self) -> None:
        universe: Universe = {
            "flax": {"8": ["protobuf<=4"], "9": ["protobuf"], "10": ["protobuf"]},
            "protobuf": {"3": [], "4": [], "5": []},
            "noise": {"1": []},
        }
        outcome, _ = search(universe, ["noise", "flax==8"], {"protobuf": frozenset("34")})
        assert outcome == Conflict(
            ("flax==8",), {"protobuf": frozenset("34")}, (Way("flax==8", "flax", "9"),)
        )


class TestParts:
    @given(st.integers(1, 9), st.data())
    @settings(max_examples=200)
    def test_minimal_conflicts(self, count: int, data: st.DataObject) -> None:
        demands = list(range(count))
        subsets = st.frozensets(st.sampled_from(demands), min_size=1)
        conflicts = data.draw(st.lists(subsets, min_size=1, max_size=4))

        async def fits(some: Sequence[int]) -> bool:
            return not any(conflict <= set(some) for conflict in conflicts)

        found = asyncio.run(minimal(demands, fits))
        assert not asyncio.run(fits(found))
        for each in found:
            assert asyncio.run(fits([one for one in found if one != each]))

    @given(st.lists(st.frozensets(st.sampled_from("abcdef"), min_size=1), max_size=5))
    def test_smallest_cover(self, conflicts: list[frozenset[str]]) -> None:
        found = smallest_cover(conflicts)
        assert all(found & each for each in conflicts)
        for smaller in itertools.combinations("abcdef", len(found) - 1) if found else []:
            assert not all(set(smaller) & each for each in conflicts)

    def test_a_conflict_of_nothing(self) -> None:
        with pytest.raises(ValueError, match="without members"):
            smallest_cover([frozenset()])
