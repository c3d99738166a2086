"""What is taken instead of what is refused: real uv and apt, a real policy, an outer project in memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dmz.promotion.finding import Finding, Severity
from dmz.promotion.installed import Installed
from dmz.promotion.inventory import Inventory
from dmz.promotion.policy import Policy
from dmz.promotion.rules.rule import Context
from dmz.promotion.screening import Screening
from dmz.promotion.waivers import Waivers
from dmz.promotion.workload import Workload
from dmz.workflow.foresee import resolved
from dmz.workflow.outer import Outer
from dmz.workflow.refused import ScreeningRefusedError
from dmz.workflow.settle import Setting, Settled, settle
from tests.outer import (
    BASE,
    IMAGE,
    OUTPUTS,
    offer_deb,
    offer_wheel,
    offering,
    served,
    silent,
    with_facts,
    workload,
)
from tests.policies import POLICY
from tests.registries.counterpart import Counterpart

apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this machine has no apt-get")

TODAY = datetime(2026, 11, 22, tzinfo=UTC)


class Known:
    """A source that knows problems of some versions."""

    name, as_of, digest = "test", None, "0" * 64

    def __init__(self, bad: Mapping[str, Sequence[str]]) -> None:
        self.bad = bad

    def findings(self, ecosystem: str, name: str, version: str, sha256: str = "") -> Sequence[Finding]:
        known = version in self.bad.get(name, ())
        return [Finding(f"CVE-{name}", (), "", Severity.HIGH, ())] if known else []


@pytest.fixture
def outer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counterpart]:
    with served(offering(), monkeypatch, str(tmp_path)) as counterpart:
        yield counterpart


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return Policy.read(path)


def settled(
    policy: Policy,
    wanted: Workload,
    bad: Mapping[str, Sequence[str]],
    base: Sequence[Installed] = BASE,
) -> Settled:
    """Resolve, judge, and take other versions where some are refused."""

    async def work(facts: Outer) -> Settled:
        found: Inventory = await resolved(facts.google, OUTPUTS, IMAGE, wanted, BASE, silent)
        judge = Screening(policy, [Known(bad)], Waivers(), IMAGE, Context(TODAY))
        return await settle(Setting(judge, wanted, IMAGE, facts, base, silent), await facts.collect(found))

    return with_facts(work)


def versions(found: Settled) -> dict[str, str]:
    return {each.entry.artifact.name: each.entry.artifact.version for each in found.evidence}


class TestPython:
    def test_nothing_is_refused(self, outer: Counterpart, policy: Policy) -> None:
        offer_wheel(outer, "app", "1.0")
        found = settled(policy, workload("app"), {})
        assert (versions(found), found.refused, found.explanations) == ({"app": "1.0"}, (), ())

    def test_the_nearest_version_and_the_rest_stays(self, outer: Counterpart, policy: Policy) -> None:
        offer_wheel(outer, "app", "1.0", "protobuf")
        offer_wheel(outer, "other", "1.0")
        for version in ("3.0", "4.0", "5.0", "5.1", "6.0"):
            offer_wheel(outer, "protobuf", version)
        found = settled(policy, workload("app", "other", "protobuf<6"), {"protobuf": ["5.0", "5.1"]})
        assert versions(found) == {"app": "1.0", "other": "1.0", "protobuf": "4.0"}
        assert found.explanations == (
            "protobuf 5.1 is refused: CVE-protobuf, high, no fixed version. "
            "Version 4.0 passes and 'protobuf<6' allows it.",
            "Taken instead: protobuf 5.1 → 4.0.",
        )
        [refusal] = found.refused
        assert (refusal.purl, refusal.remedy) == ("pkg:pypi/protobuf@5.1", "4.0")
        why = {each.entry.artifact.name: each.entry.artifact.why for each in found.evidence}
        assert why["protobuf"] == ("requested", "app")

    def test_what_has_to_move_with_it(self, outer: Counterpart, policy: Policy) -> None:
        offer_wheel(outer, "app", "2.0", "lib==2.0")
        offer_wheel(outer, "app", "1.0", "lib==1.0")
        offer_wheel(outer, "lib", "2.0")
        offer_wheel(outer, "lib", "1.0")
        found = settled(policy, workload("app"), {"lib": ["2.0"]})
        assert versions(found) == {"app": "1.0", "lib": "1.0"}
        assert found.explanations[-1] == (
            "Taken instead: app 2.0 → 1.0, lib 2.0 → 1.0. "
            "No resolution changes fewer than 1 of those that pass as they were."
        )

    def test_what_is_not_needed_any_more(self, outer: Counterpart, policy: Policy) -> None:
        offer_wheel(outer, "app", "2.0", "lib")
        offer_wheel(outer, "app", "1.0")
        offer_wheel(outer, "lib", "2.0")
        found = settled(policy, workload("app"), {"lib": ["2.0"]})
        assert versions(found) == {"app": "1.0"}
        assert found.explanations[0].endswith("Nothing needs it any more.")
        assert "lib 2.0 → not needed" in found.explanations[1]

    def test_the_shortest_explanation(self, outer: Counterpart, policy: Policy) -> None:
        for version in ("0.8", "0.9", "0.10"):
            offer_wheel(outer, "flax", version, "protobuf<5" if version == "0.8" else "protobuf")
        for version in ("3.0", "4.0", "5.0", "5.29.6"):
            offer_wheel(outer, "protobuf", version)
        offer_wheel(outer, "noise", "1.0")
        bad = {"protobuf": ["3.0", "4.0", "5.0"]}
        with pytest.raises(ScreeningRefusedError) as caught:
            settled(policy, workload("noise", "flax==0.8"), bad)
        assert str(caught.value) == (
            "protobuf 4.0 is refused: CVE-protobuf, high, no fixed version. No release was written: the "
            "workload asks for 'flax==0.8'; flax 0.8 needs protobuf<5; every protobuf below 5.29.6 is "
            "refused: ask for flax>=0.9."
        )
        assert [each.remedy for each in caught.value.refusals] == [None]

    def test_no_version_at_all(self, outer: Counterpart, policy: Policy) -> None:
        offer_wheel(outer, "app", "1.0", "lib")
        offer_wheel(outer, "lib", "1.0")
        with pytest.raises(ScreeningRefusedError, match=r"every lib is refused: do without it"):
            settled(policy, workload("app"), {"lib": ["1.0"]})

    def test_the_workload_itself_asks_for_what_is_refused(self, outer: Counterpart, policy: Policy) -> None:
        for version in ("1.0", "2.0", "2.1", "3.0"):
            offer_wheel(outer, "delta", version)
        with pytest.raises(ScreeningRefusedError) as caught:
            settled(policy, workload("delta>=2,<3"), {"delta": ["2.0", "2.1"]})
        assert str(caught.value).endswith(
            "the workload asks for 'delta>=2,<3'; every delta from 2.0 to 2.1 is refused: ask for delta>=3.0."
        )
        assert [each.remedy for each in caught.value.refusals] == ["3.0"]


@apt
class TestDebian:
    def test_another_version_of_the_suites(self, outer: Counterpart, policy: Policy) -> None:
        offer_deb(outer, "tool", "1.0", "Depends: libtool1 (>= 1)\n")
        offer_deb(outer, "libtool1", "1.0")
        offer_deb(outer, "libtool1", "2.0", suite="bookworm-security")
        found = settled(policy, workload(apt=["tool"]), {"libtool1": ["2.0"]})
        assert versions(found) == {"tool": "1.0", "libtool1": "1.0"}
        assert "libtool1 2.0 → 1.0" in found.explanations[-1]
        origins = {each.entry.artifact.name: each.entry.artifact.origin for each in found.evidence}
        assert origins["libtool1"] == "apt-bookworm"

    def test_no_other_version(self, outer: Counterpart, policy: Policy) -> None:
        offer_deb(outer, "tool", "1.0")
        with pytest.raises(ScreeningRefusedError, match=r"nothing in place of tool 1\.0 for tool"):
            settled(policy, workload(apt=["tool"]), {"tool": ["1.0"]})

    def test_nobody_knows_the_base_image(self, outer: Counterpart, policy: Policy) -> None:
        offer_deb(outer, "tool", "1.0")
        with pytest.raises(ScreeningRefusedError, match="what the base image comes with is not known"):
            settled(policy, workload(apt=["tool"]), {"tool": ["1.0"]}, base=())
