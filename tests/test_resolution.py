"""A new resolution with uv against a real index, for another machine than this one."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from dmz.artifact import Kind
from dmz.errors import InputError, RefusedError, TransferError
from dmz.promotion.base_image import BaseImage
from dmz.registries.google import Google
from dmz.registries.index import IndexFile, PythonIndex
from dmz.registries.python import PythonRegistry
from dmz.resolution import UnsatisfiableError, choose_wheel, supported_tags
from dmz.resolution.metadata import approved_metadata
from dmz.resolution.python import resolution
from dmz.resolution.shelf import Serving
from dmz.resolution.wheels import for_python, platform
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, running, serving, wheel
from tests.registries.support import artifact

IMAGE = BaseImage.model_validate(
    {
        "runtime": "sandbox-debian-12",
        "distribution": "debian",
        "release": "bookworm",
        "suites": [{"name": "bookworm", "base": "DEBIAN", "path": "debian/dists/bookworm"}],
        "components": ["main"],
        "python": "3.11",
        "architecture": "amd64",
        "glibc": "2.36",
    }
)


@pytest.fixture
def outer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counterpart]:
    counterpart = Counterpart()
    counterpart.add(
        "outer/python-remote",
        "PYTHON",
        dict(
            [
                wheel("app", "1.0", requires=("lib>=1", 'winonly; sys_platform == "win32"')),
                wheel("lib", "1.0"),
                wheel("lib", "2.0", requires=("leaf",)),
                wheel("lib", "3.0", requires=("leaf>=9",)),
                wheel("leaf", "1.0"),
                wheel("native", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"),
                wheel("native", "1.0", tag="cp311-cp311-manylinux_2_34_x86_64"),
                wheel("native", "1.0", tag="cp311-cp311-manylinux_2_38_x86_64"),
                wheel("native", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64"),
                wheel("native", "2.0", tag="cp312-cp312-manylinux_2_17_x86_64"),
            ]
        ),
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with running(counterpart):
        for name, value in counterpart.environment().items():
            monkeypatch.setenv(name, value)
        yield counterpart


@dataclass(frozen=True)
class Resolved:
    """A resolution, with the file of each wheel."""

    pins: dict[str, str]
    why: dict[str, tuple[str, ...]]
    files: dict[str, IndexFile]


def resolved(*requirements: str, exclude: Sequence[str] = (), **options: Any) -> Resolved:
    async def work(google: Google) -> Resolved:
        index = PythonIndex(google, "outer", "us-central1", "python-remote")
        registry = PythonRegistry(google, "outer", "us-central1", "python-built")
        session_options = {name: options.pop(name) for name in ("built", "upstream") if name in options}
        async with resolution(google, index, IMAGE, built_from=registry, **session_options) as session:
            found = await session.pins(requirements, constraints=exclude, **options)
            others = [pin for pin in found if session.built(pin) is None]
            files = await session.wheels(others)
        return Resolved(
            {pin.name: pin.version for pin in found},
            {pin.name: pin.why for pin in found},
            {pin.name: file for pin, file in zip(others, files, strict=True)},
        )

    return as_sync(work)


class TestResolve:
    def test_newest_that_fits_with_digest_and_reasons(self, outer: Counterpart) -> None:
        found = resolved("App")
        assert found.pins == {"app": "1.0", "leaf": "1.0", "lib": "2.0"}
        assert found.why == {"app": ("requested",), "lib": ("app",), "leaf": ("lib",)}
        kept = outer.repositories["outer/python-remote"]
        for name, file in found.files.items():
            assert file.sha256 == kept[f"{name}/{file.filename}"].sha256

    def test_refused_versions_are_left_out(self, outer: Counterpart) -> None:
        assert resolved("app", exclude=["lib!=2.0"]).pins == {"app": "1.0", "lib": "1.0"}

    def test_it_stays_with_what_it_should_keep(self, outer: Counterpart) -> None:
        keep = {"app": "1.0", "lib": "1.0"}
        assert resolved("app", keep=keep).pins == keep
        assert resolved("app", keep=keep, exclude=["lib!=1.0"]).pins["lib"] == "2.0"

    def test_overrides(self, outer: Counterpart) -> None:
        assert resolved("lib==3.0", overrides=["leaf==1.0"]).pins == {"leaf": "1.0", "lib": "3.0"}

    def test_no_way_out(self, outer: Counterpart) -> None:
        with pytest.raises(UnsatisfiableError, match=r"no versions fit together: .*lib") as caught:
            resolved("app", exclude=["lib!=1.0", "lib!=2.0"])
        assert "\n" not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)
        assert len(str(caught.value)) < 500

    def test_the_file_that_the_machine_would_take(self, outer: Counterpart) -> None:
        found = resolved("native")
        assert found.pins == {"native": "1.0"}
        assert found.files["native"].filename == "native-1.0-cp311-cp311-manylinux_2_34_x86_64.whl"

    def test_a_wheel_whose_name_spells_the_version_in_another_way(self, outer: Counterpart) -> None:
        outer.keep("outer/python-remote", *wheel("odd", "1.0.0"))
        found = resolved("odd", exclude=["odd!=2"])
        assert found.files["odd"].filename == "odd-1.0.0-py3-none-any.whl"

    def test_built_wheels_take_part(self, outer: Counterpart) -> None:
        name, data = wheel("sdist-only", "1.0", requires=("leaf",))
        outer.add("outer/python-built", "PYTHON", {name: data})
        built = artifact(Kind.PYPI, "sdist-only", "1.0", name, data, origin="python-built")
        found = resolved("sdist-only", built=[built])
        assert found.pins == {"leaf": "1.0", "sdist-only": "1.0"}
        assert found.why["leaf"] == ("sdist-only",)
        assert set(found.files) == {"leaf"}

    def test_a_built_wheel_that_changed(self, outer: Counterpart) -> None:
        name, data = wheel("sdist-only", "1.0")
        outer.add("outer/python-built", "PYTHON", {name: data})
        built = artifact(Kind.PYPI, "sdist-only", "1.0", name, data + b"x", origin="python-built")
        with pytest.raises(TransferError, match=r"sdist_only-1\.0.*expected"):
            resolved("leaf", built=[built])

    def test_an_index_that_refuses(self, outer: Counterpart) -> None:
        outer.faults.append(Fault("GET", "/simple/", status=403, times=99))
        with pytest.raises(TransferError, match="403") as caught:
            resolved("app")
        assert "token-of" not in str(caught.value)

    def test_the_users_own_settings_do_not_count(
        self, outer: Counterpart, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("UV_NO_INDEX", "1")
        monkeypatch.setenv("UV_OVERRIDE", "/nowhere")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        assert resolved("leaf").pins == {"leaf": "1.0"}


def fetched(outer: Counterpart, begin: int = 0) -> list[str]:
    """The wheels that were asked for since."""
    paths = [path for _, path, _ in outer.requests[begin:]]
    return sorted({path.rsplit("/", 1)[-1] for path in paths if path.endswith(".whl")})


class TestOnce:
    """A session of one resolution; the resolver writes nothing that only a further one would read."""

    def files(self, *, once: bool) -> tuple[dict[str, str], int]:
        async def work(google: Google) -> tuple[dict[str, str], int]:
            index = PythonIndex(google, "outer", "us-central1", "python-remote")
            async with resolution(google, index, IMAGE, once=once) as session:
                pins = await session.pins(["app"])
                again = await session.pins(["app"])
                folder = session._uv._folder / "cache"
                kept = [path for path in folder.rglob("*") if path.is_file() and "simple" in str(path)]
            assert again == pins
            return {pin.name: pin.version for pin in pins}, len(kept)

        return as_sync(work)

    def test_it_tells_the_same(self, outer: Counterpart) -> None:
        once, nothing = self.files(once=True)
        several, something = self.files(once=False)
        assert once == several == {"app": "1.0", "leaf": "1.0", "lib": "2.0"}
        assert nothing == 0 < something


class Beside:
    """An upstream that has the same files as the outer repository, and metadata beside them."""

    def __init__(
        self, files: Mapping[str, bytes], *, announce: bool, ranges: bool = True, lavish: bool = False
    ) -> None:
        self.files = files
        self.announce = announce
        self.ranges = ranges
        self.lavish = lavish
        """Whether a part goes on to the end of the file, and says so."""
        self.asked: list[str] = []
        self.sent = 0
        """Bytes of wheels."""

    @property
    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/simple/{name}/", self._page),
            web.get("/files/{filename}", self._file),
            # The same as the data plane of a repository.
            web.get("/outer/python-remote/simple/{name}/", self._page),
            web.get("/outer/python-remote/{name}/{filename}", self._file),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        own = [each for each in self.files if each.startswith(f"{request.match_info['name']}-")]
        links = []
        for filename in own:
            data = hashlib.sha256(metadata_in(self.files[filename])).hexdigest()
            said = f' data-core-metadata="sha256={data}"' if self.announce else ""
            digest = hashlib.sha256(self.files[filename]).hexdigest()
            links.append(f'<a{said} href="/files/{filename}#sha256={digest}">{filename}</a>')
        return web.Response(text="\n".join(links), content_type="text/html")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["filename"]
        self.asked.append(name)
        if name.endswith(".metadata"):
            return web.Response(body=metadata_in(self.files[name.removesuffix(".metadata")]))
        part = request.http_range
        body = self.files[name]
        if not self.ranges or (part.start is None and part.stop is None):
            return web.Response(body=body)
        start = max(0, len(body) + part.start) if part.start < 0 else part.start
        start = start // 2 if self.lavish else start
        stop = len(body) if part.stop is None else part.stop
        self.sent += stop - start
        return web.Response(
            status=206,
            body=body[start:stop],
            headers={"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"},
        )


def metadata_in(body: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        [name] = [each for each in archive.namelist() if each.endswith("METADATA")]
        return archive.read(name)


class TestMetadata:
    """Where they come from, so that no wheel is fetched only to be asked what it needs."""

    @pytest.fixture
    def files(self, outer: Counterpart) -> dict[str, bytes]:
        """What the outer repository offers, and has not fetched yet."""
        outer.hide_from_record = True
        return {
            path.rsplit("/", 1)[-1]: kept.data
            for path, kept in outer.repositories["outer/python-remote"].items()
        }

    def test_from_the_wheels_where_nobody_else_has_them_and_then_kept(self, outer: Counterpart) -> None:
        resolved("lib==2.0")
        assert fetched(outer) == ["leaf-1.0-py3-none-any.whl", "lib-2.0-py3-none-any.whl"]
        begin = len(outer.requests)
        assert resolved("lib==2.0").pins == {"leaf": "1.0", "lib": "2.0"}
        assert fetched(outer, begin) == []

    @pytest.mark.parametrize("announce", [True, False])
    def test_from_the_upstream(self, outer: Counterpart, files: dict[str, bytes], announce: bool) -> None:
        beside = Beside(files, announce=announce)
        with serving(beside.routes) as url:
            found = resolved("lib==2.0", upstream=told(f"{url}/simple/"))
        assert found.pins == {"leaf": "1.0", "lib": "2.0"}
        assert fetched(outer) == []
        assert all(name.endswith(".metadata") is announce for name in beside.asked)

    def test_a_whole_wheel_is_not_fetched_from_the_upstream(
        self, outer: Counterpart, files: dict[str, bytes]
    ) -> None:
        beside = Beside(files, announce=False, ranges=False)
        with serving(beside.routes) as url:
            resolved("leaf", upstream=told(f"{url}/simple/"))
        assert fetched(outer) == ["leaf-1.0-py3-none-any.whl"]

    def test_another_file_under_the_same_name_says_nothing(
        self, outer: Counterpart, files: dict[str, bytes]
    ) -> None:
        name, other = wheel("leaf", "1.0", requires=("absent",))
        beside = Beside({**files, name: other}, announce=True)
        with serving(beside.routes) as url:
            assert resolved("leaf", upstream=told(f"{url}/simple/")).pins == {"leaf": "1.0"}
        assert fetched(outer) == [name]

    def test_a_long_directory_takes_further_parts(self, outer: Counterpart) -> None:
        filename, plain = wheel("wide", "1.0", requires=("leaf",))
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(plain)) as source, zipfile.ZipFile(out, "w") as archive:
            for entry in source.infolist():
                archive.writestr(entry, source.read(entry))
            for number in range(2000):
                archive.writestr(f"wide/{number:060}.py", "")
        body = out.getvalue()
        outer.keep("outer/python-remote", filename, body)
        outer.hide_from_record = True
        beside = Beside({filename: body}, announce=False)
        with serving(beside.routes) as url:
            assert set(resolved("wide", upstream=told(f"{url}/simple/")).pins) == {"wide", "leaf"}
        assert beside.asked.count(filename) > 1
        assert filename not in fetched(outer)

    def test_metadata_at_the_front_of_a_large_wheel_take_two_parts(self, outer: Counterpart) -> None:
        filename, plain = wheel("heavy", "1.0", requires=("leaf",))
        out = io.BytesIO(plain)
        with zipfile.ZipFile(out, "a") as archive:
            archive.writestr("heavy/data", bytes(8 << 20))
        body = out.getvalue()
        outer.keep("outer/python-remote", filename, body)
        outer.hide_from_record = True
        beside = Beside({filename: body}, announce=False)
        with serving(beside.routes) as url:
            assert set(resolved("heavy", upstream=told(f"{url}/simple/")).pins) == {"heavy", "leaf"}
        assert beside.asked.count(filename) == 2
        assert beside.sent < 200 << 10

    def heavy(self, outer: Counterpart, size: int) -> dict[str, bytes]:
        """A wheel of at least so many bytes, which the outer repository offers and has not fetched yet."""
        filename, plain = wheel("heavy", "1.0", requires=("leaf",))
        out = io.BytesIO(plain)
        with zipfile.ZipFile(out, "a") as archive:
            archive.writestr("heavy/data", bytes(size))
        outer.keep("outer/python-remote", filename, out.getvalue())
        outer.hide_from_record = True
        return {filename: out.getvalue()}

    def test_an_upstream_that_sends_more_than_was_asked_for_says_nothing(self, outer: Counterpart) -> None:
        files = self.heavy(outer, 1 << 20)
        beside = Beside(files, announce=False, lavish=True)
        with serving(beside.routes) as url:
            assert set(resolved("heavy", upstream=told(f"{url}/simple/")).pins) == {"heavy", "leaf"}
        assert beside.asked == [*files]
        assert {*files} <= {*fetched(outer)}

    def test_a_repository_that_sends_more_than_was_asked_for_is_refused(
        self, outer: Counterpart, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lavish = Beside(self.heavy(outer, 1 << 20), announce=False, lavish=True)
        with serving(lavish.routes) as url:
            monkeypatch.setenv("DMZ_PYTHON_REPOSITORY_ENDPOINT", url)
            with pytest.raises(TransferError, match=r"heavy-1\.0.*longer"):
                resolved("heavy")

    def test_a_large_wheel_of_which_nobody_gives_a_part(self, outer: Counterpart) -> None:
        self.heavy(outer, 17 << 20)
        assert set(resolved("heavy").pins) == {"heavy", "leaf"}

    def test_one_that_is_too_large_for_that(
        self, outer: Counterpart, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.heavy(outer, 3 << 20)
        monkeypatch.setattr("dmz.resolution.metadata._WHOLE", 2 << 20)
        with pytest.raises(TransferError, match=r"heavy-1\.0.*no wheel that can be read"):
            resolved("heavy")

    def test_what_is_no_wheel(self, outer: Counterpart) -> None:
        outer.keep("outer/python-remote", "junk-1.0-py3-none-any.whl", b"junk")
        with pytest.raises(TransferError, match=r"junk-1\.0.*no wheel"):
            resolved("junk")

    def test_an_upstream_that_does_not_answer(self, outer: Counterpart) -> None:
        assert resolved("leaf", upstream=told("http://127.0.0.1:9/simple/")).pins == {"leaf": "1.0"}


class TestKeptWheels:
    """A repository that has the wheels is asked for their metadata, and nobody else."""

    @pytest.fixture
    def beside(self, outer: Counterpart) -> Beside:
        """An upstream with the same files."""
        kept = outer.repositories["outer/python-remote"]
        return Beside({path.rsplit("/", 1)[-1]: each.data for path, each in kept.items()}, announce=True)

    def lib(self, beside: Beside) -> dict[str, str]:
        with serving(beside.routes) as url:
            return resolved("lib==2.0", upstream=told(f"{url}/simple/")).pins

    def test_they_are_read_from_the_repository(self, outer: Counterpart, beside: Beside) -> None:
        outer.parts = True
        assert self.lib(beside) == {"leaf": "1.0", "lib": "2.0"}
        assert fetched(outer) == ["leaf-1.0-py3-none-any.whl", "lib-2.0-py3-none-any.whl"]
        assert beside.asked == []

    def test_a_large_one_by_its_end(self, outer: Counterpart, beside: Beside) -> None:
        outer.parts = True
        filename, plain = wheel("lib", "2.0", requires=("leaf",))
        with zipfile.ZipFile(io.BytesIO(plain)) as old:
            held = {name: old.read(name) for name in old.namelist()}
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as new:
            for name, data in {"lib/data": bytes(1 << 20), **held}.items():
                new.writestr(name, data)
        outer.keep("outer/python-remote", filename, out.getvalue())
        assert self.lib(beside) == {"leaf": "1.0", "lib": "2.0"}
        assert beside.asked == []

    def test_not_where_it_gives_no_parts_of_a_large_one(self, outer: Counterpart, beside: Beside) -> None:
        for path, kept in outer.repositories["outer/python-remote"].items():
            if "leaf" in path or "lib" in path:
                name = path.rsplit("/", 1)[-1]
                outer.keep("outer/python-remote", name, bytes(1 << 20) + kept.data)
        kept_now = outer.repositories["outer/python-remote"]
        beside.files = {path.rsplit("/", 1)[-1]: each.data for path, each in kept_now.items()}
        assert self.lib(beside) == {"leaf": "1.0", "lib": "2.0"}
        assert len(fetched(outer)) == 1, "the second is not tried"
        assert len(beside.asked) == 2

    def test_nor_of_another_file_under_the_same_name(self, outer: Counterpart, beside: Beside) -> None:
        outer.parts = True
        name, other = wheel("leaf", "1.0", requires=("absent",))
        offered = hashlib.sha256(beside.files[name]).hexdigest()
        outer.keep("outer/python-remote", name, other)
        outer.index_digests[name] = offered
        assert self.lib(beside) == {"leaf": "1.0", "lib": "2.0"}
        assert beside.asked == [f"{name}.metadata"]

    def test_nor_of_one_that_it_has_let_go_of(self, outer: Counterpart, beside: Beside) -> None:
        outer.parts = True
        outer.faults.append(Fault("GET", "leaf-1.0-py3-none-any.whl", status=404, times=99))
        assert self.lib(beside) == {"leaf": "1.0", "lib": "2.0"}
        assert beside.asked == ["leaf-1.0-py3-none-any.whl.metadata"]

    def test_one_with_other_bytes_is_refused(self, outer: Counterpart, beside: Beside) -> None:
        outer.parts = True
        outer.faults.append(Fault("GET", "leaf-1.0-py3-none-any.whl", other_bytes=True, times=99))
        with pytest.raises(RefusedError, match=r"leaf-1\.0.*find out who changed it"):
            self.lib(beside)

    def test_nor_where_it_does_not_say_what_it_has(self, outer: Counterpart, beside: Beside) -> None:
        outer.parts = True
        outer.faults.append(Fault("GET", "/python-remote/files", status=403, times=99))
        assert self.lib(beside) == {"leaf": "1.0", "lib": "2.0"}
        assert fetched(outer) == []

    def test_the_upstreams_word_is_no_proof_about_an_approved_wheel(
        self, outer: Counterpart, beside: Beside
    ) -> None:
        outer.hide_from_record = True
        self.lib(beside)
        assert fetched(outer) == []
        begin, name = len(outer.requests), "leaf-1.0-py3-none-any.whl"
        wanted = artifact(Kind.PYPI, "leaf", "1.0", name, beside.files[name], origin="python-remote")

        async def read(google: Google) -> bytes:
            url = PythonIndex(google, "outer", "us-central1", "python-remote").file_url("leaf", name)
            return await approved_metadata(google, url, wanted)

        assert as_sync(read) == metadata_in(beside.files[name])
        assert fetched(outer, begin) == [name]
        begin = len(outer.requests)
        as_sync(read)
        assert fetched(outer, begin) == []


def told(url: str) -> Callable[[], Awaitable[str]]:
    async def tell() -> str:
        return url

    return tell


PAGES = {
    name: "".join(
        f'<a href="{folder}known-{number}-py3-none-any.whl#sha256={number}">known</a>\n'
        for number, folder in enumerate(folders, 1)
    )
    for name, folders in {
        "plain": ("../../known/", "../../known/"),
        "scattered": ("https://elsewhere/packages/ab/", "https://elsewhere/packages/cd/"),
        "bare": ("", "../../known/"),
    }.items()
}


class TestShelf:
    """The index of one session."""

    class Own:
        async def page(self, name: str) -> tuple[str, str]:
            if name in PAGES:
                return "text/html", PAGES[name]
            page = {
                "files": [
                    {"filename": f"{name}-1-py3-none-any.whl", "url": "https://elsewhere/x", "hashes": {}}
                ]
            }
            return ("application/vnd.pypi.simple.v1+json", json.dumps(page)) if name == "known" else ("", "")

        async def metadata(self, name: str, filename: str) -> bytes | None:
            return b"Name: known" if filename == "known-1-py3-none-any.whl" else None

    def ask(self, *paths: str) -> list[httpx.Response]:
        async def work() -> list[httpx.Response]:
            async with Serving(self.Own()).running() as serving, httpx.AsyncClient() as client:
                return [await client.get(httpx.URL(serving.url).join(path)) for path in paths]

        return asyncio.run(work())

    def test_pages_lead_to_metadata_and_to_no_wheel(self) -> None:
        page, data, wheel_, absent, none = self.ask(
            "known/",
            "../files/known/known-1-py3-none-any.whl.metadata",
            "../files/known/known-1-py3-none-any.whl",
            "unknown/",
            "../files/known/other-1-py3-none-any.whl.metadata",
        )
        [file] = page.json()["files"]
        assert file["core-metadata"] is True
        assert str(page.url.join(file["url"])) + ".metadata" == str(data.url)
        assert data.content == b"Name: known"
        assert [each.status_code for each in (wheel_, absent, none)] == [404, 404, 404]

    @pytest.mark.parametrize("name", ["plain", "scattered", "bare"])
    def test_so_do_those_in_html_wherever_their_links_lead(self, name: str) -> None:
        [page] = self.ask(f"{name}/")
        links = re.findall(r'<a data-core-metadata="true" href="([^"]*)"', page.text)
        paths = [page.url.join(link).path for link in links]
        assert [path.split("/", 2)[2] for path in paths] == [
            f"files/{name}/known-{number}-py3-none-any.whl" for number in (1, 2)
        ]
        [data] = self.ask(f"../files/{name}/known-1-py3-none-any.whl.metadata")
        assert data.content == b"Name: known"

    def test_nobody_else_on_this_machine_can_ask(self) -> None:
        [answer] = self.ask("/simple/known/")
        assert answer.status_code == 404
        [one], [other] = self.ask("known/"), self.ask("known/")
        assert one.url.path != other.url.path


class TestPlatform:
    def test_as_uv_knows_it(self) -> None:
        assert platform(IMAGE) == "x86_64-manylinux_2_36"

    @pytest.mark.parametrize(("glibc", "known"), [("2.27", "2_17"), ("2.30", "2_28"), ("2.99", "2_40")])
    def test_the_nearest_older_one(self, glibc: str, known: str) -> None:
        image = IMAGE.model_copy(update={"glibc": glibc, "architecture": "arm64"})
        assert platform(image) == f"aarch64-manylinux_{known}"

    def test_too_old(self) -> None:
        with pytest.raises(InputError, match="too old"):
            platform(IMAGE.model_copy(update={"glibc": "2.12"}))


class TestTags:
    def test_what_pip_on_debian_12_supports(self) -> None:
        tags = [str(tag) for tag in supported_tags(IMAGE)]
        assert tags[0] == "cp311-cp311-manylinux_2_36_x86_64"
        for tag in (
            "cp311-cp311-manylinux_2_17_x86_64",
            "cp311-cp311-manylinux2014_x86_64",
            "cp311-cp311-manylinux1_x86_64",
            "cp311-abi3-manylinux_2_28_x86_64",
            "cp38-abi3-linux_x86_64",
            "py3-none-any",
            "py311-none-manylinux_2_12_x86_64",
        ):
            assert tag in tags
        assert not [tag for tag in tags if "_2_37" in tag or "musllinux" in tag or "cp312" in tag]

    def test_build_numbers_decide_between_equals(self) -> None:
        files = [
            IndexFile(name, "", None, None, False)
            for name in ("a-1.0-py3-none-any.whl", "a-1.0-2-py3-none-any.whl", "a-1.0-10-py3-none-any.whl")
        ]
        chosen = choose_wheel(files, "1.0", supported_tags(IMAGE))
        assert chosen is not None
        assert chosen.filename == "a-1.0-10-py3-none-any.whl"

    def test_none_fits(self) -> None:
        files = [IndexFile("a-1.0-cp312-cp312-win_amd64.whl", "", None, None, False)]
        assert choose_wheel(files, "1.0", supported_tags(IMAGE)) is None


@pytest.mark.parametrize(
    ("says", "fits"),
    [("", True), ('data-requires-python="&gt;=3.10"', True), ('data-requires-python="&gt;=3.12"', False)]
    + [('data-requires-python="what?"', True)],
)
def test_a_file_for_another_python_is_none_for_this_one(says: str, fits: bool) -> None:
    assert for_python(f'<a href="numpy-2.5.5.tar.gz" {says}>numpy-2.5.5.tar.gz</a>', "3.11") is fits
