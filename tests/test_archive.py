"""Keeping and pruning, in the sandbox's Cloud Storage and with the access that the stacks declare."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dmz import targets
from dmz.archive import announce, records
from dmz.artifact import Artifact, Kind
from dmz.cli import cli
from dmz.errors import DmzError, InputError, RefusedError, TransferError
from dmz.promotion import release as releases
from dmz.promotion import retention
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release
from dmz.registries.archive import BucketArchive, Content
from dmz.registries.bucket import Bucket
from dmz.registries.claiming import PRUNE, Holder
from dmz.registries.google import Google
from dmz.registries.lease import hold
from dmz.workflow.archive import Archived as Found
from dmz.workflow.archive import Pruned, prune, show
from dmz.workflow.estate import Estate
from tests.archives import ARCHIVIST, BUCKET, SYNC, Archived, acting_as, archive
from tests.registries.support import artifact, stream

ROOT = Path(__file__).parents[1]
OUTPUTS = {
    "side": "outer",
    "project": "outer",
    "location": "us-central1",
    "archiveBucket": BUCKET,
    "archivistServiceAccount": ARCHIVIST,
}
INNER: dict[str, Any] = {}


def one(number: int) -> Artifact:
    body = f"body {number}".encode()
    return artifact(Kind.PYPI, f"p{number}", "1.0", f"p{number}-1.0-py3-none-any.whl", body)


def release(*numbers: int, workload: str = "small") -> Release:
    entries = tuple(Entry(one(number)) for number in numbers)
    return Release(workload, "0" * 64, "sandbox-debian-12", "1" * 64, "3.11", entries)


class Upper(Estate):
    """An estate whose outer stack is up."""

    def outer_outputs(self) -> Mapping[str, Any]:
        return OUTPUTS

    def inner_outputs(self) -> Mapping[str, Any]:
        if not INNER:
            raise InputError("stack inner is not up")
        return INNER


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    with archive(Path(tmp_path_factory.mktemp("archive"))) as made:
        yield made


@pytest.fixture(autouse=True)
def outer(cloud: Archived, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archived]:
    """An archive in which nothing is young."""
    monkeypatch.setattr(retention, "YOUNG", timedelta(days=-1))
    yield cloud
    for name in cloud.names():
        cloud.box.call("DELETE", "storage", f"storage/v1/b/{BUCKET}/o/{name.replace('/', '%2F')}")


@pytest.fixture
def estate(tmp_path: Path) -> Upper:
    """One that keeps two releases."""
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "workloads", tmp_path / "workloads")
    with (tmp_path / "Pulumi.outer.yaml").open("a") as out:
        out.write("  dmz:keptReleases: 2\n")
    return Upper(tmp_path)


def silent(_: object) -> None:
    pass


def announced(*releases: Release, project: str = "inner", patience: float = 0) -> int:
    return acting_as(
        SYNC,
        lambda google: announce(Bucket(google, BUCKET), project, "us-central1", releases, patience=patience),
    )


def kept(*numbers: int) -> None:
    """Put the bodies of these into the archive."""

    async def put(google: Google) -> None:
        for number in numbers:
            await BucketArchive(google, BUCKET).put(one(number), stream(f"body {number}".encode()))

    acting_as(SYNC, put)


def synced(made: Release, project: str = "inner") -> None:
    """What a sync does to the archive."""
    announced(made, project=project)
    kept(*(int(each.name[1:]) for each in made.artifacts))


def looked(estate: Estate, verify: bool = False, forget: str = "") -> Found:
    gone = [retention.Gone.parse(forget)] if forget else []
    return asyncio.run(show(estate, silent, verify=verify, forget=gone))


def pruned(estate: Estate, agreed: Found | None = None) -> Pruned:
    return asyncio.run(prune(estate, agreed or looked(estate), silent))


def held(cloud: Archived) -> set[int]:
    """The numbers of the files that are kept."""
    names = {f"sha256/{one(number).sha256}": number for number in range(20)}
    return {names[name] for name in cloud.names("sha256/")}


class TestAnnounce:
    def test_a_release_is_written_down_with_all_that_it_names(self, outer: Archived) -> None:
        assert announced(release(1, 2), release(3, workload="other")) == 2
        found = {name.split("/")[3]: name for name in outer.names("releases/")}
        assert found.keys() == {"small", "other"}
        [record, _] = sorted(
            acting_as(SYNC, lambda google: records(Bucket(google, BUCKET))),
            key=lambda each: each.stack.workload,
            reverse=True,
        )
        assert record.name == found["small"]
        assert record.parse(outer.read(record.name)) == release(1, 2)

    def test_the_same_again_is_not_written_again(self, outer: Archived) -> None:
        assert [announced(release(1)), announced(release(1))] == [1, 0]
        assert announced(release(1), project="other") == 1

    def test_going_back_is(self, outer: Archived) -> None:
        assert [announced(release(1)), announced(release(2)), announced(release(1))] == [1, 1, 1]
        assert len(outer.names("releases/")) == 3

    def test_what_somebody_else_left_there_stops_no_sync(self, outer: Archived) -> None:
        outer.write("releases/inner/us-central1/small/notes.txt", b"x")
        assert announced(release(1)) == 1

    def test_it_waits_while_the_archive_is_pruned(self, outer: Archived) -> None:
        begun, end = threading.Event(), threading.Event()

        async def pruning(google: Google) -> None:
            holder = Holder("ada", "run", "host")
            async with hold(Bucket(google, BUCKET), PRUNE, holder, patience=0, say=silent):
                begun.set()
                await asyncio.to_thread(end.wait, 30)

        other = threading.Thread(target=acting_as, args=(ARCHIVIST, pruning))
        other.start()
        try:
            assert begun.wait(30)
            with pytest.raises(TransferError, match="the prune of ada"):
                announced(release(1))
            # The pruning may have read the records before this one: so it is there, and nothing was copied.
            assert len(outer.names("releases/")) == 1
        finally:
            end.set()
            other.join()
        assert announced(release(1)) == 0


class TestShow:
    def test_an_archive_that_nothing_is_in(self, estate: Upper) -> None:
        found = looked(estate)
        assert (found.objects, found.bytes, found.free, found.stacks, found.nothing_to_do) == (
            0,
            0,
            (),
            {},
            True,
        )

    def test_what_is_kept_for_whom_and_what_would_go(self, estate: Upper) -> None:
        for made in (release(1, 2), release(2, 3), release(3, 4)):
            synced(made)
        synced(release(5), project="second")
        found = looked(estate)
        assert {str(stack): [each.digest for each in has] for stack, has in found.stacks.items()} == {
            "small in inner/us-central1": [release(3, 4).digest, release(2, 3).digest],
            "small in second/us-central1": [release(5).digest],
        }
        assert (found.objects, found.bytes) == (5, 5 * len(b"body 1"))
        assert [each.sha256 for each in found.free] == [one(1).sha256]
        assert [each.digest for each in found.old] == [release(1, 2).digest]

    def test_what_is_young_stays(self, estate: Upper, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "YOUNG", timedelta(days=1))
        kept(1)
        found = looked(estate)
        assert (found.free, [each.sha256 for each in found.young]) == ((), [one(1).sha256])

    def test_what_is_missing_or_of_another_size_is_told(self, estate: Upper, outer: Archived) -> None:
        announced(release(1, 2))
        outer.write(f"sha256/{one(2).sha256}", b"?")
        found = looked(estate)
        assert (found.missing, found.damaged) == ((one(1).sha256,), (one(2).sha256,))

    def test_an_outer_side_of_an_earlier_version(
        self, estate: Upper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(OUTPUTS, "archiveBucket")
        with pytest.raises(InputError, match=r"earlier version.*'archiveBucket'.*pulumi up -s outer"):
            looked(estate)


class TestPrune:
    def test_what_no_kept_release_names_goes_and_nothing_else(self, estate: Upper, outer: Archived) -> None:
        for made in (release(1, 2), release(2, 3), release(3, 4), release(7, workload="other")):
            synced(made)
        synced(release(1), project="second")
        kept(9)
        assert pruned(estate) == Pruned(1, len(b"body 9"), 1)
        assert held(outer) == {1, 2, 3, 4, 7}
        assert looked(estate).nothing_to_do

    def test_twice_does_nothing_the_second_time(self, estate: Upper, outer: Archived) -> None:
        for number in range(4):
            synced(release(number))
        agreed = looked(estate)
        assert pruned(estate, agreed) == Pruned(2, 2 * len(b"body 0"), 2)
        before = outer.names()
        assert pruned(estate, agreed) == Pruned()
        assert outer.names() == before

    def test_what_came_back_meanwhile_stays(self, estate: Upper, outer: Archived) -> None:
        for number in range(4):
            synced(release(number))
        agreed = looked(estate)
        assert len(agreed.free) == 2
        announced(release(0))  # somebody goes back, after the question and before the answer
        pruned(estate, agreed)
        assert 0 in held(outer)

    def test_nothing_goes_that_nobody_agreed_to(self, estate: Upper, outer: Archived) -> None:
        kept(1)
        agreed = looked(estate)
        kept(2)
        pruned(estate, agreed)
        assert held(outer) == {2}

    def test_what_was_put_there_anew_stays(self, estate: Upper, outer: Archived) -> None:
        kept(1)
        agreed = looked(estate)
        outer.write(f"sha256/{one(1).sha256}", b"body 1")  # another generation
        assert pruned(estate, agreed).objects == 0
        assert held(outer) == {1}

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            ("releases/notes.txt", b"x"),
            ("releases/inner/us-central1/small/20261122T120000.000000Z-" + "a" * 64 + ".json", b"{"),
        ],
    )
    def test_a_record_that_can_not_be_read_is_not_nothing(
        self, estate: Upper, outer: Archived, name: str, body: bytes
    ) -> None:
        synced(release(1))
        kept(9)
        outer.write(name, body)
        with pytest.raises(InputError, match="nothing is pruned before somebody looked at it") as caught:
            pruned(estate)
        assert f"gs://{BUCKET}" in str(caught.value)
        assert name in str(caught.value)
        assert held(outer) == {1, 9}

    def test_a_failure_in_the_middle_loses_nothing(
        self, estate: Upper, outer: Archived, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(6):
            synced(release(number, 10))
        agreed = looked(estate)
        remove = BucketArchive.remove
        done: list[str] = []

        async def failing(self: BucketArchive, content: Content) -> bool:
            if len(done) == 2:
                raise TransferError("it broke")
            done.append(content.sha256)
            return await remove(self, content)

        monkeypatch.setattr(BucketArchive, "remove", failing)
        with pytest.raises(TransferError, match="it broke"):
            pruned(estate, agreed)
        assert held(outer) >= {4, 5, 10}
        assert len(outer.names("releases/")) == 6
        assert not outer.names("lease/")
        monkeypatch.setattr(BucketArchive, "remove", remove)
        assert pruned(estate).records == 4
        assert held(outer) == {4, 5, 10}
        assert looked(estate).nothing_to_do

    def test_two_at_once(self, estate: Upper, outer: Archived) -> None:
        kept(1)
        agreed = looked(estate)

        async def both(google: Google) -> None:
            holder = Holder("ada", "run", "host")
            async with hold(Bucket(google, BUCKET), PRUNE, holder, patience=0, say=silent):
                await prune(estate, agreed, silent)

        with pytest.raises(RefusedError, match="the prune of ada is at work"):
            acting_as(ARCHIVIST, both)
        assert held(outer) == {1}

    def test_who_syncs_can_not(self, estate: Upper, outer: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
        kept(1)
        agreed = looked(estate)
        monkeypatch.setitem(OUTPUTS, "archivistServiceAccount", SYNC)
        with pytest.raises(DmzError, match="403"):
            pruned(estate, agreed)
        assert held(outer) == {1}


class TestDamage:
    def damage(self, outer: Archived) -> None:
        """Two files that a kept release names; one of them gets other bytes of the same length."""
        synced(release(1, 2))
        outer.write(f"sha256/{one(1).sha256}", b"ydob 1")

    def test_it_is_found_by_reading_alone(self, estate: Upper, outer: Archived) -> None:
        self.damage(outer)
        assert looked(estate).wrong is None
        assert looked(estate).nothing_to_do
        assert [each.sha256 for each in looked(estate, verify=True).wrong or ()] == [one(1).sha256]

    def test_it_goes_and_the_rest_stays(self, estate: Upper, outer: Archived) -> None:
        self.damage(outer)
        assert pruned(estate) == Pruned()
        assert held(outer) == {1, 2}
        assert pruned(estate, looked(estate, verify=True)) == Pruned(1, len(b"body 1"), 0)
        assert held(outer) == {2}
        assert looked(estate, verify=True).wrong == ()
        assert looked(estate).missing == (one(1).sha256,)

    def test_what_took_its_place_meanwhile_stays(self, estate: Upper, outer: Archived) -> None:
        self.damage(outer)
        agreed = looked(estate, verify=True)
        outer.write(f"sha256/{one(1).sha256}", b"body 1")
        assert pruned(estate, agreed) == Pruned()
        assert held(outer) == {1, 2}


class TestForget:
    def test_what_only_a_stack_that_is_gone_had_goes_with_its_records(
        self, estate: Upper, outer: Archived
    ) -> None:
        synced(release(1, 2))
        synced(release(2, 3), project="second")
        synced(release(4, workload="other"), project="second")
        assert looked(estate).nothing_to_do
        found = looked(estate, forget="second/us-central1")
        assert {str(stack) for stack in found.stacks} == {"small in inner/us-central1"}
        assert len(found.forgotten) == 2
        assert pruned(estate, found) == Pruned(2, 2 * len(b"body 3"), 2)
        assert held(outer) == {1, 2}

    def test_one_workload_of_it(self, estate: Upper, outer: Archived) -> None:
        synced(release(1))
        synced(release(4, workload="other"))
        pruned(estate, looked(estate, forget="inner/us-central1/other"))
        assert held(outer) == {1}

    def test_one_that_turned_out_to_be_alive_stays(self, estate: Upper, outer: Archived) -> None:
        synced(release(1), project="second")
        agreed = looked(estate, forget="second")
        synced(release(1, 2), project="second")  # after the question and before the answer
        pruned(estate, agreed)
        assert held(outer) == {1, 2}
        assert [
            each.digest for each in looked(estate).stacks[retention.Stack("second", "us-central1", "small")]
        ]

    @pytest.mark.parametrize("text", ["third", "second/europe-west4", "second/us-central1/large"])
    def test_what_was_never_there_is_an_error(self, estate: Upper, outer: Archived, text: str) -> None:
        synced(release(1), project="second")
        with pytest.raises(InputError, match=r"no release went there.*second/us-central1"):
            looked(estate, forget=text)

    @pytest.mark.parametrize("text", ["", "/", "a/b/c/d", "Inner", "inner/", "../x", "a\nb"])
    def test_what_names_no_stack_is_an_error(self, text: str) -> None:
        with pytest.raises(InputError, match="names no inner stack"):
            retention.Gone.parse(text)

    def test_a_stack_that_is_up_is_not_forgotten(
        self, estate: Upper, outer: Archived, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced(release(1))
        synced(release(4, workload="other"))
        monkeypatch.setitem(INNER, "project", "inner")
        monkeypatch.setitem(INNER, "location", "us-central1")
        releases.write(release(1), estate.releases)
        for text in ("inner", "inner/us-central1/small"):
            with pytest.raises(InputError, match="small in inner/us-central1 is in use"):
                looked(estate, forget=text)
        pruned(estate, looked(estate, forget="inner/us-central1/other"))
        assert held(outer) == {1}


class TestCommand:
    @pytest.fixture(autouse=True)
    def target(self, monkeypatch: pytest.MonkeyPatch, estate: Upper) -> None:
        monkeypatch.setattr(targets, "enter", lambda name, say: None)
        monkeypatch.setattr(Estate, "outer_outputs", Upper.outer_outputs)
        monkeypatch.setattr(Estate, "inner_outputs", Upper.inner_outputs)
        monkeypatch.chdir(estate.folder)

    def call(self, *arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(cli, ["archive", *arguments], input=answer)

    def test_show(self, estate: Upper) -> None:
        for made in (release(1), release(2), release(3)):
            synced(made)
        done = self.call("show")
        assert done.exit_code == 0, done.output
        newest = f"the newest is {release(3).digest[:16]}…"
        assert f"small in inner/us-central1: 2 of at most 2 releases are kept, {newest}" in done.stdout
        assert "1 files (6 B) and 1 records are needed by no kept release" in done.stdout
        document = json.loads(self.call("show", "--json").stdout)
        assert document["free"] == {"objects": 1, "bytes": 6, "records": 1}
        [stack] = document["stacks"]
        assert [each["release_digest"] for each in stack["releases"]] == [
            release(3).digest,
            release(2).digest,
        ]

    def test_prune_shows_and_asks(self, outer: Archived) -> None:
        kept(1)
        done = self.call("prune", answer="n\n")
        assert done.exit_code == 1
        assert "Delete 1 files (6 B) and 0 records for good?" in done.stdout
        assert held(outer) == {1}
        done = self.call("prune", answer="y\n")
        assert done.exit_code == 0, done.output
        assert "Deleted 1 files (6 B) and 0 records." in done.stdout
        assert held(outer) == set()
        done = self.call("prune")
        assert done.exit_code == 0
        assert "Nothing had to go." in done.stdout

    def test_damage_is_shown_and_mended(self, outer: Archived) -> None:
        synced(release(1, 2))
        outer.write(f"sha256/{one(1).sha256}", b"ydob 1")
        assert self.call("show").exit_code == 0
        done = self.call("show", "--verify")
        assert done.exit_code == 4
        assert f"! sha256:{one(1).sha256} is damaged" in done.stdout
        assert json.loads(self.call("show", "--verify", "--json").stdout)["wrong"] == [one(1).sha256]
        done = self.call("prune", "--verify", answer="y\n")
        assert "Delete 0 files (0 B), 1 files (6 B) that are damaged and 0 records for good?" in done.stdout
        assert held(outer) == {2}
        assert "none of them damaged" in self.call("show", "--verify").stdout

    def test_a_stack_is_forgotten_after_a_question(self, outer: Archived) -> None:
        synced(release(1), project="second")
        done = self.call("prune", "--forget", "second", answer="n\n")
        assert done.exit_code == 1
        assert "small in second/us-central1 is forgotten, with 1 records" in done.stdout
        assert held(outer) == {1}
        done = self.call("prune", "--forget", "second", "--json", "--yes")
        assert json.loads(done.stdout)["forgotten"] == {"small in second/us-central1": 1}
        assert held(outer) == set()
        assert self.call("prune", "--forget", "second", "--yes").exit_code == 2

    def test_prune_for_scripts(self, outer: Archived) -> None:
        kept(1)
        refused = self.call("prune", "--json")
        assert refused.exit_code == 2
        assert held(outer) == {1}
        done = self.call("prune", "--json", "--yes")
        assert json.loads(done.stdout)["pruned"] == {"objects": 1, "bytes": 6, "records": 0}
        assert json.loads(self.call("prune", "--json", "--yes").stdout)["pruned"]["objects"] == 0

    def test_many_files_that_are_missing_are_a_few_lines(self) -> None:
        announced(replace(release(*range(1, 9))))
        done = self.call("show")
        assert done.stdout.count("is missing: ") == 5
        assert "so it is with 3 more files" in done.stdout
