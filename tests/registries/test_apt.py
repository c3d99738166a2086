"""The registry of Debian packages against a real server, with everything that goes wrong."""

from __future__ import annotations

import gzip
import hashlib
import time

import pytest

from dmz.artifact import Kind
from dmz.errors import RefusedError, TransferError
from dmz.registries.apt import AptRegistry
from dmz.registries.debian import AptIndex, Packages
from dmz.registries.google import Google
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, deb
from tests.registries.support import artifact, read, refused, stored, stream

DATA = deb("hello", "1:2.10-3")
WANTED = artifact(
    Kind.APT, "hello", "1:2.10-3", "hello_2.10-3_amd64.deb", DATA, architecture="amd64", origin="apt-bookworm"
)


def registry(google: Google) -> AptRegistry:
    return AptRegistry(google, "inner", "us-central1", "apt")


@pytest.fixture
def inner(cloud: Counterpart) -> Counterpart:
    cloud.add("inner/apt", "APT")
    return cloud


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


class TestPut:
    def test_what_was_put_is_there(self, inner: Counterpart) -> None:
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA[:9], DATA[9:])))
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]
        assert as_sync(lambda google: read(registry(google), WANTED)) == DATA

    @pytest.mark.parametrize("data", [DATA[:-1], DATA], ids=["before", "after"])
    def test_a_stream_that_raises_leaves_nothing(self, inner: Counterpart, data: bytes) -> None:
        with pytest.raises(ValueError, match="not the approved bytes"):
            as_sync(lambda google: registry(google).put(WANTED, refused(data)))
        assert inner.repositories["inner/apt"] == {}

    def test_there_already_with_the_same_bytes(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", WANTED.filename, DATA)
        as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))
        assert as_sync(lambda google: registry(google).list()) == [stored(WANTED)]

    def test_there_already_with_other_bytes(self, inner: Counterpart) -> None:
        other = deb("hello", "1:2.10-3", payload=b"other")
        inner.keep("inner/apt", WANTED.filename, other)
        with pytest.raises(TransferError, match=hashlib.sha256(other).hexdigest()):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))

    def test_refused_by_the_service(self, inner: Counterpart) -> None:
        inner.faults.append(Fault("POST", "aptArtifacts:create", status=403))
        with pytest.raises(TransferError, match=r"apt/hello_2\.10-3_amd64\.deb: 403"):
            as_sync(lambda google: registry(google).put(WANTED, stream(DATA)))


class TestSettle:
    def test_waits_until_the_index_shows_it(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", WANTED.filename, DATA)
        inner.index_delay["inner/apt"] = 3
        as_sync(lambda google: registry(google).settle([WANTED]))
        assert inner.index_delay["inner/apt"] == 0

    def test_does_not_wait_for_ever(self, inner: Counterpart) -> None:
        with pytest.raises(TransferError, match=r"1 of 1 packages, such as hello_2\.10-3_amd64\.deb"):
            as_sync(lambda google: registry(google).settle([WANTED], within=0))


class TestOpen:
    def test_gone(self, inner: Counterpart) -> None:
        with pytest.raises(TransferError, match=r"version 1:2\.10-3 is no longer there"):
            as_sync(lambda google: read(registry(google), WANTED))

    def test_changed(self, inner: Counterpart) -> None:
        other = deb("hello", "1:2.10-3", payload=b"other")
        inner.keep("inner/apt", WANTED.filename, other)
        with pytest.raises(RefusedError, match=rf"{hashlib.sha256(other).hexdigest()}.*{WANTED.sha256}"):
            as_sync(lambda google: read(registry(google), WANTED))

    def test_another_version_beside_it(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", "hello_3_amd64.deb", deb("hello", "3"))
        inner.keep("inner/apt", WANTED.filename, DATA)
        assert as_sync(lambda google: read(registry(google), WANTED)) == DATA


class TestWithdraw:
    def test_only_what_was_named_goes(self, inner: Counterpart) -> None:
        inner.keep("inner/apt", "hello_3_amd64.deb", deb("hello", "3"))
        inner.keep("inner/apt", WANTED.filename, DATA)
        as_sync(lambda google: registry(google).withdraw([stored(WANTED)]))
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
