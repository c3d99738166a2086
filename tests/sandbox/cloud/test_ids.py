"""Ids are numbers that every client can read."""

import secrets

import pytest

from sandbox.cloud.ids import new_id


def test_the_largest_id_is_an_int64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "randbelow", lambda below: below - 1)
    assert int(new_id()) == 2**63 - 1


def test_the_smallest_id_has_nineteen_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "randbelow", lambda below: 0)
    assert new_id() == "1" + "0" * 18
