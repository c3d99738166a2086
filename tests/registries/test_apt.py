"""The registry of Debian packages against a real server, with everything that goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import pytest

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError, RefusedError, TransferError
from dmz.registries.apt import AptRegistry
from dmz.registries.debian import AptIndex, Packages
from dmz.registries.google import Google
from dmz.registries.interface import Stored
from tests.registries.conftest import FAST, as_sync
from tests.registries.counterpart import Counterpart, Fault, deb
from tests.registries.support import artifact, read, refused, stored, stream

DATA = deb("hello", "1:2.10-3")
WANTED = artifact(
    Kind.APT, "hello", "1:2.10-3", "hello_2.10-3_amd64.deb", DATA, architecture="amd64", origin="apt-bookworm"
)
PLACE = f"{WANTED.sha256}/{WANTED.filename}"


def registry(google: Google, known: Iterable[Artifact] = ()) -> AptRegistry:
    return AptRegistry(google, "inner", "us-central1", "apt", staging="staging", known=known)


@pytest.fixture
def inner(cloud: Counterpart) -> Counterpart:
    cloud.add("inner/apt", "APT")
    cloud.buckets["staging"] = {}
    return cloud


def asked(cloud: Counterpart, part: str) -> int:
    return len([path for _, path, _ in cloud.requests if part in path])


async def through(google: Google, wanted: Artifact, data: bytes) -> None:
    """What a sync does with one deb."""
    there = registry(google)
    await there.put(wanted, stream(data[:9], data[9:]))
    await there.admit([wanted])
    await there.settle([wanted])


class TestList:
    def test_empty(self, inner: Counterpart) -> None:
        assert as_sync(lambda google: registry(google).list()) == []

    def test_epoch_and_architecture(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", "hello_2.10-3_amd64.deb", DATA)
        other = deb("common", "1~rc1+b2", "all")
        inner.keep("inner/apt", "common_1~rc1+b2_all.deb", other)
        found = as_sync(lambda google: registry(google).list())
        expected = artifact(
            Kind.APT, "common", "1~rc1+b2", "common_1~rc1+b2_all.deb", other, architecture="all"
        )
        assert found == [stored(expected), stored(WANTED)]

    def test_a_component_with_a_prefix(self, inner: Counterpart) -> None:
        inner.index_components = "updates/main"  # as Debian's security suite has it
        inner.keep("inner/apt", WANTED.filename, DATA)
        assert as_sync(lambda google: read(registry(google), WANTED)) == DATA

    def test_what_the_index_does_not_show_yet(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", "hello_2.10-3_amd64.deb", DATA)
        inner.index_delay["inner/apt"] = 99
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]

    def test_the_record_is_enough(self, inner: Counterpart) -> None:
        """One listing for each page, and nothing else."""
        for number in range(5):
            inner.keep("inner/apt", f"p{number}_1_amd64.deb", deb(f"p{number}", "1:1"))
        found = as_sync(lambda google: registry(google).list())
        assert [(one.name, one.version, one.architecture) for one in found] == [
            (f"p{number}", "1:1", "amd64") for number in range(5)
        ]
        assert [one.owner for one in found] == [(f"p{number}", "1:1") for number in range(5)]
        assert [path for _, path, identity in inner.requests if identity == "sync"] == [
            "/v1/projects/inner/locations/us-central1/repositories/apt/files"
        ] * 3

    def test_the_index_tells_what_the_record_does_not(self, inner: Counterpart) -> None:
        inner.paths = False
        inner.keep("inner/apt", WANTED.filename, DATA)
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]
        assert asked(inner, "InRelease") == 1

    def test_a_known_deb_needs_neither(self, inner: Counterpart) -> None:
        inner.paths = False
        inner.keep("inner/apt", WANTED.filename, DATA)
        assert as_sync(lambda google: registry(google, [WANTED]).list()) == [stored(WANTED)]
        assert not asked(inner, "InRelease")

    def test_an_owner_that_does_not_agree_with_the_name_is_not_believed(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", "other_2.10-3_amd64.deb", DATA)
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]
        assert asked(inner, "InRelease") == 1

    def test_what_nothing_tells_is_listed_all_the_same(self, inner: Counterpart) -> None:
        inner.paths = False
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.index_delay["inner/apt"] = 99
        [found] = as_sync(lambda google: registry(google).list())
        assert (found.name, found.version, found.architecture) == ("hello", "1:2.10-3", "")
        assert found.sha256 == WANTED.sha256


class TestListOf:
    @pytest.mark.parametrize(
        ("name", "version"),
        [("hello", "1:2.10-3"), ("libstdc++6", "12.2.0-14+deb12u1"), ("a.b", "1.0~rc1+b2")],
    )
    def test_the_versions_of_some_debs_alone(self, inner: Counterpart, name: str, version: str) -> None:
        data = deb(name, version)
        filename = f"{name}_{version.rpartition(':')[2]}_amd64.deb"
        wanted = artifact(Kind.APT, name, version, filename, data, architecture="amd64")
        inner.keep("inner/apt", filename, data)
        inner.keep("inner/apt", "other_1_amd64.deb", deb("other", "1"))
        inner.requests.clear()
        assert as_sync(lambda google: registry(google).list([wanted])) == [stored(wanted)]
        assert sum("/files" in path for _, path, _ in inner.requests) == 1


class TestPut:
    def test_what_was_put_is_staged_and_not_there_yet(self, inner: Counterpart) -> None:
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA[:9], DATA[9:])))
        assert inner.buckets["staging"] == {PLACE: DATA}
        assert inner.repositories["inner/apt"] == {}
        assert as_sync(lambda google: registry(google).list()) == []

    @pytest.mark.parametrize("data", [DATA[:-1], DATA], ids=["before", "after"])
    def test_a_stream_that_raises_leaves_nothing(self, inner: Counterpart, data: bytes) -> None:
        with pytest.raises(ValueError, match="not the approved bytes"):
            as_sync(lambda google: registry(google).put(WANTED, refused(data)))
        assert inner.buckets["staging"] == {}

    def test_staged_already(self, inner: Counterpart) -> None:
        inner.buckets["staging"][PLACE] = DATA
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert inner.buckets["staging"] == {PLACE: DATA}

    @pytest.mark.parametrize("other", [DATA[:-1] + b"?", DATA[:-1]], ids=["bytes", "size"])
    def test_something_else_in_its_place_is_deleted(self, inner: Counterpart, other: bytes) -> None:
        inner.buckets["staging"][PLACE] = other
        with pytest.raises(TransferError, match="something else in its place; removed, run again"):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert inner.buckets["staging"] == {}
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert inner.buckets["staging"] == {PLACE: DATA}

    def test_stored_as_something_else(self, inner: Counterpart) -> None:
        inner.damage_objects = True
        with pytest.raises(TransferError, match="stored with other bytes"):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert inner.buckets["staging"] == {}

    def test_refused_by_the_service(self, inner: Counterpart) -> None:
        inner.faults.append(Fault("POST", "/b/staging/o", status=403))
        with pytest.raises(TransferError, match=r"staging/hello_2\.10-3_amd64\.deb: 403"):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))

    def test_a_repository_that_is_only_read(self, inner: Counterpart) -> None:
        with pytest.raises(InputError, match="no staging bucket"):
            as_sync(
                lambda google: AptRegistry(google, "inner", "us-central1", "apt").put(WANTED, stream(DATA))
            )


class TestStaged:
    def test_what_an_earlier_run_left(self, inner: Counterpart) -> None:
        second = artifact(Kind.APT, "other", "1", "other_1_all.deb", b"other", architecture="all")
        inner.buckets["staging"] = {
            PLACE: DATA,
            f"{second.sha256}/{second.filename}": b"wrong",
            "0" * 64 + "/x": b"",
        }
        found = as_sync(lambda google: registry(google).staged([WANTED, second]))
        assert found == {WANTED}
        assert set(inner.buckets["staging"]) == {PLACE, "0" * 64 + "/x"}

    def test_one_that_cannot_be_read_does_not_count(self, inner: Counterpart) -> None:
        inner.buckets["staging"] = {PLACE: DATA}
        inner.faults.append(Fault("GET", WANTED.sha256, truncate=True, times=9))
        assert as_sync(lambda google: registry(google).staged([WANTED])) == set()
        assert inner.buckets["staging"] == {PLACE: DATA}


class TestAdmit:
    def test_one_import_for_all(self, inner: Counterpart) -> None:
        debs = [deb(f"p{number}", "1") for number in range(4)]
        wanted = [
            artifact(Kind.APT, f"p{number}", "1", f"p{number}_1_amd64.deb", data, architecture="amd64")
            for number, data in enumerate(debs)
        ]

        async def work(google: Google) -> list[Stored]:
            for each, data in zip(wanted, debs, strict=True):
                await registry(google).put(each, stream(data))
            await registry(google).admit(wanted)
            return await registry(google).list()

        assert as_sync(work) == [stored(each) for each in wanted]
        assert [len(uris) for uris in inner.imports] == [4]
        assert len(inner.buckets["staging"]) == 4, "emptied only when the index shows them"

    def test_the_whole_way(self, inner: Counterpart) -> None:
        as_sync(lambda google: through(google, WANTED, DATA))
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]
        assert as_sync(lambda google: read(registry(google), WANTED)) == DATA
        assert inner.buckets["staging"] == {}

    def test_batches(self, inner: Counterpart, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dmz.registries.importing._BATCH", 2)
        wanted = []
        for number in range(5):
            data = deb(f"p{number}", "1")
            wanted.append(artifact(Kind.APT, f"p{number}", "1", f"p{number}.deb", data, architecture="amd64"))
            inner.buckets["staging"][f"{wanted[-1].sha256}/p{number}.deb"] = data
        as_sync(lambda google: registry(google).admit(wanted))
        assert [len(uris) for uris in inner.imports] == [2, 2, 1]
        assert len(inner.repositories["inner/apt"]) == 5

    def test_a_taken_place_is_no_error_and_no_success(self, inner: Counterpart) -> None:
        """The service says nothing; the listing tells, and nothing has to be sent again."""
        other = deb("hello", "1:2.10-3", payload=b"other")
        inner.keep("inner/apt", WANTED.filename, other)
        inner.buckets["staging"][PLACE] = DATA
        as_sync(lambda google: registry(google).admit([WANTED]))
        [held] = as_sync(lambda google: registry(google).list())
        assert held.sha256 == hashlib.sha256(other).hexdigest()
        assert inner.buckets["staging"] == {PLACE: DATA}

    @pytest.mark.parametrize(
        ("code", "remedy"),
        [(7, "roles/storage.objectViewer"), (5, "run again"), (3, "take another version")],
    )
    def test_a_source_that_is_refused(self, inner: Counterpart, code: int, remedy: str) -> None:
        inner.buckets["staging"][PLACE] = DATA
        inner.import_errors = {"hello": (code, "because")}
        with pytest.raises(TransferError, match=rf"gs://staging/{PLACE}.*because \(code {code}\)") as caught:
            as_sync(lambda google: registry(google).admit([WANTED]))
        assert remedy in str(caught.value)
        assert "\n" not in str(caught.value)
        assert inner.buckets["staging"] == {PLACE: DATA}

    def test_a_source_that_fails_in_passing_is_imported_again_alone(self, inner: Counterpart) -> None:
        second = artifact(Kind.APT, "b", "1", "b_1_amd64.deb", deb("b", "1"), architecture="amd64")
        inner.buckets["staging"] = {PLACE: DATA, f"{second.sha256}/{second.filename}": deb("b", "1")}
        inner.import_errors = {"hello": (14, "unavailable")}
        as_sync(lambda google: registry(google).admit([WANTED, second]))
        assert [len(uris) for uris in inner.imports] == [2, 1]
        assert len(inner.repositories["inner/apt"]) == 2

    def test_an_import_that_keeps_failing(self, inner: Counterpart) -> None:
        inner.import_fails = (13, "internal error")
        with pytest.raises(TransferError, match=r"internal error \(code 13\); run again"):
            as_sync(lambda google: registry(google).admit([WANTED]))
        assert len(inner.imports) == FAST.attempts

    @pytest.mark.parametrize(
        "answer",
        [
            "{}",
            '{"name": 7}',
            '{"done": true, "response": []}',
            '{"done": true, "error": "x"}',
            '{"done": true, "response": {"errors": [1]}}',
        ],
    )
    def test_an_answer_of_another_shape(self, inner: Counterpart, answer: str) -> None:
        inner.faults.append(Fault("POST", "aptArtifacts:import", text=answer))
        with pytest.raises(TransferError) as caught:
            as_sync(lambda google: registry(google).admit([WANTED]))
        assert "\n" not in str(caught.value)

    def test_an_answer_that_is_lost(self, inner: Counterpart) -> None:
        inner.buckets["staging"][PLACE] = DATA
        inner.faults.append(Fault("POST", "aptArtifacts:import", lost=True))
        as_sync(lambda google: registry(google).admit([WANTED]))
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]


class TestSettle:
    def test_waits_until_the_index_shows_it(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.index_delay["inner/apt"] = 3
        as_sync(lambda google: registry(google).settle([WANTED]))
        assert inner.index_delay["inner/apt"] == 0

    def test_only_the_release_is_read_while_nothing_changes(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", "other_1_amd64.deb", deb("other", "1"))
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.index_delay["inner/apt"] = 9
        as_sync(lambda google: registry(google).settle([WANTED]))
        assert asked(inner, "InRelease") > asked(inner, "Packages") + 1

    def test_does_not_wait_for_ever(self, inner: Counterpart) -> None:
        with pytest.raises(TransferError, match=r"1 of 1 packages, such as hello_2\.10-3_amd64\.deb"):
            as_sync(lambda google: registry(google).settle([WANTED]), replace(FAST, patience=0))

    def test_an_index_of_two_moments_is_waited_for(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.faults.append(Fault("GET", "Packages", other_bytes=True, times=5))
        as_sync(lambda google: registry(google).settle([WANTED]))

    def test_other_bytes_under_its_name_do_not_count(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", WANTED.filename, deb("hello", "1:2.10-3", payload=b"other"))
        with pytest.raises(TransferError, match="does not show 1 of 1"):
            as_sync(lambda google: registry(google).settle([WANTED]), replace(FAST, patience=0))

    @pytest.mark.parametrize("wanted", [[WANTED], []])
    def test_nothing_stays_staged_whoever_left_it(self, inner: Counterpart, wanted: list[Artifact]) -> None:
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.buckets["staging"] = {PLACE: DATA, f"{WANTED.sha256}/old.deb": DATA, "0" * 64 + "/x": b"other"}
        as_sync(lambda google: registry(google).settle(wanted))
        assert inner.buckets["staging"] == {}


class TestOpen:
    def test_gone(self, inner: Counterpart) -> None:
        with pytest.raises(TransferError, match=r"version 1:2\.10-3 is no longer there"):
            as_sync(lambda google: read(registry(google), WANTED))

    def test_changed(self, inner: Counterpart) -> None:
        other = deb("hello", "1:2.10-3", payload=b"other")
        inner.keep("inner/apt", WANTED.filename, other)
        with pytest.raises(RefusedError, match=rf"{hashlib.sha256(other).hexdigest()}.*{WANTED.sha256}"):
            as_sync(lambda google: read(registry(google), WANTED))

    def test_an_index_that_lags_is_read_again_with_the_next_try(self, inner: Counterpart) -> None:
        for number in range(9):
            inner.keep("inner/apt", f"other{number}_1_amd64.deb", deb(f"other{number}", "1"))
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.index_delay["inner/apt"] = 2

        async def tries(google: Google) -> list[bytes]:
            there, found = registry(google), list[bytes]()
            for _ in range(3):
                with suppress(TransferError):
                    found.append(await read(there, WANTED))
            return found

        assert as_sync(tries) == [DATA]
        assert asked(inner, "InRelease") == 3
        # Only what changed was fetched.
        assert asked(inner, "Packages") == 2

    def test_it_is_read_again_once_for_all_who_miss_something(self, inner: Counterpart) -> None:
        missing = [
            artifact(Kind.APT, f"p{number}", "1", f"p{number}_1_amd64.deb", b"x", architecture="amd64")
            for number in range(20)
        ]

        async def tries(google: Google) -> None:
            there = registry(google)
            for _ in range(3):
                failed = await asyncio.gather(
                    *(read(there, each) for each in missing), return_exceptions=True
                )
                assert all(isinstance(each, TransferError) for each in failed)

        as_sync(tries)
        assert asked(inner, "InRelease") == 3

    def test_what_it_shows_is_not_looked_for_again(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", WANTED.filename, DATA)

        async def tries(google: Google) -> None:
            there = registry(google)
            for _ in range(3):
                assert await read(there, WANTED) == DATA

        as_sync(tries)
        assert asked(inner, "InRelease") == 1

    def test_other_bytes_in_an_old_index_are_looked_at_again(self, inner: Counterpart) -> None:
        other = deb("hello", "1:2.10-3", payload=b"other")
        inner.keep("inner/apt", WANTED.filename, other)

        async def tries(google: Google) -> bytes:
            there = registry(google)
            with suppress(RefusedError):
                await read(there, WANTED)
            inner.repositories["inner/apt"].clear()
            inner.keep("inner/apt", WANTED.filename, DATA)
            return await read(there, WANTED)

        assert as_sync(tries) == DATA

    def test_another_version_beside_it(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", "hello_3_amd64.deb", deb("hello", "3"))
        inner.keep("inner/apt", WANTED.filename, DATA)
        assert as_sync(lambda google: read(registry(google), WANTED)) == DATA


class TestWithdraw:
    def test_only_what_was_named_goes(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", "hello_3_amd64.deb", deb("hello", "3"))
        inner.keep("inner/apt", WANTED.filename, DATA)

        async def old(google: Google) -> None:
            found = await registry(google).list()
            await registry(google).withdraw([one for one in found if one.sha256 == WANTED.sha256])

        as_sync(old)
        assert [one.version for one in as_sync(lambda google: registry(google).list())] == ["3"]


class TestIndex:
    def test_a_part_that_does_not_match_is_refused(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.faults.append(Fault("GET", "Packages", other_bytes=True, times=99))
        with pytest.raises(TransferError, match="does not match its InRelease"):
            as_sync(lambda google: AptIndex(google, "inner", "apt").read())

    def test_an_index_that_changes_meanwhile_is_read_again(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.faults.append(Fault("GET", "Packages", other_bytes=True))
        [part] = as_sync(lambda google: AptIndex(google, "inner", "apt").read())
        [found] = part.named("hello")
        assert (found.version, found.sha256, found.size) == ("1:2.10-3", WANTED.sha256, len(DATA))
        assert (found.source, found.source_version) == ("src-hello", "1")

    def test_stanzas_of_any_shape(self) -> None:
        text = (
            "Version: 2\nPackage: late\nArchitecture: all\nFilename: ./pool/l.deb\nSize: 3\nSHA256: AB\n\n"
            "Package: early\nVersion: 1:1-1\nArchitecture: amd64\nSource: other\nFilename: pool/e.deb\n"
            "Description: Package: no\n Package: nor this\nSize: 4\nSHA256: cd\n"
        )
        packages = Packages(text.encode())
        [late], [early] = packages.named("late"), packages.named("early")
        assert (late.path, late.sha256, late.source, late.source_version) == ("pool/l.deb", "ab", "late", "2")
        assert (early.source, early.source_version, early.filename) == (
            "other",
            "1:1-1",
            "early_1-1_amd64.deb",
        )
        assert len(packages) == 2
        assert packages.named("nor") == []

    def test_a_damaged_stanza_is_named(self) -> None:
        with pytest.raises(TransferError, match="stanza of 'x'"):
            Packages(b"Package: x\nVersion: 1\n").named("x")

    def test_sixty_thousand_stanzas(self) -> None:
        filler = "Description: " + "x" * 600 + "\n"
        data = "\n".join(
            f"Package: p{number}\nVersion: 1\nArchitecture: all\nSize: 1\nSHA256: a\n"
            f"Filename: pool/{number}\n{filler}"
            for number in range(60_000)
        ).encode()
        packed = gzip.compress(data, 1)
        before = time.process_time()
        packages = Packages(gzip.decompress(packed))
        found = [packages.named(f"p{number}") for number in range(0, 60_000, 200)]
        spent = time.process_time() - before
        assert len(packages) == 60_000
        assert all(len(one) == 1 for one in found)
        print(f"{len(data) >> 20} MiB scanned in {spent:.2f} s")
