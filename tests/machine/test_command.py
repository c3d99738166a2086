"""A program that fails says in one line what went wrong."""

from pathlib import Path

import pytest

from dmz.machine.agent import python
from dmz.machine.agent.command import StepError, run

PIP = f"""
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.
    six==1.17.0 from https://us-central1-python.pkg.dev/p/r/six.whl:
        Expected sha256 {"a" * 64}
             Got        {"b" * 64}
"""


def test_the_errors_are_told_and_the_rest_is_not() -> None:
    with pytest.raises(StepError, match=r"ended with 3: E: no such thing$"):
        run(["sh", "-c", "echo reading; echo 'E: no such thing' >&2; echo bye >&2; exit 3"])


def test_digests_that_differ_are_told() -> None:
    with pytest.raises(StepError, match=f"Expected sha256 {'a' * 64} / Got +{'b' * 64}"):
        run(["sh", "-c", f"echo '{PIP}' >&2; exit 1"])


def test_a_wheel_with_other_bytes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(*_: object, **__: object) -> str:
        return run(["sh", "-c", f"echo '{PIP}' >&2; exit 1"])

    monkeypatch.setattr(python, "run", pip)
    monkeypatch.setattr(python, "_LOCKED", tmp_path / "locked.txt")
    monkeypatch.setattr(python, "environment", lambda location: {})
    locked = {"other==1": "c" * 64, "six==1.17.0": "a" * 64}
    with pytest.raises(StepError, match=r"^six==1\.17\.0: the repository served other bytes"):
        python.download_locked("python3", locked, "l", "https://index", tmp_path)
