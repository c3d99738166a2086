from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError, TransferError
from dmz.promotion.copying import Limits, Places
from dmz.promotion.journal import Action, Event
from dmz.promotion.place import slot, unit
from dmz.promotion.plan import plan
from dmz.promotion.stream import UnapprovedError
from dmz.promotion.transfer import Counters, Observers, carry_out
from dmz.registries.interface import Stored
from tests.promotion import builders
from tests.promotion.builders import deb, file, sha, stored, wheel
from tests.promotion.memory import Memory, MemoryArchive

QUICK = Limits(first_delay=0.0, listing=0.0)


class World:
    """An outer and an inner side in memory."""

    def __init__(self) -> None:
        self.outer = {
            name: Memory()
            for name in (
                "python-remote",
                "python-built",
                "apt-bookworm",
                "apt-bookworm-security",
                "apt-built",
                "files",
            )
        }
        self.inner = {kind: Memory(stages=kind is Kind.APT) for kind in Kind}
        self.archive: MemoryArchive | None = None
        self.said: list[str] = []
        self.events: list[Event] = []

    def offer(self, artifact: Artifact, content: bytes) -> Artifact:
        self.outer[artifact.origin].add(artifact, content)
        return artifact

    def content(self) -> list[Stored]:
        return sorted(record for memory in self.inner.values() for record, _ in memory.held.values())

    def sync(
        self,
        *desired: Artifact,
        limits: Limits = QUICK,
        sources: Mapping[str, Memory] | None = None,
    ) -> Counters:
        made = plan(desired, self.content())
        made.check(adopt=True)
        places = Places(self.outer if sources is None else sources, self.inner, self.archive)
        return asyncio.run(
            carry_out(made, places, Observers(lambda what: self.said.append(str(what)), self.record), limits)
        )

    async def record(self, event: Event) -> None:
        self.events.append(event)


def test_a_sync_copies_keeps_and_withdraws() -> None:
    world = World()
    jax = world.offer(wheel("jax", content=b"x" * 100), b"x" * 100)
    jq = world.offer(deb("jq", content=b"debian"), b"debian")
    data = world.offer(file(content=b"file"), b"file")
    world.inner[Kind.APT].add(jq, b"debian")
    world.inner[Kind.PYPI].add(wheel("old"), b"wheel")
    counters = world.sync(jax, jq, data)
    assert replace(counters, seconds=0.0) == Counters(copied=2, kept=1, withdrawn=1, bytes=104)
    assert world.content() == sorted(stored(each) for each in (jax, jq, data))
    assert "0 of 2 files copied, 0.0 of 0.0 MiB" in world.said


def test_a_second_sync_does_nothing() -> None:
    world = World()
    jax = world.offer(wheel("jax"), b"wheel")
    world.sync(jax)
    for memory in world.inner.values():
        memory.log.clear()
    world.events.clear()
    assert replace(world.sync(jax), seconds=0.0) == Counters(kept=1)
    assert [memory.log for memory in world.inner.values() if memory.log] == [["settle 0"]]
    assert world.events == []


@pytest.mark.parametrize("fails", [False, True])
def test_who_reads_is_told_when_all_is_there_and_before_anything_goes(fails: bool) -> None:
    world = World()
    jax, old = world.offer(wheel("jax"), b"wheel"), wheel("old")
    world.inner[Kind.PYPI].add(old, b"wheel")
    seen: list[list[Stored]] = []

    async def arrived() -> None:
        seen.append(world.content())
        if fails:
            raise TransferError("nobody could be told")

    made = plan([jax], world.content())
    work = carry_out(made, Places(world.outer, world.inner), Observers(arrived=arrived), QUICK)
    if fails:
        with pytest.raises(TransferError, match="nobody could be told"):
            asyncio.run(work)
        assert world.content() == sorted([stored(jax), stored(old)])
    else:
        asyncio.run(work)
        assert world.content() == [stored(jax)]
    assert seen == [sorted([stored(jax), stored(old)])]


def test_withdrawing_comes_after_copying_and_comparing() -> None:
    world = World()
    jax = world.offer(wheel("jax"), b"wheel")
    world.inner[Kind.PYPI].add(wheel("old"), b"wheel")
    world.sync(jax)
    assert world.inner[Kind.PYPI].log == [f"put {jax.filename}", "list 1", "withdraw 1"]


def test_changed_bytes_are_refused_once_and_nothing_is_withdrawn() -> None:
    world = World()
    jax = world.offer(wheel("jax", content=b"good"), b"evil")
    old = wheel("old")
    world.inner[Kind.PYPI].add(old, b"wheel")
    with pytest.raises(UnapprovedError, match="pypi/jax"):
        world.sync(jax)
    assert world.content() == [stored(old)]
    assert world.inner[Kind.PYPI].log == []
    assert world.outer["python-remote"].log == [f"open {jax.filename}"]


def test_a_broken_connection_is_tried_again() -> None:
    world = World()
    jax = world.offer(wheel("jax", content=b"x" * 100), b"x" * 100)
    world.outer["python-remote"].failures[jax.filename] = QUICK.attempts - 1
    assert world.sync(jax).copied == 1
    world = World()
    world.offer(jax, b"x" * 100)
    world.outer["python-remote"].failures[jax.filename] = QUICK.attempts
    with pytest.raises(TransferError, match="the connection broke"):
        world.sync(jax)
    assert world.content() == []


def test_an_interrupted_sync_goes_on_where_it_stopped() -> None:
    world = World()
    fine = [world.offer(wheel(f"a{n}", content=bytes([n]) * 30), bytes([n]) * 30) for n in range(5)]
    bad = world.offer(wheel("bad", content=b"good"), b"evil")
    with pytest.raises(UnapprovedError):
        world.sync(*fine, bad, limits=replace(QUICK, concurrency=1))
    already = len(world.content())
    assert 0 < already <= len(fine)
    world.offer(bad, b"good")
    counters = world.sync(*fine, bad)
    assert (counters.kept, counters.copied) == (already, len(fine) + 1 - already)


def test_transfers_are_concurrent_up_to_the_limit() -> None:
    world = World()
    many = [world.offer(wheel(f"a{n}", content=bytes([n]) * 50), bytes([n]) * 50) for n in range(12)]

    class Slow(Memory):
        def _chunks(self, filename: str, content: bytes) -> Iterator[bytes]:
            for chunk in super()._chunks(filename, content):
                time.sleep(0.001)
                yield chunk

    slow = Slow()
    slow.held = world.outer["python-remote"].held
    world.sync(*many, limits=replace(QUICK, concurrency=3), sources=world.outer | {"python-remote": slow})
    assert world.inner[Kind.PYPI].most_active == 3


def test_a_destination_that_records_other_bytes_is_found_before_anything_is_withdrawn() -> None:
    class Lying(Memory):
        async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
            return [replace(each, sha256="0" * 64) for each in await super().list(of)]

    world = World()
    jax = world.offer(wheel("jax"), b"wheel")
    world.inner[Kind.PYPI] = Lying()
    world.inner[Kind.APT].add(deb("old"), b"deb")
    with pytest.raises(TransferError, match=f"approved is SHA-256 {jax.sha256}.*has {'0' * 64}"):
        world.sync(jax)
    assert stored(deb("old")) in world.content()


def test_a_destination_that_forgets_is_found() -> None:
    class Forgetful(Memory):
        async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
            list(chunks)

    world = World()
    world.inner[Kind.PYPI] = Forgetful()
    with pytest.raises(TransferError, match="has no such file"):
        world.sync(world.offer(wheel("jax"), b"wheel"))


def test_an_unknown_origin_is_told_before_anything_is_copied() -> None:
    world = World()
    jq, jax = world.offer(deb("jq"), b"deb"), replace(wheel("jax"), origin="python-gone")
    with pytest.raises(InputError, match="no repository 'python-gone'"):
        world.sync(jq, jax)
    assert world.content() == []


def test_an_error_of_our_own_is_not_taken_for_a_refusal() -> None:
    class Broken(Memory):
        async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
            raise ZeroDivisionError

    world = World()
    world.inner[Kind.PYPI] = Broken()
    with pytest.raises(ExceptionGroup) as group:
        world.sync(world.offer(wheel("jax"), b"wheel"))
    assert group.group_contains(ZeroDivisionError)


@st.composite
def offers(draw: st.DrawFn) -> dict[Artifact, bytes]:
    """Artifacts that can be in one repository together, with their bytes; other names have other bytes."""
    found = {}
    for artifact in draw(st.lists(builders.artifacts, max_size=6, unique_by=unit)):
        content = f"{artifact.name} {artifact.version} {artifact.filename}".encode()
        digest = sha(content)
        version = digest if artifact.kind is Kind.FILE else artifact.version
        found[replace(artifact, sha256=digest, size=len(content), version=version)] = content
    return found


@given(first=offers(), second=offers())
def test_after_a_sync_inner_holds_the_release_and_the_next_plan_is_empty(
    first: dict[Artifact, bytes], second: dict[Artifact, bytes]
) -> None:
    world = World()
    for desired in (first, second, first):
        for artifact, content in desired.items():
            world.offer(artifact, content)
        made = plan(desired, world.content())
        if made.lingering:
            return  # A version delete could not take it: told, and not the subject here.
        counters = world.sync(*desired)
        assert {slot(each) for each in world.content()} == {slot(each) for each in desired}
        assert {each.sha256 for each in world.content()} == {each.sha256 for each in desired}
        assert counters.copied + counters.kept == len(desired)
        assert plan(desired, world.content()).empty


def test_changed_bytes_under_an_approved_name_go_first_and_the_right_ones_come() -> None:
    world = World()
    one = world.offer(wheel("jax", "1", b"one"), b"one")
    two = world.offer(wheel("jax", "1", b"two", tag="py2-none-any"), b"two")
    world.inner[Kind.PYPI].add(one, b"one")
    world.inner[Kind.PYPI].add(two, b"evil")
    counters = world.sync(one, two)
    assert world.content() == sorted([stored(one), stored(two)])
    assert (counters.copied, counters.withdrawn) == (2, 2)
    assert world.inner[Kind.PYPI].log[0] == "withdraw 1"
    assert [each.action for each in world.events][:2] == [Action.CLEARING, Action.WITHDRAWN]


def test_bytes_that_cannot_be_got_rid_of_stop_the_sync_and_a_person_is_told_what_to_do() -> None:
    class Stubborn(Memory):
        async def withdraw(self, stored: Iterable[Stored]) -> None:
            self.log.append("refused to withdraw")

    world = World()
    jax = world.offer(wheel("jax", "1", b"good"), b"good")
    world.inner[Kind.PYPI] = Stubborn()
    world.inner[Kind.PYPI].add(jax, b"evil")
    world.inner[Kind.APT].add(deb("old"), b"deb")
    with pytest.raises(TransferError, match="delete version 1 of jax there yourself"):
        world.sync(jax)
    assert stored(deb("old")) in world.content()


def test_a_name_that_the_service_does_not_give_again_is_for_a_person_to_mend() -> None:
    class Reserving(Memory):
        """Gives a name only once, as some package indexes do."""

        async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
            list(chunks)

    world = World()
    jax = world.offer(wheel("jax", "1", b"good"), b"good")
    world.inner[Kind.PYPI] = Reserving()
    world.inner[Kind.PYPI].add(jax, b"evil")
    with pytest.raises(TransferError, match="seems not to give the name again: delete jax there as a whole"):
        world.sync(jax)
    assert world.content() == []


def test_debs_are_staged_admitted_together_and_waited_for() -> None:
    world = World()
    debs = [world.offer(deb(name, content=name.encode()), name.encode()) for name in ("jq", "curl", "git")]
    world.sync(*debs)
    apt = world.inner[Kind.APT]
    assert sorted(apt.log[:3]) == sorted(f"put {each.filename}" for each in debs)
    assert apt.log[3:] == ["admit 3", "list", "settle 3"]
    assert apt.waiting == {}


def test_what_a_killed_run_staged_is_not_sent_again() -> None:
    world = World()
    jq, curl = (world.offer(deb(name, content=name.encode()), name.encode()) for name in ("jq", "curl"))
    world.inner[Kind.APT].waiting[jq] = b"jq"
    world.sync(jq, curl)
    assert world.inner[Kind.APT].log == [f"put {curl.filename}", "admit 2", "list", "settle 2"]
    assert world.content() == sorted([stored(jq), stored(curl)])


def test_what_was_staged_for_a_release_that_was_given_up_does_not_stay() -> None:
    world = World()
    world.inner[Kind.APT].waiting[deb("jq")] = b"deb"
    world.sync(world.offer(wheel("jax"), b"wheel"))
    assert world.inner[Kind.APT].waiting == {}
    assert world.content() == [stored(wheel("jax"))]


def test_what_is_staged_and_not_archived_is_archived() -> None:
    world = World()
    world.archive = MemoryArchive()
    jq = world.offer(deb("jq"), b"deb")
    world.inner[Kind.APT].waiting[jq] = b"deb"
    world.sync(jq)
    assert world.archive.kept == {jq.sha256: b"deb"}
    assert world.content() == [stored(jq)]


def test_one_reading_fills_inner_and_the_archive() -> None:
    world = World()
    world.archive = MemoryArchive()
    jax = world.offer(wheel("jax"), b"wheel")
    world.sync(jax)
    assert world.archive.kept == {jax.sha256: b"wheel"}
    assert world.outer["python-remote"].log == [f"open {jax.filename}"]


def test_what_the_archive_has_needs_no_upstream() -> None:
    world = World()
    world.archive = MemoryArchive()
    jax, gone = wheel("jax"), replace(wheel("gone", content=b"gone"), origin="python-gone")
    world.archive.kept = {jax.sha256: b"wheel", gone.sha256: b"gone"}
    world.sync(jax, gone)
    assert world.content() == sorted([stored(jax), stored(gone)])
    assert sorted(world.archive.log) == [f"open {gone.filename}", f"open {jax.filename}"]


def test_what_inner_holds_already_is_archived_from_there() -> None:
    world = World()
    world.archive = MemoryArchive()
    jax = wheel("jax")
    world.inner[Kind.PYPI].add(jax, b"wheel")
    world.sync(jax)
    assert world.archive.kept == {jax.sha256: b"wheel"}
    assert world.inner[Kind.PYPI].log == [f"open {jax.filename}"]


@pytest.mark.parametrize("kept", [b"wrong", b"whee", b"wheels", b""])
def test_what_the_archive_keeps_with_other_bytes_comes_from_its_source(kept: bytes) -> None:
    world = World()
    world.archive = MemoryArchive()
    jax = world.offer(wheel("jax"), b"wheel")
    world.archive.kept = {jax.sha256: kept}
    world.outer["python-remote"].failures[jax.filename] = QUICK.attempts - 1
    world.sync(jax)
    assert world.content() == [stored(jax)]
    assert world.archive.kept == {jax.sha256: kept}
    [damaged] = [each for each in world.events if each.action is Action.DAMAGED]
    assert damaged.items == (f"{jax.key} {jax.version} {jax.filename} sha256:{jax.sha256}",)
    assert f"sha256/{jax.sha256} is damaged, so python-remote is asked" in damaged.note
    assert "dmz archive prune --verify" in damaged.note


def test_it_is_said_once_however_many_names_the_bytes_have() -> None:
    world = World()
    world.archive = MemoryArchive()
    both = [world.offer(wheel(name), b"wheel") for name in ("flax", "jax")]
    world.archive.kept = {both[0].sha256: b"wrong"}
    world.sync(*both)
    assert world.content() == sorted(map(stored, both))
    assert len([each for each in world.events if each.action is Action.DAMAGED]) == 1


@pytest.mark.parametrize("fails", range(QUICK.attempts))
def test_whenever_the_archive_shows_its_damage_the_copy_is_whole_or_fails(fails: int) -> None:
    class Slow(MemoryArchive):
        left = fails

        def _chunks(self, content: bytes) -> Iterator[bytes]:
            if self.left:
                self.left -= 1
                raise TransferError("it broke off")
            yield content

    world = World()
    world.archive = Slow()
    jax = world.offer(wheel("jax"), b"wheel")
    world.archive.kept = {jax.sha256: b"wrong"}
    world.sync(jax)
    assert world.content() == [stored(jax)]


def test_what_nobody_else_has_is_refused() -> None:
    world = World()
    world.archive = MemoryArchive()
    jax = wheel("jax")
    world.archive.kept = {jax.sha256: b"wrong"}
    with pytest.raises(UnapprovedError, match="is damaged, and outer has no repository 'python-remote'"):
        world.sync(jax, sources={})
    assert world.content() == []


def test_what_its_source_has_with_other_bytes_as_well_is_refused() -> None:
    world = World()
    world.archive = MemoryArchive()
    jax = world.offer(wheel("jax"), b"other")
    world.archive.kept = {jax.sha256: b"wrong"}
    with pytest.raises(UnapprovedError, match="python-remote served SHA-256"):
        world.sync(jax)
    assert world.content() == []


def test_a_try_after_half_succeeded_does_only_the_other_half() -> None:
    class Full(MemoryArchive):
        broken = 2

        async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
            if self.broken:
                self.broken -= 1
                raise TransferError("the archive is full")
            await super().put(artifact, chunks)

    world = World()
    world.archive = Full()
    jax = world.offer(wheel("jax"), b"wheel")
    world.sync(jax)
    assert set(world.archive.kept) == {jax.sha256}
    assert world.content() == [stored(jax)]


def test_a_listing_that_lags_is_waited_for() -> None:
    class Lagging(Memory):
        behind = 3

        async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
            self.behind -= 1
            return [] if self.behind >= 0 else await super().list(of)

    world = World()
    world.inner[Kind.PYPI] = Lagging()
    jax = world.offer(wheel("jax"), b"wheel")
    world.sync(jax, limits=replace(QUICK, listing=60.0))
    assert world.content() == [stored(jax)]
    assert any("lists all that it took" in each for each in world.said)


def test_an_upload_whose_answer_was_lost_is_not_sent_for_ever() -> None:
    class Deaf(Memory):
        """Takes what it is given and answers nothing; what it has it refuses before it has read it."""

        async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
            if slot(artifact) not in self.held:
                await super().put(artifact, chunks)
            raise TransferError("the connection broke")

    world = World()
    world.inner[Kind.PYPI] = Deaf()
    jax = world.offer(wheel("jax"), b"wheel")
    world.sync(jax)
    assert world.content() == [stored(jax)]


def test_where_many_fail_at_once_one_listing_tells_what_arrived() -> None:
    class Broken(Memory):
        failures_left = 24

        async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
            if self.failures_left:
                self.failures_left -= 1
                raise TransferError("the connection broke")
            await super().put(artifact, chunks)

        async def list(self, of: Collection[Artifact] | None = None) -> list[Stored]:
            held = await super().list(of)
            await asyncio.sleep(0.05)
            return held

    world = World()
    broken = world.inner[Kind.PYPI] = Broken()
    many = [world.offer(wheel(f"a{n}", content=bytes([n])), bytes([n])) for n in range(8)]
    world.sync(*many, limits=replace(QUICK, first_delay=0.02))
    assert world.content() == sorted(stored(each) for each in many)
    assert broken.log.count("list") < len(many)


def test_a_busy_service_is_left_alone_for_as_long_as_it_asks() -> None:
    class Busy(Memory):
        refusals = 3

        async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
            if self.refusals:
                self.refusals -= 1
                raise TransferError("too many requests", busy=True, wait=0.05)
            await super().put(artifact, chunks)

    world = World()
    world.inner[Kind.PYPI] = Busy()
    many = [world.offer(wheel(f"a{n}", content=bytes([n])), bytes([n])) for n in range(6)]
    world.sync(*many)
    assert world.content() == sorted(stored(each) for each in many)


@given(desired=offers(), others=offers(), order=st.randoms(use_true_random=False))
def test_whatever_is_there_before_and_in_whatever_order_the_end_is_the_release(
    desired: dict[Artifact, bytes], others: dict[Artifact, bytes], order: random.Random
) -> None:
    world = World()
    world.archive = MemoryArchive()
    for artifact in desired:
        world.offer(artifact, desired[artifact])
        if order.random() < 0.5:
            # In a bucket other bytes have another place.
            other = desired[artifact] if artifact.kind is Kind.FILE else b"other bytes"
            world.inner[artifact.kind].add(artifact, order.choice([desired[artifact], other]))
    for artifact, content in others.items():
        if order.random() < 0.5 and slot(artifact) not in world.inner[artifact.kind].held:
            world.inner[artifact.kind].add(artifact, content)
    sequence = list(desired)
    order.shuffle(sequence)
    world.sync(*sequence)
    assert {(slot(each), each.sha256) for each in world.content()} == {
        (slot(each), each.sha256) for each in desired
    }
    assert plan(sequence, world.content()).empty
    assert world.archive.kept.keys() == {each.sha256 for each in desired}


@pytest.mark.parametrize("steps", range(12))
def test_a_copy_that_is_called_off_begins_nothing_anew_even_if_it_fails_at_that_moment(steps: int) -> None:
    puts: list[str] = []

    class Failing(Memory):
        async def put(self, artifact: Artifact, chunks: Iterator[bytes]) -> None:
            puts.append(artifact.filename)
            if len(puts) == 1:
                later(steps)
            raise TransferError("it failed", busy=False)

    def later(left: int) -> None:
        if left:
            asyncio.get_running_loop().call_soon(later, left - 1)
        else:
            running[0].cancel()

    async def run() -> None:
        made = plan([jax], [])
        places = Places(world.outer, {**world.inner, Kind.PYPI: Failing()}, MemoryArchive())
        limits = replace(QUICK, concurrency=1, first_delay=0.01)
        running.append(asyncio.create_task(carry_out(made, places, Observers(), limits)))
        with pytest.raises(asyncio.CancelledError):
            await running[0]

    running: list[asyncio.Task[Counters]] = []
    world = World()
    jax = world.offer(wheel("jax"), b"wheel")
    asyncio.run(run())
    assert len(puts) == 1


@pytest.mark.parametrize("archives", [True, False])
def test_what_only_inner_has_is_kept_before_its_version_is_cleared(archives: bool) -> None:
    world = World()
    world.archive = MemoryArchive()
    jax = wheel("jax", content=b"wheel")  # its index forgot it
    world.inner[Kind.PYPI].add(jax, b"wheel")
    world.inner[Kind.PYPI].add(replace(jax, filename="jax-1.0-py2-none-any.whl"), b"theirs")
    if not archives:
        world.inner[Kind.PYPI].failures[jax.filename] = 100
        with pytest.raises(TransferError, match="the connection broke"):
            world.sync(jax)
        assert len(world.content()) == 2
        return
    world.sync(jax)
    assert world.content() == [stored(jax)]
    assert world.archive.kept == {jax.sha256: b"wheel"}
