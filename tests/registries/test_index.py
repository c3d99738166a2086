"""What the outer repositories say of packages."""

from __future__ import annotations

import hashlib

import pytest

from dmz.errors import TransferError
from dmz.registries.google import Google
from dmz.registries.index import AptSuites, PythonIndex
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, deb, wheel

OLD, NEW = wheel("some-thing", "1.9"), wheel("some-thing", "1.10")


@pytest.fixture
def outer(cloud: Counterpart) -> Counterpart:
    cloud.add("outer/python-remote", "PYTHON", dict([OLD, NEW]))
    return cloud


def index(google: Google) -> PythonIndex:
    return PythonIndex(google, "outer", "us-central1", "python-remote")


class TestPython:
    def test_versions_in_their_order(self, outer: Counterpart) -> None:
        assert as_sync(lambda google: index(google).versions("Some_Thing")) == ["1.9", "1.10"]

    def test_an_unknown_name(self, outer: Counterpart) -> None:
        assert as_sync(lambda google: index(google).versions("nothing")) == []

    def test_digest_and_size(self, outer: Counterpart) -> None:
        found = as_sync(
            lambda google: index(google).describe([("some-thing", NEW[0]), ("nothing", "nothing-1.tar.gz")])
        )
        assert found.keys() == {NEW[0]}
        assert found[NEW[0]].sha256 == hashlib.sha256(NEW[1]).hexdigest()
        assert found[NEW[0]].size == len(NEW[1])

    def test_the_record_helps_where_the_index_is_silent(self, outer: Counterpart) -> None:
        outer.announce_hashes = False
        found = as_sync(lambda google: index(google).describe([("some-thing", NEW[0])]))
        assert found[NEW[0]].sha256 == hashlib.sha256(NEW[1]).hexdigest()

    def test_the_size_of_what_was_not_fetched_yet(self, outer: Counterpart) -> None:
        outer.hide_from_record = True
        found = as_sync(lambda google: index(google).describe([("some-thing", NEW[0])]))
        assert found[NEW[0]].size == len(NEW[1])

    def test_index_and_record_that_differ_are_refused(self, outer: Counterpart) -> None:
        outer.index_digests[NEW[0]] = "0" * 64
        with pytest.raises(TransferError, match=rf"{NEW[0]}: keeps sha256:\w+, its index says sha256:0000"):
            as_sync(lambda google: index(google).describe([("some-thing", NEW[0])]))


class TestApt:
    def suites(self, google: Google) -> AptSuites:
        return AptSuites(
            google,
            "outer",
            [("apt-security", "bookworm-security"), ("apt-main", "bookworm")],
            components=("main",),
            architecture="amd64",
        )

    def test_the_suite_that_has_it(self, cloud: Counterpart) -> None:
        cloud.add("outer/apt-security", "APT", {"a_2_amd64.deb": deb("a", "2")})
        cloud.add(
            "outer/apt-main", "APT", {"a_1_amd64.deb": deb("a", "1"), "b_1_all.deb": deb("b", "1", "all")}
        )
        wanted = [("a", "1", "amd64"), ("a", "2", "amd64"), ("b", "1", "all"), ("b", "9", "all")]
        found = as_sync(lambda google: self.suites(google).find(wanted))
        assert {key: one.suite for key, one in found.items()} == {
            ("a", "1", "amd64"): "bookworm",
            ("a", "2", "amd64"): "bookworm-security",
            ("b", "1", "all"): "bookworm",
        }
        assert found["a", "2", "amd64"].repository == "apt-security"
        assert found["a", "2", "amd64"].stanza.sha256 == hashlib.sha256(deb("a", "2")).hexdigest()

    def test_all_versions(self, cloud: Counterpart) -> None:
        cloud.add("outer/apt-security", "APT", {"a_2_amd64.deb": deb("a", "2")})
        cloud.add("outer/apt-main", "APT", {"a_1_amd64.deb": deb("a", "1")})
        found = as_sync(lambda google: self.suites(google).named("a"))
        assert [one.stanza.version for one in found] == ["2", "1"]

    def test_suites_that_differ_are_refused(self, cloud: Counterpart) -> None:
        cloud.add("outer/apt-security", "APT", {"a_1_amd64.deb": deb("a", "1", payload=b"x")})
        cloud.add("outer/apt-main", "APT", {"a_1_amd64.deb": deb("a", "1", payload=b"y")})
        with pytest.raises(TransferError, match=r"a_1_amd64\.deb: apt-security has"):
            as_sync(lambda google: self.suites(google).find([("a", "1", "amd64")]))


def test_a_stumbling_index(outer: Counterpart) -> None:
    outer.faults.append(Fault("GET", "/simple/", status=502))
    assert as_sync(lambda google: index(google).versions("some-thing")) == ["1.9", "1.10"]
