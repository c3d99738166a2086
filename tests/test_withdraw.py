"""`dmz withdraw` and `dmz journal` against a real server: who uses a package, and taking it out at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dmz.cli import cli
from dmz.commands.common import Setting
from dmz.errors import InputError, RefusedError, TransferError
from dmz.promotion.runs import State
from dmz.promotion.withdrawal import Wanted
from dmz.registries import lease as leases
from dmz.registries.claiming import Holder, rendered
from dmz.sync import running
from dmz.workflow.estate import Estate
from dmz.workflow.journal import history, told
from dmz.workflow.withdraw import undo, use, withdraw
from tests.registries.counterpart import SYNC, Counterpart, Fault, wheel
from tests.test_sync import ALL, APT, FILE, JAX, PYTHON, Attested, attested, cloud, create, digests, held

__all__ = ["attested", "cloud"]


class Up(Estate):
    """A checkout whose stacks are up."""

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    def inner_outputs(self) -> Mapping[str, Any]:
        return {
            "side": "inner",
            "project": "inner",
            "location": "us-central1",
            "pythonRepository": "python",
            "aptRepository": "apt",
            "releaseBucket": "inner-release",
            "reportsBucket": "inner-reports",
        }

    def outer_outputs(self) -> Mapping[str, Any]:
        return {"side": "outer", "syncServiceAccount": SYNC}


@pytest.fixture
def estate(cloud: Counterpart, monkeypatch: pytest.MonkeyPatch) -> Estate:
    monkeypatch.setattr(leases, "_AGAIN", 0.01)
    monkeypatch.setattr(running, "PATIENCE", 0.0)
    cloud.buckets["inner-reports"] = {}
    return Up(Path())


def silent(_: str) -> None:
    """Nobody listens."""


def asked(estate: Estate, text: str) -> Any:
    return asyncio.run(use(estate, Wanted.parse(text), silent))


def taken(estate: Estate, text: str, reason: str = "CVE-2026-1") -> Any:
    return asyncio.run(withdraw(estate, Wanted.parse(text), reason, silent))


def report(cloud: Counterpart, workload: str, digest: str) -> None:
    jax = PYTHON["jax"]
    document = {
        "schema": 1,
        "workload": workload,
        "release": digest,
        "machine": "dmz-inner",
        "created": "2026-11-22T10:29:00Z",
        "base_image": {
            "runtime": "sandbox-debian-12",
            "dpkg_digest": "1" * 64,
            "python": "3.11",
            "architecture": "amd64",
            "glibc": "2.36",
        },
        "installed": {
            "apt": [],
            "pypi": [
                {"name": jax.name, "version": jax.version, "filename": jax.filename, "sha256": jax.sha256}
            ],
            "files": [],
        },
        "check": None,
        "probes": [],
        "error": "none",
    }
    cloud.buckets["inner-reports"][f"reports/{workload}/{digest}/1.json"] = json.dumps(document).encode()


class TestUse:
    def test_who_would_miss_it(self, cloud: Counterpart, attested: Attested, estate: Estate) -> None:
        digest = create(attested(*ALL))["releases"]["small"]
        report(cloud, "small", digest)
        before = {name: dict(held) for name, held in cloud.buckets.items()}
        found = asked(estate, "jax")
        assert [line.split()[0] for line in found.meant] == ["pypi/jax"]
        assert found.beside == ()
        assert set(found.releases) == {("small", digest, "inside"), ("small", digest, "checkout")}
        assert found.needed_by == ("requested",)
        assert found.installed == (("dmz-inner", "2026-11-22T10:29:00Z"),)
        assert cloud.buckets == before
        assert held(cloud) == digests(*ALL)

    def test_what_goes_with_a_file(self, cloud: Counterpart, attested: Attested, estate: Estate) -> None:
        create(attested(*ALL))
        other, data = wheel("jax", "0.10.2", tag="py2-none-any")
        cloud.keep("inner/python", other, data)
        found = asked(estate, JAX[0])
        assert len(found.meant) == len(found.beside) == 1
        assert other in found.beside[0]

    def test_nothing_of_that_name(self, cloud: Counterpart, attested: Attested, estate: Estate) -> None:
        create(attested(*ALL))
        with pytest.raises(InputError, match="neither the inner repositories nor a release has it"):
            asked(estate, "left-pad")


class TestNow:
    @pytest.mark.parametrize(
        ("text", "gone"), [("jax==0.10.2", PYTHON["jax"]), ("hello", APT), ("model.bin", FILE)]
    )
    def test_it_goes_and_stays_out(
        self, cloud: Counterpart, attested: Attested, estate: Estate, text: str, gone: Any
    ) -> None:
        props = attested(*ALL)
        create(props)
        taken(estate, text)
        assert held(cloud) == digests(*ALL) - {gone.sha256}
        record = json.loads(cloud.buckets["inner-release"][f"withdrawn/{gone.sha256}.json"])
        assert (record["who"], record["why"]) == ("ada@example.org", "CVE-2026-1")
        with pytest.raises(RefusedError, match=r"withdrawn by ada@example\.org at .*: CVE-2026-1"):
            create(props)
        assert held(cloud) == digests(*ALL) - {gone.sha256}

    def test_what_is_in_a_release_only_is_refused_too(
        self, cloud: Counterpart, attested: Attested, estate: Estate
    ) -> None:
        props = attested(*ALL)
        taken(estate, "jax")
        with pytest.raises(RefusedError, match="withdrawn by"):
            create(props)

    def test_all_versions_and_what_stands_beside(
        self, cloud: Counterpart, attested: Attested, estate: Estate
    ) -> None:
        create(attested(*ALL))
        others = dict([wheel("jax", "0.10.2", tag="py2-none-any"), wheel("jax", "0.9")])
        for name, data in others.items():
            cloud.keep("inner/python", name, data)
        taken(estate, "jax==0.10.2")
        assert any(path.endswith("jax-0.9-py3-none-any.whl") for path in cloud.repositories["inner/python"])
        assert len([name for name in cloud.buckets["inner-release"] if name.startswith("withdrawn/")]) == 2
        taken(estate, "jax")
        assert not [path for path in cloud.repositories["inner/python"] if path.startswith("jax/")]

    def test_a_kill_in_between_brings_nothing_back(
        self, cloud: Counterpart, attested: Attested, estate: Estate
    ) -> None:
        props = attested(*ALL)
        create(props)
        cloud.faults.append(Fault("POST", "versions:batchDelete", status=400, times=99))
        with pytest.raises(TransferError):
            taken(estate, "jax")
        assert f"withdrawn/{PYTHON['jax'].sha256}.json" in cloud.buckets["inner-release"]
        with pytest.raises(RefusedError, match="withdrawn by"):
            create(props)
        cloud.faults.clear()
        taken(estate, "jax")
        assert held(cloud) == digests(*ALL) - {PYTHON["jax"].sha256}

    def test_not_while_a_sync_is_at_work(
        self, cloud: Counterpart, attested: Attested, estate: Estate
    ) -> None:
        create(attested(*ALL))
        holder = Holder("bob@example.org", "b" * 16, "there")
        cloud.buckets["inner-release"]["lease/sync.json"] = rendered(holder, cloud.now(), cloud.now())
        with pytest.raises(RefusedError, match=r"bob@example\.org"):
            taken(estate, "jax")
        assert held(cloud) == digests(*ALL)

    def test_undo(self, cloud: Counterpart, attested: Attested, estate: Estate) -> None:
        props = attested(*ALL)
        create(props)
        taken(estate, "jax")
        [record] = asyncio.run(undo(estate, Wanted.parse("pypi/jax==0.10.2"), "a mistake", silent))
        assert record.sha256 == PYTHON["jax"].sha256
        create(props)
        assert held(cloud) == digests(*ALL)
        with pytest.raises(InputError, match="nothing of that name was withdrawn"):
            asyncio.run(undo(estate, Wanted.parse("jax"), "", silent))


class TestJournal:
    def test_all_runs_the_newest_first(self, cloud: Counterpart, attested: Attested, estate: Estate) -> None:
        props = attested(*ALL)
        create(props)
        cloud.ahead = timedelta(seconds=5)
        taken(estate, "jax")
        cloud.ahead = timedelta(seconds=10)
        asyncio.run(undo(estate, Wanted.parse("jax"), "", silent))
        found = asyncio.run(history(estate, silent, 20))
        assert [run.doing for run in found] == ["undo", "withdraw", "sync"]
        assert {run.state for run in found} == {State.ENDED}
        assert {run.who for run in found} == {"ada@example.org"}
        assert [run.withdrawn for run in found] == [0, 1, 0]
        assert found[-1].copied == len(ALL)
        assert found[-1].releases == props["releases"]
        assert [run.name for run in asyncio.run(history(estate, silent, 1))] == [found[0].name]
        for part in (found[1].name, found[1].name[:15], found[1].name[-16:]):
            run, entries = asyncio.run(told(estate, part, silent))
            assert run == found[1]
            assert [str(entry.action) for entry in entries] == [
                "began",
                "barred",
                "withdrawing",
                "withdrawn",
                "ended",
            ]
            assert entries[0].note == "CVE-2026-1"

    @pytest.mark.parametrize("which", ["", "2", "ffff", "20"])
    def test_no_such_run(self, cloud: Counterpart, attested: Attested, estate: Estate, which: str) -> None:
        create(attested(*ALL))
        with pytest.raises(InputError, match="the journal has no run"):
            asyncio.run(told(estate, which, silent))

    def test_killed_and_running(self, cloud: Counterpart, attested: Attested, estate: Estate) -> None:
        create(attested(*ALL))
        box = cloud.buckets["inner-release"]
        for name in [name for name in box if name.startswith("journal/") and name.endswith("-ended.json")]:
            del box[name]
        [run] = asyncio.run(history(estate, silent, 20))
        assert run.state is State.KILLED
        assert run.copied == len(ALL)
        holder = Holder("ada", run.name[-16:], "here")
        box["lease/sync.json"] = rendered(holder, cloud.now(), cloud.now())
        [run] = asyncio.run(history(estate, silent, 20))
        assert run.state is State.RUNNING


def call(monkeypatch: pytest.MonkeyPatch, estate: Estate, *arguments: str) -> Result:
    monkeypatch.setattr(Setting, "entered", lambda *_: estate)
    return CliRunner().invoke(cli, list(arguments))


class TestCommands:
    def test_what_a_person_sees(
        self, cloud: Counterpart, attested: Attested, estate: Estate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digest = create(attested(*ALL))["releases"]["small"]
        report(cloud, "small", digest)
        said = call(monkeypatch, estate, "withdraw", "jax")
        assert said.exit_code == 0
        assert f"The release {digest[:16]} of small, published inside, names it." in said.output
        assert "Machine dmz-inner reported at 2026-11-22T10:29:00Z" in said.output
        assert "--now --reason" in said.output
        said = call(monkeypatch, estate, "withdraw", "jax", "--now", "--reason", "CVE-2026-1")
        assert said.exit_code == 0
        assert "WARNING: what is installed stays installed" in said.output
        said = call(monkeypatch, estate, "withdraw", "jax")
        assert "was withdrawn before, by ada@example.org" in said.output
        said = call(monkeypatch, estate, "withdraw", "jax", "--undo", "--json")
        assert json.loads(said.stdout)["undone"][0]["key"] == "pypi/jax"
        cloud.ahead = timedelta(seconds=5)
        said = call(monkeypatch, estate, "journal")
        assert said.exit_code == 0
        assert "sync  5 copied, 0 withdrawn" in said.output
        assert "by ada@example.org (" in said.output
        runs = json.loads(call(monkeypatch, estate, "journal", "--json").stdout)["runs"]
        name = next(run["run"] for run in runs if run["doing"] == "sync")
        said = call(monkeypatch, estate, "journal", name)
        assert "published" in said.output
        assert f"copy pypi/jax 0.10.2 {JAX[0]}" in said.output

    @pytest.mark.parametrize(
        "arguments",
        [
            ("jax", "--now"),
            ("jax", "--now", "--reason", " "),
            ("jax", "--now", "--undo", "--reason", "x"),
            ("; rm",),
        ],
    )
    def test_bad_input_changes_nothing(
        self,
        cloud: Counterpart,
        attested: Attested,
        estate: Estate,
        monkeypatch: pytest.MonkeyPatch,
        arguments: tuple[str, ...],
    ) -> None:
        create(attested(*ALL))
        said = call(monkeypatch, estate, "withdraw", *arguments)
        assert said.exit_code == 2
        assert said.output.startswith("dmz: ")
        assert held(cloud) == digests(*ALL)
