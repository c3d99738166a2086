"""What stays broken: the sync ends, says so in one line, and the next one ends well when all is mended."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from aiohttp import web

from tests.faults.afterwards import everything_is_right, objects, read
from tests.faults.faults import FAULTS, Fault, changed_on_its_way, wrong_hashes
from tests.faults.proxy import Arrived, FaultAction, pass_on
from tests.faults.reader import watching
from tests.faults.steps import Step, named
from tests.faults.test_matrix import USUAL, attempt, befalling
from tests.faults.world import LOCATION, Inner

STAYING = ("connection reset", "429 with Retry-After", "500", "503", "401", "disk full")
USUALLY = {("lags", "list apt"), ("other bytes", "download wheel"), ("changed on its way", "stage deb")}
OFTEN = {("503", "upload wheel"), ("500", "list apt"), ("disk full", "publish release"), ("401", "token")}
"""What the usual run looks at; the rest is slow."""
CELLS = [
    pytest.param(step, fault, marks=[] if (fault.name, step.name) in OFTEN else pytest.mark.slow)
    for step in USUAL
    for fault in FAULTS
    if fault.name in STAYING and fault.fits(step)
]


@pytest.mark.parametrize(("step", "fault"), CELLS, ids=lambda each: str(each).replace(" ", "-"))
def test_a_step_that_keeps_failing(inner: Inner, step: Step, fault: Fault) -> None:
    proxy = inner.world.proxy
    injected = proxy.inject(step, fault.name, fault.action, times=10**9)
    with watching(inner) as reader:
        error = attempt(inner)
        assert injected.hit, "the sync made no such request"
        assert (error is None) == ("dispensable" in step.tags), error
        assert reader.complaints == []
        proxy.injections.clear()
        assert attempt(inner) is None
    assert reader.complaints == []
    everything_is_right(inner)


LIES = [
    pytest.param(name, step, marks=[] if (name, step) in USUALLY else pytest.mark.slow)
    for name, steps in {
        "wrong hash": ("list Python", "list apt", "read packages", "outer packages"),
        "lags": ("list Python", "list apt", "read index"),
        "other bytes": ("download wheel", "download deb", "download file", "read index"),
        "truncated": ("download wheel", "download deb", "download file", "list Python"),
        "ends early": ("download wheel", "download deb", "download file", "list Python"),
        "changed on its way": ("upload wheel", "stage deb"),
        "another's answer": ("list Python", "list apt", "list files", "find current", "find withdrawn"),
        "time-out": ("write lease", "download wheel", "import debs"),
    }.items()
    for step in steps
]


@pytest.mark.parametrize(("name", "step"), LIES, ids=lambda each: each.replace(" ", "-"))
def test_an_answer_that_stays_wrong(inner: Inner, name: str, step: str) -> None:
    """It is never believed in the end: machines go on with what they have until it is mended."""
    fault = next(each for each in FAULTS if each.name == name)
    injected = befalling(inner, named(step), fault, for_good=True)
    with watching(inner, strict=not fault.misleads) as reader:
        assert attempt(inner, hangs=fault.hangs) is not None
        assert injected.real, "nothing went wrong there"
        reader.catch_up()
        assert reader.complaints == []
        assert _told(inner) != set(inner.later.releases.values()), "machines were told of it"
        inner.world.proxy.injections.clear()
        assert attempt(inner) is None
    assert reader.complaints == []
    everything_is_right(inner)


@pytest.mark.parametrize("step", ["list Python", "list apt"])
def test_a_listing_that_is_wrong_after_the_copy(inner: Inner, step: str) -> None:
    """What the destination says that it took is compared with what was approved."""
    injected = inner.world.proxy.inject(named(step), "wrong hashes", wrong_hashes, skip=1)
    with watching(inner) as reader:
        error = attempt(inner)
        assert "the inner repository's record after the copy has" in str(error)
        assert injected.real
        assert _told(inner) == set(inner.earlier.releases.values()), "machines were told of what is not right"
        assert attempt(inner) is None
    assert reader.complaints == []
    everything_is_right(inner)


def test_a_file_that_changes_on_its_way_is_removed_again(inner: Inner) -> None:
    """Only its CRC32C tells, and only when it is there: what stands before that is the connection's own."""
    world, (file,) = inner.world, inner.world.goods.of("file-new")
    injected = world.proxy.inject(named("upload file"), "changed", changed_on_its_way, times=10**9)
    assert "was stored with other bytes than were sent; removed" in str(attempt(inner))
    assert injected.real
    assert [name for name in objects(inner, inner.bucket) if file.sha256 in name] == []
    world.proxy.forget()
    assert attempt(inner) is None
    everything_is_right(inner)


def test_what_the_archive_keeps_wrong_is_for_a_person_to_delete(inner: Inner) -> None:
    """The sync can't take away anything there."""
    world, archive = inner.world, f"{inner.project}-archive"
    injected = world.proxy.inject(named("keep in archive"), "changed", changed_on_its_way)
    with watching(inner) as reader:
        error = str(attempt(inner))
        assert "other bytes" in error
        assert "delete" in error
        assert injected.real
        (wrong,) = (each for each in objects(inner, archive) if each in error)
        world.box.send("DELETE", "storage", f"storage/v1/b/{archive}/o/{quote(wrong, safe='')}")
        world.proxy.forget()
        assert attempt(inner) is None
    assert reader.complaints == []
    everything_is_right(inner)


def _told(inner: Inner) -> set[str]:
    """The releases that the machines are told to install."""
    names = [name for name in objects(inner, inner.bucket) if name.startswith("current/")]
    return {json.loads(read(inner, name))["digest"] for name in names}


async def _ending(arrived: Arrived) -> web.StreamResponse:
    """A token that ends in a minute."""
    answer = await arrived.forward()
    end = (datetime.now(UTC) + timedelta(minutes=1)).isoformat(timespec="seconds")
    body = json.loads(answer.body) | {"expireTime": end.replace("+00:00", "Z")}
    return await arrived.answer(replace(answer, body=json.dumps(body).encode()))


def test_tokens_that_end_are_renewed_before(inner: Inner) -> None:
    injected = inner.world.proxy.inject(named("token"), "ending", _ending, times=10**9)
    assert attempt(inner) is None
    assert injected.hit > 10
    everything_is_right(inner)


def deleting(inner: Inner, project: str, repository: str) -> FaultAction:
    """Delete a repository when the request comes, and let it go on then."""
    box, name = inner.world.box, f"projects/{project}/locations/{LOCATION}/repositories/{repository}"

    async def act(arrived: Arrived) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: box.call("DELETE", "artifactregistry", f"v1/{name}"))
        return await pass_on(arrived)

    return act


DELETED = [
    pytest.param(repository, step, marks=[pytest.mark.slow] if seldom else [])
    for repository, step, seldom in (
        ("python", "list Python", True),
        ("python", "upload wheel", False),
        ("python", "publish release", True),
        ("apt", "list apt", True),
        ("apt", "stage deb", True),
        ("apt", "import debs", False),
        ("apt", "read index", True),
        ("apt", "poll operation", True),
        ("apt", "withdraw version", False),
    )
]


@pytest.mark.parametrize(("repository", "step"), DELETED)
def test_an_inner_repository_is_deleted_meanwhile(inner: Inner, repository: str, step: str) -> None:
    world = inner.world
    injected = world.proxy.inject(named(step), "deleted", deleting(inner, inner.project, repository))
    with watching(inner, strict=False) as reader:
        attempt(inner)
        assert injected.hit
        assert attempt(inner) is not None, "there is no such repository"
        world.inner_repository(inner.project, repository)
        assert attempt(inner) is None
    assert reader.complaints == []
    everything_is_right(inner)


@pytest.mark.parametrize(
    ("repository", "step"), [("python-remote", "download wheel"), ("apt-bookworm", "outer index")]
)
def test_an_outer_repository_is_deleted_meanwhile(inner: Inner, repository: str, step: str) -> None:
    world = inner.world
    injected = world.proxy.inject(named(step), "deleted", deleting(inner, "outer", repository))
    with watching(inner) as reader:
        try:
            error = attempt(inner)
        finally:
            world.outer_repositories(repository)
        assert injected.hit
        assert error is not None
        assert attempt(inner) is None
    assert reader.complaints == []
    everything_is_right(inner)
