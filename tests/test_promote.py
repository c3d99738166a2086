# ruff: noqa: F811 - fixtures of another module
"""Shards of the sync's copying against a real server: what they copy, leave, and refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from dmz.errors import RefusedError, TransferError
from dmz.promotion import drift, lines
from dmz.promotion.copying import Limits
from dmz.promotion.shards import WHOLE, Shard
from dmz.registries import claiming
from dmz.registries.pace import PacedTransport
from dmz.sync.inputs import Inputs
from dmz.sync.shard import Promoted, promote
from tests.registries.counterpart import Counterpart, Fault
from tests.test_sync import (  # noqa: F401
    ALL,
    APT,
    FILE,
    FLAX,
    JAX,
    PYTHON,
    Attested,
    attested,
    cloud,
    create,
    digests,
    held,
    released,
    update,
)

QUICK = Limits(first_delay=0.01, longest_delay=0.05)


def run(
    props: dict[str, Any], shard: Shard = WHOLE, *, before: Iterable[str] = (), adopt: bool = False
) -> Promoted:
    work = promote(Inputs.of(props), set(before), shard, adopt=adopt, tell=lambda _: None, limits=QUICK)
    return asyncio.run(work)


def all_of(count: int) -> list[Shard]:
    return [Shard(index, count) for index in range(1, count + 1)]


def staged(cloud: Counterpart) -> set[str]:
    return {name for name in cloud.buckets["inner-staging"] if APT.sha256 in name}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_shards_together_copy_everything_and_the_sync_finds_nothing_left(
    cloud: Counterpart, attested: Attested, count: int
) -> None:
    props = attested(*ALL)
    done = [run(props, shard) for shard in all_of(count)]
    assert sum(each.copied for each in done) == len(ALL)
    assert sum(each.bytes for each in done) == sum(one.size for one in ALL)
    assert held(cloud) == digests(*ALL) - {APT.sha256}
    assert staged(cloud)
    # Nothing is published: that is the sync's.
    assert not any(name.startswith(("current/", "releases/")) for name in cloud.buckets["inner-release"])

    downloads = [each for each in cloud.requests if each[0] == "GET" and ".whl" in each[1]]
    outs = create(props)
    assert held(cloud) == digests(*ALL)
    assert not staged(cloud)
    assert outs["copied"] == 1  # what was staged is admitted
    assert [each for each in cloud.requests if each[0] == "GET" and ".whl" in each[1]] == downloads


def test_a_shard_copies_its_part_only(cloud: Counterpart, attested: Attested) -> None:
    props = attested(*ALL)
    for shard in all_of(3):
        before = held(cloud)
        done = run(props, shard)
        mine = [each for each in ALL if shard.has(each)]
        assert done.copied == len(mine)
        assert held(cloud) - before == digests(*mine) - {APT.sha256}


def test_a_second_time_copies_nothing(cloud: Counterpart, attested: Attested) -> None:
    props = attested(*ALL)
    run(props)
    kept = {name: dict(files) for name, files in cloud.repositories.items()}
    again = run(props)
    assert (again.copied, again.bytes, again.staged, again.kept) == (0, 0, 1, len(ALL) - 1)
    assert cloud.repositories == kept


def test_what_nobody_attested_is_not_copied(cloud: Counterpart) -> None:
    with pytest.raises(RefusedError, match="not attested yet"):
        run(released(*ALL))
    assert not held(cloud)
    assert not staged(cloud)


def test_what_the_sync_would_refuse_is_not_begun(cloud: Counterpart, attested: Attested) -> None:
    cloud.keep("inner/python", FLAX[0], FLAX[1])
    with pytest.raises(RefusedError, match="dmz:adopt"):
        run(attested(PYTHON["jax"]))
    assert held(cloud) == {PYTHON["flax"].sha256}


def test_a_sync_that_was_killed_is_told_of_though_a_shard_ended_after_it(
    cloud: Counterpart, attested: Attested
) -> None:
    props, box = attested(*ALL), cloud.buckets["inner-release"]
    box["journal/20200101T000000Z-0123456789abcdef/000001-began.json"] = b"{}"
    run(props)
    create(props)
    [taken] = [body for name, body in box.items() if name.endswith("-took-over.json")]
    assert b"20200101T000000Z-0123456789abcdef" in taken
    create(props)
    assert len([name for name in box if name.endswith("-took-over.json")]) == 1


def test_a_version_that_has_to_be_cleared_waits_for_the_sync(cloud: Counterpart, attested: Attested) -> None:
    cloud.keep("inner/python", JAX[0], b"other bytes under an approved name")
    wrong = held(cloud)
    props = attested(*ALL)
    done = run(props, adopt=True)
    assert done.contested == (PYTHON["jax"],)
    assert done.copied == len(ALL) - 1
    # A shard takes nothing away.
    assert held(cloud) == wrong | digests(*ALL) - {APT.sha256, PYTHON["jax"].sha256}
    update(props, props)
    assert held(cloud) == digests(*ALL)


def test_nothing_is_withdrawn_by_a_shard(cloud: Counterpart, attested: Attested) -> None:
    first = attested(*ALL)
    create(first)
    later = attested(PYTHON["jax"], APT, FILE)
    done = run(later, before=drift.approved(first["packages"], ()), adopt=True)
    assert done.copied == 0
    assert held(cloud) == digests(*ALL)


def test_an_artifact_that_fails_leaves_the_others_and_is_copied_by_the_next_run(
    cloud: Counterpart, attested: Attested
) -> None:
    props = attested(*ALL)
    cloud.faults.append(Fault("GET", JAX[0], other_bytes=True, times=1))
    with pytest.raises(TransferError, match="jax"):
        run(props)
    assert held(cloud) <= digests(*ALL) - {PYTHON["jax"].sha256}
    run(props)
    assert held(cloud) == digests(*ALL) - {APT.sha256}


def test_everything_is_done_as_the_sync(cloud: Counterpart, attested: Attested) -> None:
    run(attested(*ALL))
    asked = [each for each in cloud.requests if not each[1].startswith(("/iam/", "/oauth2/"))]
    assert {identity for _, _, identity in asked} == {"sync"}


class TestLeases:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dmz.sync.running.PATIENCE", 0.0)

    def holding(self, cloud: Counterpart, name: str) -> None:
        holder = claiming.Holder("ada@example.org", "0123456789abcdef", "elsewhere")
        body = claiming.rendered(holder, cloud.now(), cloud.now())
        cloud.buckets["inner-release"][claiming.place(name)] = body

    @pytest.mark.parametrize("name", [claiming.SYNC, claiming.shard(1, 2)])
    def test_the_sync_and_the_same_shard_shut_it_out(
        self, cloud: Counterpart, attested: Attested, name: str
    ) -> None:
        self.holding(cloud, name)
        with pytest.raises(RefusedError, match=r"ada@example\.org.*nothing was changed"):
            run(attested(*ALL), Shard(1, 2))
        assert not held(cloud)

    def test_another_shard_does_not(self, cloud: Counterpart, attested: Attested) -> None:
        self.holding(cloud, claiming.shard(2, 2))
        assert run(attested(*ALL), Shard(1, 2)).contested == ()

    def test_it_is_given_back_and_the_run_stands_in_the_journal(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        done = run(attested(*ALL), Shard(1, 2))
        box = cloud.buckets["inner-release"]
        assert not any(name.startswith(claiming.FOLDER) for name in box)
        told = [json.loads(body) for name, body in sorted(box.items()) if name.startswith("journal/")]
        assert (told[0]["action"], told[-1]["action"]) == ("began", "ended")
        assert told[0]["details"]["doing"] == "shard 1/2"
        copied = [item for each in told if each["action"] == "copied" for item in each["items"]]
        assert len(copied) == done.copied


def test_the_share_of_the_quota_is_the_shards(
    cloud: Counterpart, attested: Attested, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    paced = PacedTransport

    def watching(inner: Any, counted: Any, share: float, most: float) -> Any:
        shares.append(share)
        return paced(inner, counted, share, most)

    monkeypatch.setattr("dmz.registries.google.PacedTransport", watching)
    run(attested(*ALL), Shard(3, 4))
    assert 0.25 in shares


def test_a_line_that_says_something_else_than_the_release_is_refused(
    cloud: Counterpart, attested: Attested
) -> None:
    props = attested(PYTHON["jax"])
    other = replace(PYTHON["jax"], sha256=PYTHON["flax"].sha256)
    with pytest.raises(Exception, match="not what the releases"):
        run({**props, "packages": lines.render([other])})
