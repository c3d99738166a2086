"""What the index behind a remote repository says, and what happens when it says nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest
from aiohttp import web

from dmz.errors import InputError, RefusedError, TransferError
from dmz.registries.retry import RetryingTransport
from dmz.registries.simple import IndexFile, Page
from dmz.registries.upstream import Upstream, absolute, pip_index, upstream_of
from tests.registries.conftest import FAST, as_sync
from tests.registries.counterpart import Counterpart, serving

T = TypeVar("T")
JSON = "application/vnd.pypi.simple.v1+json"
METADATA = b"Metadata-Version: 2.1\nName: some-thing\nVersion: 1.0\n"


def ask(url: str, work: Callable[[Upstream], Awaitable[T]]) -> T:
    async def connected() -> T:
        transport = RetryingTransport(httpx.AsyncHTTPTransport(), FAST)
        async with httpx.AsyncClient(transport=transport) as client:
            return await work(Upstream(client, url))

    return asyncio.run(connected())


class TestWhich:
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


class TestPage:
    def test_once_for_each_name_and_with_whole_addresses(self) -> None:
        asked: list[str] = []

        async def page(request: web.Request) -> web.Response:
            asked.append(request.match_info["name"])
            files = [
                {"filename": "a.whl", "url": "../../files/a.whl", "provenance": "/p/a"},
                {"filename": "b.whl", "url": "file:///etc/passwd", "provenance": "http://[broken"},
            ]
            return web.json_response({"files": files}, content_type=JSON)

        async def twice(upstream: Upstream) -> tuple[Page | None, Page | None]:
            return await upstream.page("Some.Thing"), await upstream.page("some-thing")

        with serving([web.get("/simple/{name}/", page)]) as url:
            first, second = ask(f"{url}/simple/", twice)
        assert first is not None
        assert first == second
        assert [file.address for file in first.files] == [f"{url}/files/a.whl", ""]
        assert [file.provenance for file in first.files] == [f"{url}/p/a", ""]
        assert asked == ["some-thing"]

    def test_an_unknown_project_has_no_files(self) -> None:
        with serving([]) as url:
            assert ask(f"{url}/simple/", lambda upstream: upstream.page("unknown")) == Page()

    def test_no_answer_tells_nothing_and_no_secret(self, caplog: pytest.LogCaptureFixture) -> None:
        async def twice(upstream: Upstream) -> list[Page | None]:
            return [await upstream.page("a"), await upstream.page("b")]

        assert ask("http://user:secret@127.0.0.1:9/simple/", twice) == [None, None]
        [record] = caplog.records
        assert "unknown" in record.getMessage()
        assert "secret" not in caplog.text

    def test_an_error_tells_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        async def page(_: web.Request) -> web.Response:
            raise web.HTTPForbidden

        with serving([web.get("/simple/{name}/", page)]) as url:
            assert ask(f"{url}/simple/", lambda upstream: upstream.page("a")) is None
        assert "403" in caplog.text

    def test_a_page_without_end_is_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dmz.registries.upstream._PAGE", 1000)

        async def page(_: web.Request) -> web.Response:
            return web.Response(text="<a href='a.whl'>a</a>" * 1000, content_type="text/html")

        with serving([web.get("/simple/{name}/", page)]) as url:
            assert ask(f"{url}/simple/", lambda upstream: upstream.page("a")) is None

    def test_what_is_no_page_is_an_error_with_the_name(self) -> None:
        async def page(_: web.Request) -> web.Response:
            return web.Response(text="{", content_type=JSON)

        with (
            serving([web.get("/simple/{name}/", page)]) as url,
            pytest.raises(TransferError, match=r"^upstream's page of a: "),
        ):
            ask(f"{url}/simple/", lambda upstream: upstream.page("a"))

    def test_a_stumbling_index_is_asked_again(self) -> None:
        answers = [502, 200]

        async def page(_: web.Request) -> web.Response:
            return web.Response(status=answers.pop(0), text="<a href='a.whl'>a</a>", content_type="text/html")

        with serving([web.get("/simple/{name}/", page)]) as url:
            found = ask(f"{url}/simple/", lambda upstream: upstream.page("a"))
        assert found is not None
        assert [file.filename for file in found.files] == ["a.whl"]


class TestMetadata:
    def file(self, url: str, metadata: str) -> IndexFile:
        return IndexFile("a.whl", "a" * 64, 1, None, False, address=f"{url}/a.whl", metadata=metadata)

    async def _serve(self, _: web.Request) -> web.Response:
        return web.Response(body=METADATA)

    def test_what_is_announced_is_what_comes(self) -> None:
        with serving([web.get("/a.whl.metadata", self._serve)]) as url:
            file = self.file(url, hashlib.sha256(METADATA).hexdigest())
            assert ask(url, lambda upstream: upstream.metadata(file)) == METADATA

    def test_other_bytes_than_announced_are_refused(self) -> None:
        with serving([web.get("/a.whl.metadata", self._serve)]) as url:
            file = self.file(url, "0" * 64)
            with pytest.raises(RefusedError, match=r"^a\.whl: the upstream index sends metadata of sha256:"):
                ask(url, lambda upstream: upstream.metadata(file))

    def test_what_nobody_vouches_for_is_not_asked_for(self) -> None:
        with serving([web.get("/a.whl.metadata", self._serve)]) as url:
            assert ask(url, lambda upstream: upstream.metadata(self.file(url, ""))) is None

    def test_announced_and_not_there(self) -> None:
        with serving([]) as url:
            assert ask(url, lambda upstream: upstream.metadata(self.file(url, "0" * 64))) is None


@pytest.mark.parametrize(
    ("base", "address", "found"),
    [
        ("https://a.example/simple/x/", "../../f/x.whl", "https://a.example/f/x.whl"),
        ("https://a.example/simple/x/", "https://b.example/x.whl", "https://b.example/x.whl"),
        ("https://a.example/simple/x/", "http://a.example/x.whl", ""),
        ("https://a.example/simple/x/", "http://169.254.169.254/x", ""),
        ("http://127.0.0.1/simple/x/", "http://127.0.0.1/x.whl", "http://127.0.0.1/x.whl"),
        ("https://a.example/simple/x/", "file:///etc/passwd", ""),
    ],
)
def test_addresses_that_are_followed(base: str, address: str, found: str) -> None:
    assert absolute(base, address) == found
