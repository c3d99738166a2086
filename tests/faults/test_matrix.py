"""Every kind of step, and everything that goes wrong with it."""

from __future__ import annotations

import pytest

from dmz.errors import DmzError
from tests.faults.afterwards import everything_is_right, unknown
from tests.faults.faults import FAULTS, HANG, Fault, seen_before
from tests.faults.proxy import Injection
from tests.faults.reader import watching
from tests.faults.steps import STEPS, Step, named
from tests.faults.syncing import PATIENT, run
from tests.faults.world import Inner

USUAL = [step for step in STEPS if "rare" not in step.tags]
AWAITED = (
    "token",
    "write lease",
    "upload wheel",
    "stage deb",
    "import debs",
    "poll operation",
    "withdraw version",
)
CELLS = [(step, fault) for step in USUAL for fault in FAULTS if fault.fits(step)]


def _id(value: Step | Fault) -> str:
    return str(value).replace(" ", "-")


def befalling(inner: Inner, step: Step, fault: Fault, *, for_good: bool = False) -> Injection:
    """Have a fault befall requests of a kind, as many as it usually does, or all of them."""
    if "lags" in step.tags:
        seen_before(inner)
    return inner.world.proxy.inject(step, fault.name, fault.action, 10**9 if for_good else fault.times)


def attempt(inner: Inner, *, hangs: bool = False) -> DmzError | None:
    """Run the sync to its end; what it said if that was no good one. Anything but one line is a failure."""
    try:
        run(inner.later, inner.before, answer=HANG if hangs else PATIENT)
    except DmzError as error:
        return error
    finally:
        inner.world.pass_time(inner.project)  # it may not have been able to give its lease back
    return None


def test_every_kind_of_request_has_a_row(inner: Inner) -> None:
    proxy = inner.world.proxy
    run(inner.later, inner.before)
    assert unknown(proxy.exchanges) == []
    assert {each.step for each in proxy.exchanges} == set(USUAL)
    everything_is_right(inner)


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=[pytest.mark.slow] if fault.slow else []) for fault in FAULTS],
    ids=_id,
)
def test_at_every_step(inner: Inner, fault: Fault) -> None:
    """One thing goes wrong once with every kind of request, in as few runs as that takes."""
    proxy = inner.world.proxy
    injected = [befalling(inner, step, fault) for step in USUAL if fault.fits(step)]
    with watching(inner, strict=not fault.misleads) as reader:
        for _ in injected:  # each run gets over one of them at least
            error = attempt(inner, hangs=fault.hangs)
            reader.catch_up()
            assert reader.complaints == []
            if error is None:
                break
            assert not fault.survived, f"once was too much: {error}"
        # Who is misled may never come to ask something, such as for what it took away and brought back.
        meant = [each for each in injected if each.hit or not fault.misleads]
        assert [str(each.step) for each in meant if not each.real] == [], "nothing went wrong there"
        proxy.injections.clear()
        assert attempt(inner) is None
    assert reader.complaints == []
    everything_is_right(inner)


def test_answers_that_do_not_come(inner: Inner) -> None:
    """The cloud does what it is asked, and the sync gives up waiting to hear of it."""
    fault = next(each for each in FAULTS if each.name == "time-out after it was done")
    injected = [befalling(inner, named(name), fault) for name in AWAITED]
    with watching(inner) as reader:
        assert attempt(inner, hangs=True) is None
    assert all(each.hit for each in injected)
    assert reader.complaints == []
    everything_is_right(inner)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "fault"), CELLS, ids=_id)
def test_once(inner: Inner, step: Step, fault: Fault) -> None:
    """One request of one kind goes wrong."""
    injected = befalling(inner, step, fault)
    with watching(inner, strict=not fault.misleads) as reader:
        error = attempt(inner, hangs=fault.hangs)
        reader.catch_up()
        assert reader.complaints == []
        inner.world.proxy.injections.clear()
        again = attempt(inner)
    assert injected.hit, "the sync made no such request"
    assert injected.real, "nothing went wrong there"
    assert again is None, f"the next run failed: {again}"
    assert reader.complaints == []
    everything_is_right(inner)
    if fault.survived:
        assert error is None, f"once was too much: {error}"
