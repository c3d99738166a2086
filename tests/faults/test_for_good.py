"""What stays broken: the sync ends, says so in one line, and the next one ends well when all is mended."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from tests.faults.afterwards import everything_is_right
from tests.faults.faults import FAULTS, Fault
from tests.faults.proxy import Arrived, FaultAction, pass_on
from tests.faults.reader import watching
from tests.faults.steps import Step, named
from tests.faults.test_matrix import USUAL, attempt
from tests.faults.world import LOCATION, Inner

STAYING = ("connection reset", "429 with Retry-After", "500", "503", "401", "disk full")
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
