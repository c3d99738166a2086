"""`dmz status` and `dmz mend`: what is inside by what is known today, and the change that mends it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from dmz import targets
from dmz.artifact import Kind
from dmz.attestations import inside
from dmz.cli import cli
from dmz.errors import InputError, RefusedError
from dmz.promotion import release as releases
from dmz.promotion import workload as workloads
from dmz.promotion.base_image import base_images
from dmz.promotion.entry import Entry
from dmz.promotion.installed import Installed, digest
from dmz.promotion.installed import status as installed_status
from dmz.promotion.release import Release
from dmz.promotion.standing import became_refused
from dmz.promotion.withdrawal import Withdrawal, object_name
from dmz.promotion.workload import workload_digest
from dmz.resolution.apt import available
from dmz.workflow.estate import Estate
from dmz.workflow.mend import mend
from dmz.workflow.refused import ScreeningRefusedError
from dmz.workflow.release_compare import Point, compare, point
from dmz.workflow.screen import Screened
from dmz.workflow.status import Status, status
from tests import policies
from tests.attestations import ATTESTOR, attest, pem, place
from tests.promotion.builders import DEBIAN
from tests.registries.counterpart import Counterpart, Fault, deb, running, serving, wheel
from tests.registries.support import artifact

ROOT = Path(__file__).parents[1]
TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
IMAGES = base_images([DEBIAN])

POLICY = (
    policies.POLICY.replace("10 years", "30 days")
    + """
[rules.yanked]
sentence = "Nothing that its publisher took back."
effect = "refuse"
"""
)
WORKLOAD = """
name = "small"
summary = "A test."
base-image = "sandbox-debian-12"
apt = ["hello"]
python = ["app"]
check = "true"
"""
OLD, NEW = "1:2.10-3", "1:2.10-3+deb12u1"


def hello(version: str, package: str = "hello", fields: str = "") -> tuple[bytes, Entry]:
    """A deb of the source package `hello`, and the entry that a lock has of it."""
    plain = version.partition(":")[2]
    body = deb(package, version, source=f"hello ({plain})", fields=fields)
    made = artifact(
        Kind.APT,
        package,
        version,
        f"{package}_{plain}_amd64.deb",
        body,
        architecture="amd64",
        origin="apt-bookworm",
    )
    return body, Entry(
        replace(made, why=("requested" if package == "hello" else "dependency",)), "hello", plain
    )


def distribution(name: str, version: str, why: str, requires: tuple[str, ...] = ()) -> tuple[bytes, Entry]:
    filename, body = wheel(name, version, requires=requires)
    made = replace(artifact(Kind.PYPI, name, version, filename, body), why=(why,))
    return body, Entry(made, uploaded=datetime(2026, 1, 1, tzinfo=UTC))


BASE = (Installed(name="dpkg", version="1.21.22", architecture="amd64", relations={}),)
needs_apt = pytest.mark.skipif(not available(), reason="there is no apt-get here")

APP, APP_ENTRY = distribution("app", "1.0", "requested", ("lib>=1",))
LIB, LIB_ENTRY = distribution("lib", "1.0", "app")
HELLO, HELLO_ENTRY = hello(OLD)


def record(id_: str, ecosystem: str, name: str, fixed: str | None, modified: str) -> dict[str, Any]:
    end = [{"fixed": fixed}] if fixed else []
    events = [{"introduced": "0"}, *end]
    return {
        "id": id_,
        "modified": modified,
        "summary": "It breaks",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [
            {
                "package": {"ecosystem": ecosystem, "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }


class Both(Estate):
    """An estate whose stacks are up."""

    def outer_outputs(self) -> Mapping[str, Any]:
        return {
            "side": "outer",
            "project": "outer",
            "location": "us-central1",
            "aptRepositories": [{"repository": "apt-bookworm", "suite": "bookworm"}],
            "pythonRepository": "python-remote",
            "pythonBuiltRepository": "python-built",
            "filesBucket": "outer-files",
            "inventoryBucket": "outer-inventories",
            "attestationPublicKey": pem(),
            "attestationsBucket": "outer-attestations",
            "attestorServiceAccount": ATTESTOR,
        }

    def inner_outputs(self) -> Mapping[str, Any]:
        return {
            "side": "inner",
            "project": "dmz-inner",
            "location": "us-central1",
            "releaseBucket": "inner-releases",
        }


class Checkout:
    """A checkout with a release that is published inside, beside services that have what it names."""

    def __init__(self, folder: Path, cloud: Counterpart, yanked: dict[str, str]) -> None:
        self.folder = folder
        self.cloud = cloud
        self.yanked = yanked
        """Reason by file name: what upstream's index says of it."""
        for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml"):
            shutil.copy(ROOT / name, folder)
        (folder / "workloads").mkdir()
        (folder / "workloads/small.toml").write_text(WORKLOAD)
        (folder / "policy.toml").write_text(POLICY)
        (folder / "base-images").mkdir()
        (folder / "base-images/sandbox-debian-12.status").write_text(installed_status(BASE))
        (folder / "advisories").mkdir()
        self.advisory("PYSEC-1", "PyPI", "other", "1")
        self.advisory("DSA-1", "Debian:12", "other", "1")
        self.release = self.released(APP_ENTRY, LIB_ENTRY, HELLO_ENTRY)
        self.publish(self.release)

    @property
    def estate(self) -> Both:
        return Both(self.folder)

    def advisory(self, id_: str, ecosystem: str, name: str, fixed: str | None) -> None:
        text = json.dumps(
            record(id_, ecosystem, name, fixed, f"{TODAY - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}")
        )
        (self.folder / "advisories" / f"{id_}.json").write_text(text)

    def waive(self, name: str, entry: Entry, purl: str, until: str) -> None:
        (self.folder / "waivers").mkdir(exist_ok=True)
        document = {
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": "https://example.com/waivers/1",
            "author": "Somebody",
            "timestamp": "2026-11-01T00:00:00Z",
            "version": 1,
            "statements": [
                {
                    "vulnerability": {"name": name},
                    "products": [
                        {"identifiers": {"purl": purl}, "hashes": {"sha-256": entry.artifact.sha256}}
                    ],
                    "status": "not_affected",
                    "status_notes": f"until {until}",
                    "justification": "vulnerable_code_not_present",
                }
            ],
        }
        (self.folder / "waivers" / "waiver.json").write_text(json.dumps(document))

    def released(self, *entries: Entry, workload: str = "small") -> Release:
        of = workloads.read(self.folder / "workloads/small.toml")
        made = Release(workload, workload_digest(of), "sandbox-debian-12", digest(BASE), "3.11", entries)
        releases.write(made, self.folder / "releases")
        return made

    def publish(self, release: Release) -> None:
        """As the sync does it."""
        bucket = self.cloud.buckets["inner-releases"]
        for name, body in release.files.items():
            bucket[f"releases/{release.digest}/{name}"] = body
        pointer = {"workload": release.workload, "digest": release.digest}
        bucket[f"current/{release.workload}.json"] = json.dumps(pointer).encode()

    def withdraw(self, entry: Entry) -> None:
        """As `dmz withdraw --now` does it."""
        made = entry.artifact
        who, why, when = "ada@example.org", "CVE-2026-9", "2026-11-22T10:00:00Z"
        record = Withdrawal(1, made.sha256, made.key, made.version, made.filename, who, why, when, "r")
        self.cloud.buckets["inner-releases"][object_name(made.sha256)] = record.render()

    def status(self, **options: Any) -> Status:
        return asyncio.run(status(self.estate, silent, **{"today": TODAY, **options}))

    def mend(self) -> Screened | None:
        return asyncio.run(mend(self.estate, silent, TODAY))


def silent(_: str) -> None:
    """Nobody listens."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    cloud, yanked = Counterpart(), dict[str, str]()
    cloud.add("outer/apt-bookworm", "APT", {HELLO_ENTRY.artifact.filename: HELLO})
    files = {APP_ENTRY.artifact.filename: APP, LIB_ENTRY.artifact.filename: LIB}
    cloud.add("outer/python-remote", "PYTHON", files)
    cloud.add("outer/python-built", "PYTHON")
    cloud.buckets = {"outer-files": {}, "outer-inventories": {}, "inner-releases": {}}

    async def page(request: web.Request) -> web.Response:
        """Upstream's index (PEP 691, PEP 700)."""
        name = request.match_info["name"]
        files = [
            {
                "filename": path.rpartition("/")[2],
                "url": f"https://files.example.com/{path}",
                "hashes": {"sha256": kept.sha256},
                "size": len(kept.data),
                "upload-time": "2026-01-01T00:00:00Z",
                "yanked": yanked.get(path.rpartition("/")[2], False),
            }
            for path, kept in cloud.repositories["outer/python-remote"].items()
            if path.startswith(f"{name}/")
        ]
        document = {"meta": {"api-version": "1.1"}, "name": name, "files": files}
        return web.Response(text=json.dumps(document), content_type="application/vnd.pypi.simple.v1+json")

    with running(cloud), serving([web.get("/simple/{name}/", page)]) as upstream:
        cloud.remote = {"pythonRepository": {"customRepository": {"uri": upstream}}}
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.chdir(tmp_path)
        (tmp_path / "checkout").mkdir()
        yield Checkout(tmp_path / "checkout", cloud, yanked)


class TestStatus:
    def test_what_was_admitted_still_is(self, checkout: Checkout) -> None:
        found = checkout.status()
        assert found.holds
        assert found.inside
        assert not found.notes
        assert [each.release for each in found.standings] == [checkout.release]
        assert found.standings[0].rules == {"severity", "malware", "yanked"}
        assert any(each.startswith("osv as of 2026-11-20") and "2 days ago" in each for each in found.lines())

    def test_what_became_vulnerable_is_named(self, checkout: Checkout) -> None:
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        checkout.advisory("DSA-2", "Debian:12", "hello", "2.10-3+deb12u1")
        found = checkout.status()
        assert not found.holds
        [standing] = found.standings
        assert [entry for entry, _ in standing.refused] == [HELLO_ENTRY, LIB_ENTRY]
        lines = found.lines()
        assert "2 would be REFUSED NOW" in lines[0]
        assert any(
            "pypi/lib 1.0 would be refused now: GHSA-1" in line and "fixed in 2.0" in line for line in lines
        )
        assert any("apt/hello:amd64 1:2.10-3 would be refused now: DSA-2" in line for line in lines)

    def test_it_is_what_is_inside_that_counts_and_not_the_checkout(self, checkout: Checkout) -> None:
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        checkout.released(APP_ENTRY)
        assert not checkout.status().holds
        assert checkout.status(offline=True).holds

    def test_offline_nobody_is_asked_and_findings_are_judged(self, checkout: Checkout) -> None:
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        found = checkout.status(offline=True)
        assert not found.holds
        assert not found.inside
        assert checkout.cloud.requests == []
        assert found.standings[0].rules == {"severity", "malware"}

    def test_rules_that_look_upstream_are_judged_when_it_answers(self, checkout: Checkout) -> None:
        checkout.yanked[LIB_ENTRY.artifact.filename] = "broken"
        assert not checkout.status().holds
        assert checkout.status(offline=True).holds

    def test_what_outer_does_not_have_any_more_leaves_the_findings(self, checkout: Checkout) -> None:
        checkout.cloud.repositories["outer/apt-bookworm"].clear()
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        found = checkout.status()
        assert not found.holds
        [note] = found.notes
        assert "only rules about findings were judged" in note
        assert "hello" in note

    @pytest.mark.parametrize(
        ("until", "holds"), [("2026-12-01", True), ("2027-06-01", True), ("2026-11-21", False)]
    )
    def test_waivers_count_until_they_end(self, checkout: Checkout, until: str, holds: bool) -> None:
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        checkout.waive("GHSA-1", LIB_ENTRY, "pkg:pypi/lib@1.0", until)
        found = checkout.status()
        assert found.holds is holds
        soon = [line for line in found.lines() if "pypi/lib 1.0: the waiver of Somebody" in line]
        assert bool(soon) is (until == "2026-12-01")
        assert any("ended on 2026-11-21" in line for line in found.lines()) is not holds

    def test_advisories_that_are_too_old_are_refused(self, checkout: Checkout) -> None:
        with pytest.raises(RefusedError, match="the source 'osv' is 31 days old"):
            checkout.status(today=TODAY + timedelta(days=29))

    def test_every_workload_is_judged(self, checkout: Checkout) -> None:
        checkout.publish(checkout.released(HELLO_ENTRY, workload="large"))
        checkout.advisory("DSA-2", "Debian:12", "hello", "2.10-3+deb12u1")
        found = checkout.status()
        assert [(each.release.workload, each.holds) for each in found.standings] == [
            ("large", False),
            ("small", False),
        ]

    def test_nothing_inside_is_said(self, checkout: Checkout) -> None:
        checkout.cloud.buckets["inner-releases"].clear()
        with pytest.raises(InputError, match="nothing is published inside yet"):
            checkout.status()

    @pytest.mark.parametrize("damage", ["lock", "pointer", "digest", "swapped"])
    def test_what_is_published_is_not_believed_blindly(self, checkout: Checkout, damage: str) -> None:
        bucket, name_of = checkout.cloud.buckets["inner-releases"], checkout.release.digest
        match damage:
            case "lock":
                bucket[f"releases/{name_of}/apt.small.lock"] += b"x"
            case "pointer":
                bucket["current/small.json"] = b"\xff"
            case "swapped":
                for name, body in replace(checkout.release, dpkg_digest="2" * 64).files.items():
                    bucket[f"releases/{name_of}/{name}"] = body
            case "digest":
                bucket["current/small.json"] = json.dumps({"workload": "small", "digest": "0" * 64}).encode()
        with pytest.raises(InputError, match="inner-releases"):
            checkout.status()

    def test_the_attestation_tells_its_age(self, checkout: Checkout) -> None:
        assert checkout.status().attested == {"small": "not attested"}
        assert checkout.status().unattested == {"small"}
        policy = hashlib.sha256(POLICY.encode()).hexdigest()
        there = replace(place(policy_digest=policy, max_age=timedelta(days=90)), project="dmz-inner")
        envelope = attest({}, checkout.release, there, time_verified=TODAY - timedelta(days=10))
        checkout.cloud.buckets["inner-releases"][inside(checkout.release.digest)] = envelope
        assert checkout.status().attested == {"small": "attested on 2026-11-12, holds until 2027-02-10"}
        assert not checkout.status().unattested
        [words] = checkout.status(today=TODAY + timedelta(days=5)).attested.values()
        assert words == "attested on 2026-11-12, holds until 2027-02-10"
        (checkout.folder / "policy.toml").write_text(POLICY + "\n")
        assert "policy" in checkout.status().attested["small"]
        assert checkout.status().unattested == {"small"}
        assert not checkout.status(offline=True).unattested

    def test_what_was_withdrawn_at_once_is_named(self, checkout: Checkout) -> None:
        checkout.withdraw(LIB_ENTRY)
        [(entry, [seen])] = checkout.status().standings[0].refused
        assert entry.artifact == LIB_ENTRY.artifact
        assert "by ada@example.org at 2026-11-22T10:00:00Z: CVE-2026-9" in seen.words


class TestCompared:
    def test_what_is_inside_can_be_compared_with_the_checkout(self, checkout: Checkout) -> None:
        after = checkout.released(APP_ENTRY, LIB_ENTRY)

        async def both() -> tuple[Point, Point]:
            estate = checkout.estate
            return await point(estate, "inner", silent), await point(estate, "releases", silent)

        [found] = compare(*asyncio.run(both()))
        assert (found.before, found.after) == (checkout.release, after)
        assert [change.key for change in found.changes] == ["apt/hello:amd64"]


class TestPreview:
    """What `pulumi preview` warns of."""

    def warned(self, checkout: Checkout, today: datetime = TODAY) -> list[str]:
        folder = checkout.folder
        return became_refused(
            releases.read_all(folder / "releases"), folder / "policy.toml", folder / "waivers", IMAGES, today
        )

    def test_nothing_is_said_while_all_is_admitted(self, checkout: Checkout) -> None:
        assert self.warned(checkout) == []
        assert checkout.cloud.requests == []

    def test_what_became_vulnerable_is_one_line_each(self, checkout: Checkout) -> None:
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        [line] = self.warned(checkout)
        assert line.startswith("small: pypi/lib 1.0 would be refused now: GHSA-1")

    @pytest.mark.parametrize("broken", ["policy.toml", "advisories/PYSEC-1.json", "age", "image"])
    def test_what_keeps_it_from_looking_is_a_line_and_no_failure(
        self, checkout: Checkout, broken: str
    ) -> None:
        today = TODAY
        match broken:
            case "age":
                today += timedelta(days=60)
            case "image":
                checkout.released(workload="large")
                release = replace(checkout.release, runtime="other")
                releases.write(release, checkout.folder / "releases")
            case _:
                (checkout.folder / broken).write_bytes(b"\xff{")
        [line] = self.warned(checkout, today)
        assert line.startswith("not all releases were screened again: ")
        assert "\n" not in line


class TestMend:
    def test_nothing_to_mend_writes_nothing(self, checkout: Checkout) -> None:
        before = written(checkout)
        assert checkout.mend() is None
        assert written(checkout) == before

    def test_a_distribution_gives_way_to_one_that_passes_and_the_rest_stays(self, checkout: Checkout) -> None:
        checkout.cloud.keep("outer/python-remote", *wheel("lib", "2.0"))
        checkout.cloud.keep("outer/python-remote", *wheel("app", "1.1", requires=("lib>=1",)))
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        screened = checkout.mend()
        assert screened is not None
        assert screened.changed
        assert pins(releases.read(checkout.folder / "releases", "small")) == {
            "apt/hello:amd64": OLD,
            "pypi/app": "1.0",
            "pypi/lib": "2.0",
        }
        assert "lib 1.0 is refused" in screened.explanations[0]
        review = (checkout.folder / "releases/review.small.md").read_text()
        assert "lib 1.0 → 2.0" in review
        assert (checkout.folder / "releases/sbom.small.cdx.json").exists()

    def test_what_was_withdrawn_at_once_gives_way_as_what_the_policy_refuses(
        self, checkout: Checkout
    ) -> None:
        checkout.cloud.keep("outer/python-remote", *wheel("lib", "2.0"))
        checkout.cloud.keep("outer/python-remote", *wheel("app", "1.1", requires=("lib>=1",)))
        checkout.withdraw(LIB_ENTRY)
        screened = checkout.mend()
        assert screened is not None
        assert pins(screened.release)["pypi/lib"] == "2.0"
        assert "lib 1.0 is refused: withdrawn: by ada@example.org" in screened.explanations[0]
        assert [each.advisory for each in screened.refused] == ["policy:withdrawn"]

    def test_no_waiver_is_offered_for_what_was_withdrawn_at_once(self, checkout: Checkout) -> None:
        checkout.withdraw(LIB_ENTRY)
        with pytest.raises(ScreeningRefusedError, match=r"dmz withdraw pypi/lib==1\.0 --undo") as caught:
            checkout.mend()
        assert "waiver" not in str(caught.value)

    def test_who_may_not_look_is_told_so(self, checkout: Checkout) -> None:
        checkout.cloud.keep("outer/python-remote", *wheel("lib", "2.0"))
        checkout.cloud.keep("outer/python-remote", *wheel("app", "1.1", requires=("lib>=1",)))
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        checkout.cloud.faults.append(Fault("GET", "b/inner-releases/o", status=403, times=99))
        screened = checkout.mend()
        assert screened is not None
        assert "403" in screened.by.context.unseen

    @needs_apt
    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_deb_goes_to_the_security_update_with_its_siblings(
        self, checkout: Checkout, replaced: bool
    ) -> None:
        suite = "outer/apt-bookworm"
        data, data_entry = hello(OLD, "hello-data")
        needing = {each: f"Depends: hello-data (= {each})\n" for each in (OLD, NEW, "1:2.12-1")}
        first, first_entry = hello(OLD, fields=needing[OLD])
        checkout.cloud.repositories[suite].clear()
        checkout.cloud.keep(suite, "hello-data.deb", data)
        checkout.cloud.keep(suite, "hello.deb", first)
        if replaced:
            checkout.cloud.repositories[suite].clear()
        checkout.cloud.keep(suite, "hello-new.deb", hello(NEW, fields=needing[NEW])[0])
        checkout.cloud.keep(suite, "hello-data-new.deb", hello(NEW, "hello-data")[0])
        release = checkout.released(APP_ENTRY, LIB_ENTRY, first_entry, data_entry)
        checkout.advisory("DSA-2", "Debian:12", "hello", "2.10-3+deb12u1")
        screened = checkout.mend()
        assert screened is not None
        assert pins(screened.release) == {
            **pins(release),
            "apt/hello:amd64": NEW,
            "apt/hello-data:amd64": NEW,
        }
        assert any("hello 1:2.10-3 is refused: DSA-2" in words for words in screened.explanations)
        assert {each.remedy for each in screened.refused} == {NEW}
        assert checkout.mend() is None

    def test_a_deb_that_its_suite_replaced_is_taken_as_it_is_now(self, checkout: Checkout) -> None:
        suite = checkout.cloud.repositories["outer/apt-bookworm"]
        suite.clear()
        checkout.cloud.keep("outer/apt-bookworm", "new.deb", hello(NEW)[0])
        checkout.cloud.keep("outer/apt-bookworm", "newest.deb", hello("1:2.12-1")[0])
        screened = checkout.mend()
        assert screened is not None
        assert pins(screened.release)["apt/hello:amd64"] == NEW

    def test_what_nothing_mends_is_refused_and_nothing_is_written(self, checkout: Checkout) -> None:
        before = written(checkout)
        checkout.advisory("DSA-2", "Debian:12", "hello", None)
        with pytest.raises(ScreeningRefusedError, match=r"hello 1:2\.10-3 is refused: DSA-2"):
            checkout.mend()
        checkout.advisory("DSA-2", "Debian:12", "other", None)
        checkout.advisory("GHSA-1", "PyPI", "lib", None)
        with pytest.raises(ScreeningRefusedError, match=r"lib 1\.0 is refused: GHSA-1"):
            checkout.mend()
        assert written(checkout) == before

    def test_other_bytes_under_a_released_name_are_refused(self, checkout: Checkout) -> None:
        before = written(checkout)
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        checkout.cloud.keep("outer/python-remote", *wheel("lib", "2.0"))
        checkout.cloud.keep("outer/python-remote", APP_ENTRY.artifact.filename, APP + b"x")
        with pytest.raises(RefusedError, match=r"app-1\.0"):
            checkout.mend()
        assert written(checkout) == before

    def test_what_could_not_be_inside_beside_another_release_is_not_written(self, checkout: Checkout) -> None:
        checkout.cloud.keep("outer/python-remote", *wheel("lib", "2.0"))
        elsewhere = replace(LIB_ENTRY.artifact, version="2.0", filename="lib-2.0-py3-none-any.whl")
        checkout.released(Entry(elsewhere), workload="large")
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        before = written(checkout)
        with pytest.raises(InputError, match="the releases of large and small approve different bytes"):
            checkout.mend()
        assert written(checkout) == before

    def test_another_workload_is_mended_by_its_file(self, checkout: Checkout) -> None:
        text = WORKLOAD.replace('"small"', '"large"').replace('"app"', '"lib"').replace('"hello"', "")
        (checkout.folder / "workloads/large.toml").write_text(text)
        estate = checkout.estate.of_workload(Path("workloads/large.toml"))
        own = Entry(replace(LIB_ENTRY.artifact, why=("requested",)))
        of = workload_digest(estate.workload)
        made = Release("large", of, "sandbox-debian-12", digest(BASE), "3.11", (own,))
        releases.write(made, estate.releases)
        before = written(checkout)
        checkout.cloud.keep("outer/python-remote", *wheel("lib", "2.0"))
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        screened = asyncio.run(mend(estate, silent, TODAY))
        assert screened is not None
        assert pins(releases.read(estate.releases, "large")) == {"pypi/lib": "2.0"}
        after = written(checkout)
        assert {name for name in after if before.get(name) != after[name]} == {
            "pylock.large.toml",
            "release.large.sha256",
            "review.large.md",
            "sbom.large.cdx.json",
        }

    def test_another_workload_file_asks_for_a_screening(self, checkout: Checkout) -> None:
        path = checkout.folder / "workloads/small.toml"
        path.write_text(WORKLOAD.replace('"app"', '"app>=1"'))
        with pytest.raises(InputError, match="another version of the workload file"):
            checkout.mend()


def written(checkout: Checkout) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (checkout.folder / "releases").iterdir()}


def pins(release: Release) -> dict[str, str]:
    return {artifact.key: artifact.version for artifact in release.artifacts}


class TestCommands:
    @pytest.fixture(autouse=True)
    def never(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def enter(name: str, progress: object) -> None:
            raise AssertionError(f"{name} came up")

        monkeypatch.setattr(targets, "enter", enter)

    def call(self, checkout: Checkout, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["-C", str(checkout.folder), *arguments], catch_exceptions=False)

    def test_offline_brings_nothing_up_and_ends_with_three_if_refused(
        self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dmz.workflow.status.datetime", Clock)
        result = self.call(checkout, "status", "--offline")
        assert result.exit_code == 0, result.output
        checkout.advisory("GHSA-1", "PyPI", "lib", "2.0")
        result = self.call(checkout, "status", "--offline")
        assert result.exit_code == 3
        assert "dmz mend" in result.output
        document = json.loads(self.call(checkout, "status", "--offline", "--json").stdout)
        assert document["holds"] is False
        [refused] = document["releases"][0]["refused"]
        assert (refused["key"], refused["reasons"][0]["id"]) == ("pypi/lib", "GHSA-1")

    def test_old_advisories_are_one_line_and_three(
        self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dmz.workflow.status.datetime", Later)
        result = self.call(checkout, "status", "--offline")
        assert result.exit_code == 3
        assert "days old" in result.stderr
        assert "Traceback" not in result.output


class Clock(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return TODAY


class Later(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return TODAY + timedelta(days=365)
