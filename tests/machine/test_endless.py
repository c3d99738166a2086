"""The agents go on whatever they meet: nobody would start them again, and somebody waits for their answer."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NoReturn

import pytest

from dmz.machine.agent import base, debian, inner, metadata, outer, storage

SETTINGS: dict[str, Any] = {
    "machine": "dmz-outer",
    "runtime": "sandbox-debian-12",
    "workload": {"name": "small"},
    "workload_digest": "0" * 64,
    "release_bucket": "inner-release",
}


class EnoughError(BaseException):
    """Ends what never ends."""


@pytest.mark.parametrize("agent", [outer, inner])
@pytest.mark.parametrize("body", [b"[]", b"[" * 100_000, b"7"], ids=len)
def test_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch, agent: ModuleType, body: bytes) -> None:
    """A pointer to a release, or settings, that are of no known form."""
    looks: list[int] = []

    def slept(_: float) -> None:
        looks.append(1)
        if len(looks) == 2:
            raise EnoughError

    monkeypatch.setattr(debian, "upgrades_off", lambda: None)
    monkeypatch.setattr(base, "image", lambda _: {})
    monkeypatch.setattr(storage, "read", lambda *_: body)
    monkeypatch.setattr(metadata, "settings", lambda: SETTINGS if agent is inner else ["none"])
    monkeypatch.setattr(agent.time, "sleep", slept)
    with pytest.raises(EnoughError):
        agent.main()


def test_foreign_code_that_breaks_the_discovery_breaks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: object) -> NoReturn:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(base, "image", lambda _: {})
    monkeypatch.setattr(base, "status", list)
    monkeypatch.setattr(outer, "_apt", lambda _: [])
    monkeypatch.setattr(outer, "_pypi", lost)
    assert outer.discover(SETTINGS)["error"] == "maximum recursion depth exceeded"
