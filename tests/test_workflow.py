"""What the workflow refuses before anything is up, and which report is a machine's last word."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from dmz.console import Steps
from dmz.errors import DmzError, InputError, RefusedError
from dmz.promotion.inventory import File
from dmz.registries.bucket import Bucket, Object
from dmz.workflow.claims import newest
from dmz.workflow.estate import Estate
from dmz.workflow.outer import file_entries
from dmz.workflow.plan import plan
from dmz.workflow.run import Options, run
from tests.promotion.builders import file, sha
from tests.promotion.memory import Memory

ROOT = Path(__file__).parents[1]


class Synced(Estate):
    """An estate whose inner stack has synced packages; nothing may come up."""

    def inner_outputs(self) -> Mapping[str, Any]:
        return {"side": "inner", "packageSync": True, "location": "us-central1"}


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml", "policy.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "workloads", tmp_path / "workloads")
    return Synced(tmp_path)


def silent(_: str) -> None:
    """Nobody listens."""


def test_no_plan_to_withdraw_everything_comes_of_a_missing_release(estate: Estate) -> None:
    with pytest.raises(InputError, match="no release of 'small'"):
        asyncio.run(plan(estate, silent))


def test_a_run_does_not_write_over_a_lock_that_does_not_read(estate: Estate) -> None:
    estate.releases.mkdir()
    lock = estate.releases / "pylock.small.toml"
    lock.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"releases/.*small"):
        run(estate, Options(), Steps(io.StringIO()))
    assert lock.read_bytes() == b"\xff"


class Said:
    """What a machine said, one look after the other."""

    def __init__(self, *looks: list[int]) -> None:
        self.name = "reports"
        self._looks = list(looks)
        self._now: list[int] = []

    async def list(self, prefix: str = "") -> list[Object]:
        self._now = self._looks.pop(0) if self._looks else self._now
        return [
            Object(str(value), 1, "", datetime.fromtimestamp(number, UTC).isoformat(), "1")
            for number, value in enumerate(self._now)
        ]

    async def read(self, name: str) -> bytes | None:
        return name.encode()


def last_word(bucket: Said, within: float) -> int:
    return asyncio.run(
        newest(
            cast(Bucket, bucket),
            "",
            lambda body, where: int(json.loads(body)),
            lambda value: value != 7,
            silent,
            within=within,
            settled=lambda value: value > 0,
        )
    )


def test_the_newest_that_is_accepted_counts() -> None:
    assert last_word(Said([1, 2, 7]), 0) == 2


def test_what_is_not_settled_is_waited_over_and_hides_what_was_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dmz.workflow.claims._PAUSE", 0)
    assert last_word(Said([1, -2], [1, -2], [1, -2, 3]), 60) == 3


def test_when_time_is_up_what_is_not_settled_is_told_as_it_is() -> None:
    assert last_word(Said([1, -2]), 0) == -2


def test_silence_is_an_error() -> None:
    with pytest.raises(DmzError, match="nothing in"):
        last_word(Said([]), 0)


def test_a_file_has_the_size_of_the_buckets_record_and_not_of_the_claim() -> None:
    bucket, content = Memory(), b"to be or not to be"
    bucket.add(file(content=content), content)
    name, digest = file(content=content).filename, sha(content)
    [entry] = asyncio.run(file_entries(bucket, [File(name=name, sha256=digest, size=1)]))
    assert entry.artifact.size == len(content)


def test_a_file_that_the_bucket_does_not_have_is_refused() -> None:
    claimed = File(name="corpus.txt", sha256="a" * 64, size=1)
    with pytest.raises(RefusedError, match=r"corpus\.txt .* does not have it"):
        asyncio.run(file_entries(Memory(), [claimed]))
