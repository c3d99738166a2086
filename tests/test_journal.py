"""The journal of real syncs: what a run says, and what is left of one that is killed."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from dmz.errors import DmzError, RefusedError, TransferError
from dmz.promotion import journal as journals
from dmz.promotion.journal import Action, Entry, Event, parse, parse_name, run_name
from dmz.promotion.withdrawal import Withdrawal
from dmz.registries import lease as leases
from dmz.registries.caller import Caller
from dmz.registries.claiming import GRACE, SECONDS, Holder, rendered
from dmz.sync import journal as writing
from dmz.sync import running
from dmz.sync.journal import Journal
from dmz.sync.running import Running
from tests.registries.counterpart import Counterpart, Fault
from tests.test_sync import ALL, FILE, PYTHON, Attested, attested, cloud, create, digests, held, update

__all__ = ["attested", "cloud"]

OVER = timedelta(seconds=SECONDS + GRACE + 2)
RUN = run_name(datetime(2026, 11, 22, tzinfo=UTC), "0123456789abcdef")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_AGAIN", 0.01)
    monkeypatch.setattr(running, "PATIENCE", 0.0)


def told(cloud: Counterpart) -> list[list[Entry]]:
    """The entries of each run, the run that wrote first first: two may have begun in the same second."""
    found: dict[str, list[Entry]] = {}
    for name, data in cloud.buckets["inner-release"].items():
        if parsed := parse_name(name):
            found.setdefault(parsed[0], []).append(parse(data, name))
    return [sorted(entries, key=lambda entry: entry.number) for entries in found.values()]


def actions(entries: list[Entry]) -> list[str]:
    return [str(entry.action) for entry in entries]


class TestASync:
    def test_what_it_says(self, cloud: Counterpart, attested: Attested) -> None:
        props = attested(*ALL)
        create(props)
        [run] = told(cloud)
        assert actions(run)[0] == "began"
        assert actions(run)[-2:] == ["published", "ended"]
        began = run[0].details
        assert began["who"] == "ada@example.org"
        assert began["knownBy"] == "Google's token endpoint"
        assert "@" in began["said"]["user"]
        assert began["releases"] == props["releases"]
        assert began["program"].startswith("package-dmz ")
        assert [entry.number for entry in run] == list(range(1, len(run) + 1))
        meant = {line.rpartition("sha256:")[2] for line in run[0].items}
        copied = {
            line.rpartition("sha256:")[2] for entry in run for line in entry.items if entry.action == "copied"
        }
        assert meant == copied == digests(*ALL)
        assert run[-1].details["copied"] == len(ALL)

    def test_no_token_is_in_it(self, cloud: Counterpart, attested: Attested) -> None:
        create(attested(*ALL))
        assert b"token-of" not in b"".join(cloud.buckets["inner-release"].values())

    def test_nothing_of_the_lease_stays(self, cloud: Counterpart, attested: Attested) -> None:
        create(attested(*ALL))
        assert not [name for name in cloud.buckets["inner-release"] if name.startswith("lease/")]

    def test_one_that_fails_says_why(self, cloud: Counterpart, attested: Attested) -> None:
        cloud.faults.append(Fault("GET", PYTHON["jax"].filename, other_bytes=True, times=99))
        with pytest.raises(TransferError) as caught:
            create(attested(*ALL))
        [run] = told(cloud)
        assert actions(run)[-1] == "failed"
        assert run[-1].note == str(caught.value)

    def test_withdrawals_are_said_before_they_are_done(self, cloud: Counterpart, attested: Attested) -> None:
        old = create(attested(*ALL))
        cloud.faults.append(Fault("POST", "versions:batchDelete", status=400, times=99))
        with pytest.raises(DmzError):
            update(old, attested(FILE))
        run = told(cloud)[-1]
        assert actions(run)[-2:] == ["withdrawing", "failed"]

    @pytest.mark.parametrize("times", [1, 5])
    def test_answers_that_get_lost(self, cloud: Counterpart, attested: Attested, times: int) -> None:
        props = attested(*ALL)
        cloud.faults.append(Fault("POST", "/b/inner-release/o", lost=True, times=times))
        create(props)
        [run] = told(cloud)
        assert [entry.number for entry in run] == list(range(1, len(run) + 1))
        assert actions(run)[-1] == "ended"

    @pytest.mark.parametrize(
        ("info", "who"),
        [
            (None, "unknown"),
            ({"azp": "1234567890"}, "the account with the unique id 1234567890"),
            ({"email": "not-verified@example.org", "email_verified": "false"}, "unknown"),
            ({"email": 3, "sub": None}, "unknown"),
        ],
    )
    def test_who_it_was_when_google_does_not_say(
        self, cloud: Counterpart, attested: Attested, info: Any, who: str
    ) -> None:
        cloud.token_info = info
        create(attested(*ALL))
        assert told(cloud)[0][0].details["who"] == who

    def test_what_ci_says_is_marked_as_said(
        self, cloud: Counterpart, attested: Attested, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            "GITHUB_SERVER_URL": "https://ci.example",
            "GITHUB_REPOSITORY": "a/b",
            "GITHUB_RUN_ID": "7",
            "GITHUB_ACTOR": "eve\x1b[31m",
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("CI_JOB_URL", "BUILD_URL", "GITLAB_USER_LOGIN", "GITHUB_TRIGGERING_ACTOR"):
            monkeypatch.delenv(name, raising=False)
        create(attested(*ALL))
        details = told(cloud)[0][0].details
        assert details["who"] == "ada@example.org"
        assert details["said"]["job"] == "https://ci.example/a/b/actions/runs/7"
        assert details["said"]["actor"] == "eve?[31m"


class TestTwo:
    def test_the_second_refuses_while_the_first_is_at_work(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        props = attested(*ALL)
        holder = Holder("bob@example.org", "b" * 16, "there")
        cloud.buckets["inner-release"]["lease/sync.json"] = rendered(holder, cloud.now(), cloud.now())
        with pytest.raises(RefusedError, match=r"the sync of bob@example\.org is at work"):
            create(props)
        assert held(cloud) == set()
        assert told(cloud) == []
        cloud.ahead = OVER
        create(props)
        assert held(cloud) == digests(*ALL)

    def test_at_once_one_after_the_other(
        self, cloud: Counterpart, attested: Attested, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(running, "PATIENCE", 60.0)
        props, failed = attested(*ALL), list[BaseException]()

        def one() -> None:
            try:
                create(props)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=one) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert held(cloud) == digests(*ALL)
        found = told(cloud)
        assert [actions(run)[-1] for run in found] == ["ended"] * 3
        assert sorted(run[-1].details["copied"] for run in found) == [0, 0, len(ALL)]
        assert not any(entry.action is Action.TOOK_OVER for run in found for entry in run)


class TestAfterAKill:
    def test_the_next_one_names_it_and_says_what_is_in_place(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        props = attested(*ALL)
        create(props)
        box = cloud.buckets["inner-release"]
        # As if it had been killed before its last words, with one file missing.
        for name in [name for name in box if name.startswith("journal/") and name.endswith("-ended.json")]:
            del box[name]
        cloud.repositories["inner/python"].pop(f"jax/{PYTHON['jax'].filename}")
        [killed] = told(cloud)
        cloud.ahead = timedelta(seconds=5)
        create(props)
        run = told(cloud)[-1]
        assert actions(run)[:2] == ["began", "took over"]
        assert killed[0].run in run[1].note
        assert "4 of 5 artifacts" in run[1].note
        assert not any(PYTHON["jax"].sha256 in line for line in run[1].items)
        cloud.ahead = timedelta(seconds=10)
        create(props)
        assert "took over" not in actions(told(cloud)[-1])

    def test_a_large_one_is_told_of_part_by_part(
        self, cloud: Counterpart, attested: Attested, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journals, "PART", 2)
        create(attested(*ALL))
        box = cloud.buckets["inner-release"]
        for name in [name for name in box if name.startswith("journal/") and name.endswith("-ended.json")]:
            del box[name]
        cloud.ahead = timedelta(seconds=5)
        create(attested(*ALL))
        taken = [entry for entry in told(cloud)[-1] if entry.action is Action.TOOK_OVER]
        assert len(taken) == 3
        lines = [line for entry in taken for line in entry.items]
        assert {line.rpartition("sha256:")[2] for line in lines} == digests(*ALL)
        assert "5 of 5 artifacts" in taken[-1].note

    def test_a_journal_that_somebody_filled_with_rubbish(
        self, cloud: Counterpart, attested: Attested
    ) -> None:
        box = cloud.buckets["inner-release"]
        box |= {
            f"journal/{RUN}/000001-began.json": b"\xff",
            f"journal/{RUN}/000002-what.json": b"{}",
            "journal/rubbish/x": b"",
            "journal/00000000T000000Z-0123456789abcdef/000001-began.json": b"",
        }
        create(attested(*ALL))
        assert held(cloud) == digests(*ALL)
        # What is called otherwise is no run, and would be told of by each run anew.
        taken = [parse(body, name) for name, body in box.items() if name.endswith("-took-over.json")]
        assert [entry.details["run"] for entry in taken] == [RUN]


class TestWithdrawn:
    def test_a_release_that_names_it_is_refused(self, cloud: Counterpart, attested: Attested) -> None:
        jax, box = PYTHON["jax"], cloud.buckets["inner-release"]
        record = Withdrawal(
            1, jax.sha256, jax.key, jax.version, jax.filename, "ada@example.org", "bad", "now", "r"
        )
        box[f"withdrawn/{jax.sha256}.json"] = record.render()
        with pytest.raises(RefusedError, match=r"pypi/jax .*withdrawn by ada@example\.org at now: bad"):
            create(attested(*ALL))
        assert held(cloud) == set()
        create(attested(FILE))

    def test_a_record_that_can_not_be_read_counts(self, cloud: Counterpart, attested: Attested) -> None:
        cloud.buckets["inner-release"][f"withdrawn/{FILE.sha256}.json"] = b"\xff"
        with pytest.raises(RefusedError, match=r"model\.bin .*can't be read"):
            create(attested(*ALL))


class Flaky:
    """A bucket that keeps what it is given, and says so as it likes."""

    def __init__(self, *fails: str) -> None:
        self.held: dict[str, bytes] = {}
        self.fails = list(fails)

    async def create(self, name: str, data: bytes) -> str | None:
        how = self.fails.pop(0) if self.fails else ""
        if how == "refused":
            raise TransferError("it is down")
        if self.held.setdefault(name, data) != data:
            return None
        if how == "lost":
            raise TransferError("no answer")
        return "1"


def written(bucket: Flaky) -> list[Entry]:
    return [parse(data, name) for name, data in sorted(bucket.held.items())]


def copied(number: int) -> Event:
    return Event(Action.COPIED, (f"item {number}",))


class TestWriting:
    @staticmethod
    def journal(bucket: Flaky) -> Journal:
        return Journal(bucket, RUN, lambda: datetime.now(UTC))

    def test_copies_are_gathered_and_written_before_all_else(self) -> None:
        bucket = Flaky()

        async def write() -> None:
            journal = self.journal(bucket)
            for number in range(3):
                await journal.record(copied(number))
            assert not bucket.held
            await journal.record(Event(Action.PUBLISHED))

        asyncio.run(write())
        first, second = written(bucket)
        assert (first.action, first.items) == (Action.COPIED, ("item 0", "item 1", "item 2"))
        assert second.action is Action.PUBLISHED

    def test_so_many_are_written_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writing, "GATHERED", 2)
        bucket = Flaky()

        async def write() -> None:
            journal = self.journal(bucket)
            for number in range(5):
                await journal.record(copied(number))

        asyncio.run(write())
        assert [entry.items for entry in written(bucket)] == [("item 0", "item 1"), ("item 2", "item 3")]
        assert [entry.details for entry in written(bucket)] == [{"copied": 2}, {"copied": 4}]

    def test_time_writes_them_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writing, "_PAUSE", 0.01)
        bucket = Flaky()

        async def write() -> None:
            async with self.journal(bucket) as journal, asyncio.timeout(10):
                await journal.record(copied(1))
                while not bucket.held:  # noqa: ASYNC110 - this is what waits
                    await asyncio.sleep(0.01)

        asyncio.run(write())
        assert len(bucket.held) == 1

    @pytest.mark.parametrize("how", ["refused", "lost"])
    def test_what_failed_is_written_as_it_was_before_what_follows(self, how: str) -> None:
        bucket = Flaky(how)

        async def write() -> None:
            journal = self.journal(bucket)
            with pytest.raises(TransferError):
                await journal.record(Event(Action.CLEARING, ("a",)))
            await journal.record(Event(Action.FAILED))

        asyncio.run(write())
        assert [(entry.number, entry.action) for entry in written(bucket)] == [(1, "clearing"), (2, "failed")]

    @pytest.mark.parametrize("how", ["refused", "lost"])
    @pytest.mark.parametrize("fine", range(4))
    def test_a_failure_between_its_parts_loses_none(
        self, monkeypatch: pytest.MonkeyPatch, how: str, fine: int
    ) -> None:
        monkeypatch.setattr(journals, "PART", 2)
        bucket = Flaky(*[""] * fine, how)
        items = [str(number) for number in range(7)]

        async def write() -> None:
            journal = self.journal(bucket)
            with pytest.raises(TransferError):
                await journal.record(Event(Action.BEGAN, journals.Lines().of(items, str), "why"))
            await journal.record(Event(Action.FAILED))

        asyncio.run(write())
        found = written(bucket)
        assert [entry.number for entry in found] == [1, 2, 3, 4, 5]
        assert [line for entry in found[:-1] for line in entry.items] == items
        assert {entry.parts for entry in found[:-1]} == {4}
        assert [entry.note for entry in found] == ["why", "", "", "", ""]
        assert found[-1].action is Action.FAILED

    def test_somebody_elses_entry_in_its_place(self) -> None:
        bucket = Flaky()
        bucket.held[journals.object_name(RUN, 1, Action.CLEARING)] = b"theirs"

        async def write() -> None:
            with pytest.raises(TransferError, match="not from this run"):
                await self.journal(bucket).record(Event(Action.CLEARING))

        asyncio.run(write())
        assert json.dumps(sorted(bucket.held.values()), default=bytes.decode) == '["theirs"]'


class Lost:
    """A lease that somebody else has by now."""

    async def check(self) -> None:
        raise TransferError("it was taken over")


@pytest.mark.parametrize("action", [Action.CLEARING, Action.ADMITTING, Action.WITHDRAWING])
def test_nothing_is_begun_without_the_lease(action: Action) -> None:
    bucket = Flaky()

    async def begin() -> None:
        journal = TestWriting.journal(bucket)
        run = Running(cast(Any, bucket), cast(Any, Lost()), journal, Caller("ada"), "sync")
        await run.record(Event(Action.PUBLISHED))
        with pytest.raises(TransferError, match="taken over"):
            await run.record(Event(action, ("a",)))

    asyncio.run(begin())
    assert [entry.action for entry in written(bucket)] == [Action.PUBLISHED]


def test_an_object_of_the_archive_that_is_damaged_is_named_and_the_sync_goes_on(
    cloud: Counterpart, attested: Attested, capsys: pytest.CaptureFixture[str]
) -> None:
    jax = PYTHON["jax"]
    cloud.buckets["outer-archive"][f"sha256/{jax.sha256}"] = b"x" * jax.size
    create(attested(*ALL))
    assert held(cloud) == digests(*ALL)
    [line] = [each for each in capsys.readouterr().err.splitlines() if "WARNING" in each]
    assert f"the archive's sha256/{jax.sha256} is damaged, so {jax.origin} is asked" in line
    [entry] = [
        parse(data, name)
        for name, data in cloud.buckets["inner-release"].items()
        if name.endswith("-damaged.json")
    ]
    assert entry.note in line


def test_the_checkout_is_left_alone(cloud: Counterpart, attested: Attested) -> None:
    create(attested(*ALL))
    assert {path.name for path in Path().iterdir()} == {"releases"}
