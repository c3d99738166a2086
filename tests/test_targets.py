"""Targets plug in by entry points; what can't come up is bad input, in one line."""

import os
from collections.abc import Callable

import pytest

from dmz import targets
from dmz.errors import InputError


class _Point:
    name = "elsewhere"

    def __init__(self, target: type) -> None:
        self._target = target

    def load(self) -> type:
        return self._target


def _plug(monkeypatch: pytest.MonkeyPatch, target: type) -> None:
    monkeypatch.setattr(targets, "entry_points", lambda group, name=None: [_Point(target)])


def test_the_sandbox_and_google_are_there() -> None:
    assert {"google", "sandbox"} <= set(targets.names())


def test_a_target_leads_there_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Target:
        def up(self, progress: Callable[[str], None]) -> dict[str, str]:
            return {"DMZ_TEST_TARGET": "entered"}

    _plug(monkeypatch, Target)
    monkeypatch.setenv("DMZ_TEST_TARGET", "")
    targets.enter("elsewhere", lambda line: None)
    assert os.environ["DMZ_TEST_TARGET"] == "entered"


def test_what_cannot_come_up_says_why_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Target:
        def up(self, progress: Callable[[str], None]) -> dict[str, str]:
            raise RuntimeError("this needs root; run it as root")

    _plug(monkeypatch, Target)
    with pytest.raises(InputError, match="target elsewhere: this needs root; run it as root"):
        targets.enter("elsewhere", lambda line: None)


def test_google_is_the_environment_as_it_is() -> None:
    before = dict(os.environ)
    targets.enter("google", lambda line: None)
    assert dict(os.environ) == before
