"""What the outer repositories say of packages."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from aiohttp import web

from dmz.errors import InputError, TransferError
from dmz.registries.google import Google
from dmz.registries.index import AptSuites, PythonIndex, parse_simple
from dmz.registries.upstream import pip_index, upload_times, upstream_of
from tests.registries.conftest import FAST, as_sync
from tests.registries.counterpart import Counterpart, Fault, deb, serving, wheel

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

    def test_both_forms_of_the_simple_api(self) -> None:
        page = (
            '<a href="https://files.example/x/a%2Bb-1.0.whl#sha256=ab" data-yanked="">a</a>'
            '<A data-requires-python="&gt;=3.8" HREF = "../../c-1.0.tar.gz" >c</a><abbr href="d"></abbr>'
            "<a rel=x href='e-1.0-py3-none-any.whl#md5=1'>e</a><a href=f-1.0.zip>f</a><a name='g'>g</a>"
        )
        first, second, third, fourth = parse_simple("text/html; charset=utf-8", page)
        assert (third.filename, third.sha256) == ("e-1.0-py3-none-any.whl", "")
        assert fourth.filename == "f-1.0.zip"
        assert (first.filename, first.sha256, first.yanked) == ("a+b-1.0.whl", "ab", True)
        assert (second.filename, second.sha256, second.yanked) == ("c-1.0.tar.gz", "", False)
        [one] = parse_simple(
            "application/vnd.pypi.simple.v1+json",
            '{"files": [{"filename": "a-1.0.whl", "url": "x", "hashes": {"sha256": "ab"}, "size": 3,'
            '"upload-time": "2026-01-02T03:04:05Z", "yanked": "bad"}]}',
        )
        assert (one.sha256, one.size, one.uploaded, one.yanked) == ("ab", 3, "2026-01-02T03:04:05Z", True)


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


class TestUpstream:
    def test_pip_says_which_index(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/mine/simple")
        assert pip_index() == "http://127.0.0.1:1/mine/simple/"

    def test_pips_own_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PIP_INDEX_URL", raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        assert pip_index().startswith("https://")

    def test_a_declared_upstream_comes_first(
        self, cloud: Counterpart, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/mine/simple")
        cloud.add("outer/python-remote", "PYTHON")

        def asked() -> str:
            return as_sync(lambda google: upstream_of(google, "outer", "us-central1", "python-remote"))

        with pytest.raises(InputError, match="no remote Python repository"):
            asked()
        cloud.remote = {"pythonRepository": {"publicRepository": "PYPI"}}
        assert asked() == "http://127.0.0.1:1/mine/simple/"
        cloud.remote = {"pythonRepository": {"customRepository": {"uri": "http://127.0.0.1:2"}}}
        assert asked() == "http://127.0.0.1:2/simple/"

    def test_upload_times(self) -> None:
        async def page(request: web.Request) -> web.Response:
            if request.match_info["name"] != "some-thing":
                raise web.HTTPNotFound
            files = [
                {"filename": "a.whl", "upload-time": "2026-01-02T03:04:05.000006Z"},
                {"filename": "b.whl"},
            ]
            return web.json_response({"files": files}, content_type="application/vnd.pypi.simple.v1+json")

        with serving([web.get("/simple/{name}/", page)]) as url:
            found = _times(f"{url}/simple/", "Some.Thing", "unknown")
        assert found == {"a.whl": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)}

    def test_an_index_without_times(self, outer: Counterpart) -> None:
        async def page(_: web.Request) -> web.Response:
            return web.Response(text='<a href="a.whl">a</a>', content_type="text/html")

        with serving([web.get("/simple/{name}/", page)]) as url:
            assert _times(f"{url}/simple/", "a") == {}

    def test_an_index_that_fails_tells_nothing_and_no_secret(self, caplog: pytest.LogCaptureFixture) -> None:
        assert _times("http://user:secret@127.0.0.1:9/simple/", "a") == {}
        [record] = caplog.records
        assert "unknown" in record.getMessage()
        assert "secret" not in caplog.text


def _times(url: str, *names: str) -> dict[str, datetime]:
    import asyncio

    return asyncio.run(upload_times(url, names, retry=FAST))


def test_a_stumbling_index(outer: Counterpart) -> None:
    outer.faults.append(Fault("GET", "/simple/", status=502))
    assert as_sync(lambda google: index(google).versions("some-thing")) == ["1.9", "1.10"]
