"""One sandbox for all tests of the flow, with a checkout and a Python upstream of its own."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dmz.console import Steps
from dmz.registries.google import Google, connect
from dmz.workflow.attest import attest
from dmz.workflow.discover import discover
from dmz.workflow.estate import Estate
from dmz.workflow.holdings import held_inside
from dmz.workflow.run import Options, Ran, run
from dmz.workflow.screen import Screened, screen
from sandbox.daemon import Daemon
from tests.flow.upstream import Upstream

ROOT = Path(__file__).parents[2]

BASE = ("alpha>=1", "beta")
"""What the workload of every test begins with: beta needs gamma."""

ADVISORY = {
    "id": "TEST-2026-1",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "delta runs what it reads",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "delta"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2"}, {"fixed": "3"}]}],
        }
    ],
    "database_specific": {"severity": "HIGH"},
}

OTHER = {
    "id": "TEST-2026-2",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "Shows that the records are about Debian packages too",
    "affected": [
        {
            "package": {"ecosystem": "Debian:12", "name": "not-there"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        }
    ],
}


@dataclass
class World:
    """A checkout, the sandbox that it runs in, and the index that the sandbox fetches from."""

    folder: Path
    daemon: Daemon
    upstream: Upstream
    _settled: Ran | None = None
    _begun: bool = False

    @property
    def estate(self) -> Estate:
        """The two stacks; read anew each time, as a new call of the command line does."""
        return Estate(self.folder)

    def want(
        self,
        *python: str,
        apt: Sequence[str] = ("jq",),
        check: str = "true",
        files: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Write the workload."""
        self._settled = None
        text = (
            'name = "tiny"\nsummary = "Two small distributions and jq"\nbase-image = "sandbox-debian-12"\n'
            f"apt = {json.dumps(list(apt))}\npython = {json.dumps(list(python))}\n"
            f"check = {json.dumps(check)}\n"
        )
        for name, address, sha256 in files:
            text += f'[[file]]\nname = "{name}"\naddress = "{address}"\nsha256 = "{sha256}"\n'
        (self.folder / "workloads/tiny.toml").write_text(text)

    def run(self) -> Ran:
        """All of it, as `dmz run` does."""
        return run(
            self.estate,
            Options(patience=300, unmerged=True),
            Steps(io.StringIO()),
        )

    def settle(self) -> Ran:
        """The state that each test begins from: the base workload, released and installed."""
        if self._settled is None:
            self.want(*BASE)
            self._settled = self.run()
            self._begun = True
        return self._settled

    def begin(self) -> None:
        """Both stacks are up and some release is installed; which one is no matter."""
        if not self._begun:
            self.settle()

    def screen(self) -> Screened:
        """Discovery and screening alone: nothing reaches inner."""
        estate, began = self.estate, datetime.now(UTC)
        estate.outer.up(lambda line: None)
        inventory = asyncio.run(discover(estate, lambda line: None, within=300, since=began))
        return asyncio.run(screen(estate, inventory, lambda line: None))

    def attest(self, *, again: bool = False) -> None:
        """As CI does after the merge."""
        asyncio.run(attest(self.estate, lambda line: None, again=again, unmerged=True))

    def touch(self) -> None:
        """Say that this test leaves another state behind: the next one settles anew."""
        self._settled = None

    def inside(self) -> dict[str, str]:
        """File name to SHA-256 of everything that the inner repositories hold."""

        async def read(google: Google) -> dict[str, str]:
            held = await held_inside(google, self.estate.inner_outputs())
            return {stored.filename: stored.sha256 for stored in held}

        async def connected() -> dict[str, str]:
            async with connect("us-central1") as google:
                return await read(google)

        return asyncio.run(connected())

    def requests(self) -> list[dict[str, Any]]:
        """What was asked of the sandbox so far."""
        lines = (self.daemon.root / "requests.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml", "__main__.py", "policy.toml"):
        shutil.copy(ROOT / name, folder)
    for stack in ("outer", "inner"):
        path = folder / f"Pulumi.{stack}.yaml"
        path.write_text(path.read_text() + "  dmz:workload: workloads/tiny.toml\n")
    (folder / "workloads").mkdir()
    (folder / "advisories").mkdir()
    (folder / "advisories/test.json").write_text(json.dumps([ADVISORY, OTHER]))

    upstream = Upstream()
    upstream.add("alpha", "1.0")
    upstream.add("beta", "1.0", ["gamma"])
    upstream.add("gamma", "1.0")
    for version in ("1.0", "2.0", "2.1"):
        upstream.add("delta", version)

    daemon = Daemon(folder / ".sandbox", ROOT / ".sandbox/cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # The sandbox fetches from whatever pip on this machine is configured with: here, the tests' index.
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.setenv("PIP_INDEX_URL", upstream.url)
        try:
            daemon.start(lambda line: None)
            for name, value in daemon.environment().items():
                patch.setenv(name, value)
            yield World(folder, daemon, upstream)
        finally:
            daemon.stop(lambda line: None)
            upstream.close()
