"""An outer project in memory: what it offers, a base image, and the facts about what it offers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pytest
from aiohttp import web

from dmz.promotion import workload as workloads
from dmz.promotion.installed import Installed
from dmz.promotion.workload import Workload
from dmz.registries.google import Google, connect
from dmz.workflow.outer import Outer
from tests.promotion.builders import image
from tests.registries.conftest import FAST
from tests.registries.counterpart import Counterpart, deb, running, serving, wheel

T = TypeVar("T")

IMAGE: Final = image()
BASE: Final = (
    Installed(name="libc6", version="2.36-9", architecture="amd64", relations={"Multi-Arch": "same"}),
    Installed(
        name="mawk",
        version="1.3.4-1",
        architecture="amd64",
        relations={"Provides": "awk", "Pre-Depends": "libc6 (>= 2.34)"},
    ),
)
"""A base image that has two packages."""
OUTPUTS: Final[dict[str, Any]] = {
    "side": "outer",
    "project": "outer",
    "location": "us-central1",
    "aptRepositories": [
        {"repository": "apt-bookworm", "suite": "bookworm"},
        {"repository": "apt-bookworm-security", "suite": "bookworm-security"},
    ],
    "pythonRepository": "python-remote",
    "pythonBuiltRepository": "python-built",
    "filesBucket": "outer-files",
    "inventoryBucket": "outer-inventories",
}


def silent(_: str) -> None:
    """Nobody listens."""


def offering() -> Counterpart:
    """An outer project that offers nothing yet."""
    counterpart = Counterpart(page_size=1000)
    counterpart.add("outer/python-remote", "PYTHON")
    counterpart.add("outer/python-built", "PYTHON")
    counterpart.add("outer/apt-bookworm", "APT")
    counterpart.add("outer/apt-bookworm-security", "APT")
    counterpart.buckets |= {"outer-files": {}, "outer-inventories": {}}
    return counterpart


def offer_wheel(
    outer: Counterpart, name: str, version: str, *requires: str, tag: str = "py3-none-any"
) -> None:
    """Offer a wheel that requires others."""
    outer.keep("outer/python-remote", *wheel(name, version, requires=requires, tag=tag))


def offer_deb(
    outer: Counterpart,
    name: str,
    version: str,
    fields: str = "",
    suite: str = "bookworm",
    architecture: str = "amd64",
) -> None:
    """Offer a deb whose control file has further fields, each a line."""
    body = deb(name, version, architecture, source=name, fields=fields)
    outer.keep(f"outer/apt-{suite}", f"{name}_{version}_{architecture}.deb", body)


@contextmanager
def upstream(outer: Counterpart) -> Iterator[None]:
    """An index behind the remote repository that knows every project and no file's age."""

    async def page(request: web.Request) -> web.Response:
        kept = outer.repositories["outer/python-remote"]
        links = [
            f'<a href="/none/{path.rsplit("/")[-1]}#sha256={file.sha256}">x</a>'
            for path, file in kept.items()
            if file.package == request.match_info["name"]
        ]
        return web.Response(text="".join(links), content_type="text/html")

    with serving([web.get("/simple/{name}/", page)]) as url:
        outer.remote = {"pythonRepository": {"customRepository": {"uri": url}}}
        yield


@contextmanager
def served(outer: Counterpart, monkeypatch: pytest.MonkeyPatch, cache: str) -> Iterator[Counterpart]:
    """Serve it, with its upstream, and lead this process there."""
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    with running(outer), upstream(outer):
        for name, value in outer.environment().items():
            monkeypatch.setenv(name, value)
        yield outer


def with_facts(work: Callable[[Outer], Awaitable[T]]) -> T:
    """Do something with what the outer project says."""

    async def connected(google: Google) -> T:
        return await work(Outer(google, OUTPUTS, IMAGE, silent))

    async def run() -> T:
        async with connect("us-central1", retry=FAST) as google:
            return await connected(google)

    return asyncio.run(run())


def workload(*python: str, apt: Sequence[str] = (), overrides: Sequence[str] = ()) -> Workload:
    """A workload that asks for these."""
    return workloads.parse(
        'name = "small"\nsummary = "a test"\nbase-image = "sandbox-debian-12"\ncheck = "true"\n'
        f"apt = {list(apt)!r}\npython = {list(python)!r}\npython-overrides = {list(overrides)!r}\n",
        "workload.toml",
    )
