"""The flow in the sandbox through the Automation API: real pip, apt and dpkg, and a sealed machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dmz.artifact import Artifact, Kind
from dmz.automation import Stack
from dmz.errors import DmzError
from dmz.promotion import release as releases
from dmz.promotion.probes import Verdict
from dmz.registries.google import connect
from dmz.registries.python import PythonRegistry
from dmz.workflow.refused import ScreeningRefusedError
from dmz.workflow.verify import verify
from tests.flow.conftest import BASE, World
from tests.flow.upstream import wheel

pytestmark = pytest.mark.sandbox


def test_a_release_is_discovered_screened_copied_installed_and_verified(world: World) -> None:
    ran = world.settle()
    assert ran.holds
    release = releases.read(world.folder / "releases", "tiny")
    names = {artifact.key for artifact in release.artifacts}
    assert {"pypi/alpha", "pypi/beta", "pypi/gamma", "apt/jq:amd64"} <= names
    assert world.inside() == {artifact.filename: artifact.sha256 for artifact in release.artifacts}
    assert ran.summary.release_digest == release.digest
    assert ran.summary.installed["pypi"] == 3
    assert ran.summary.network_sealed
    assert not ran.summary.perimeter_sealed
    assert ran.summary.open_ways == ("NOT SEALED: no service perimeter",)


def test_every_way_out_is_closed_and_has_a_control_that_is_open(world: World) -> None:
    judgements = world.settle().judgements
    assert {each.name for each in judgements} == {
        *("tcp", "udp", "icmp", "dns-a", "dns-aaaa", "dns-txt", "ipv6", "metadata-name")
    }
    assert {each.verdict for each in judgements} == {Verdict.SEALED}


def test_a_second_run_changes_nothing(world: World) -> None:
    world.settle()
    before = {path.name: path.read_bytes() for path in (world.folder / "releases").iterdir()}
    again = world.run()
    assert not again.changed
    assert not again.preview.any
    assert again.summary.sync.copied == 0
    assert {path.name: path.read_bytes() for path in (world.folder / "releases").iterdir()} == before


def test_one_of_each_kind_is_added_and_then_removed(world: World) -> None:
    world.settle()
    corpus = b"to be or not to be"
    # The stand-in for the internet serves what is in this folder, to the outer machine alone.
    served = world.daemon.root / "internet/files.example.com/corpus.txt"
    served.parent.mkdir(parents=True, exist_ok=True)
    served.write_bytes(corpus)
    file = ("corpus.txt", "https://files.example.com/corpus.txt", hashlib.sha256(corpus).hexdigest())
    check = (
        "python -c 'import delta; assert delta.version == \"1.0\"' && command -v zstd && grep be corpus.txt"
    )
    world.want(*BASE, "delta<2", apt=("jq", "zstd"), files=[file], check=check)
    added = world.run()
    assert added.holds
    assert re.search(r"\+ +pypi/delta *: \"1\.0 delta-1\.0", added.preview.text)
    inside = world.inside()
    assert {"delta-1.0-py3-none-any.whl", "corpus.txt"} <= inside.keys()
    assert any(name.startswith("zstd_") for name in inside)

    world.want(*BASE, check="! python -c 'import delta' && ! command -v zstd && ! test -e corpus.txt")
    removed = world.run()
    assert removed.holds, "the living machine still has what the release no longer has"
    assert removed.summary.sync.withdrawn == added.summary.sync.copied
    assert not any(name.startswith(("zstd_", "delta-", "corpus")) for name in world.inside())


def test_a_refused_version_is_replaced_by_one_that_passes(world: World) -> None:
    world.begin()
    world.want(*BASE, "delta")
    screened = world.screen()
    assert {refusal.purl for refusal in screened.refused} == {"pkg:pypi/delta@2.1"}
    assert {refusal.remedy for refusal in screened.refused} == {"1.0"}
    released = {artifact.filename for artifact in screened.release.artifacts}
    assert "delta-1.0-py3-none-any.whl" in released
    assert not any(name.startswith("delta-2") for name in released)


def test_a_cap_that_leaves_no_way_out_writes_no_release(world: World) -> None:
    world.begin()
    before = (world.folder / "releases/release.tiny.sha256").read_bytes()
    world.want(*BASE, "delta>=2,<3")
    with pytest.raises(ScreeningRefusedError, match=r"delta 2\.1.*TEST-2026-1.*1\.0") as refused:
        world.screen()
    assert len(str(refused.value).splitlines()) == 1
    assert (world.folder / "releases/release.tiny.sha256").read_bytes() == before


def test_bytes_that_change_in_outer_after_the_release_are_refused(world: World) -> None:
    world.begin()
    world.upstream.add("epsilon", "1.0")
    world.want(*BASE, "epsilon")
    inside = world.inside()
    approved = next(each for each in world.screen().release.artifacts if each.name == "epsilon")
    world.attest()
    kept = _kept(world, approved.sha256)
    original = kept.read_bytes()
    try:
        kept.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(DmzError, match=r"epsilon-1\.0-py3-none-any\.whl") as refused:
            world.estate.inner.up(lambda line: None)
        assert approved.sha256 in str(refused.value)
        assert "Traceback" not in str(refused.value)
        assert "epsilon-1.0-py3-none-any.whl" not in world.inside()
        assert inside.items() <= world.inside().items(), "something was withdrawn after a failed copy"
    finally:
        kept.write_bytes(original)


def _kept(world: World, sha256: str) -> Path:
    """Where the sandbox keeps a file that its remote fetched; buckets have their own place."""
    found = [
        path
        for place in (world.daemon.root, world.daemon.cache)
        for path in place.rglob("*")
        if path.is_file() and path.stat().st_size < 10_000 and _sha256(path) == sha256
        if "objects" not in path.parts
    ]
    assert found, "the sandbox keeps the file nowhere"
    return found[0]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_bytes_that_change_upstream_before_the_first_fetch_are_refused(world: World) -> None:
    world.begin()
    filename = world.upstream.add("zeta", "1.0")
    world.upstream.tamper("zeta", filename)
    world.want(*BASE, "zeta")
    inside = world.inside()
    with pytest.raises(DmzError, match="could not install"):
        world.screen()
    assert world.inside() == inside


def test_a_release_that_nobody_attested_stays_outside(world: World) -> None:
    world.begin()
    world.upstream.add("theta", "1.0")
    world.want(*BASE, "theta")
    world.screen()
    inside = world.inside()
    preview = world.estate.inner.preview(lambda line: None)
    assert "not attested yet" in preview.text
    assert re.search(r"\+ +pypi/theta", preview.text)
    with pytest.raises(DmzError, match="attest") as refused:
        world.estate.inner.up(lambda line: None)
    assert "Traceback" not in str(refused.value)
    assert world.inside() == inside


def test_another_attestation_of_the_same_release_copies_nothing(world: World) -> None:
    world.settle()
    world.touch()
    inside = world.inside()
    world.attest(again=True)
    world.estate.inner.up(lambda line: None)
    assert world.inside() == inside
    assert world.run().summary.sync.copied == 0


def test_a_package_put_inside_behind_our_back_is_shown_and_withdrawn(world: World) -> None:
    world.settle()
    world.touch()
    filename, body = wheel("intruder", "1.0")
    digest = hashlib.sha256(body).hexdigest()
    artifact = Artifact(Kind.PYPI, "intruder", "", "1.0", filename, digest, len(body), "nowhere")

    async def put() -> None:
        async with connect("us-central1") as google:
            registry = PythonRegistry(google, "dmz-inner", "us-central1", "python")
            await registry.put(artifact, iter([body]))

    asyncio.run(put())
    assert filename in world.inside()
    ran = world.run()
    assert re.search(r"- +pypi/intruder", ran.preview.text)
    assert ran.summary.sync.withdrawn == 1
    assert filename not in world.inside()
    assert ran.holds


def test_bytes_that_changed_inside_under_an_approved_name_are_shown_and_mended(world: World) -> None:
    world.settle()
    world.touch()
    [alpha] = [
        each for each in releases.read(world.folder / "releases", "tiny").artifacts if each.name == "alpha"
    ]
    _, evil = wheel("alpha", "1.0", payload="evil")
    digest = hashlib.sha256(evil).hexdigest()

    async def replace_it() -> None:
        async with connect("us-central1") as google:
            registry = PythonRegistry(google, "dmz-inner", "us-central1", "python")
            await registry.withdraw(each for each in await registry.list() if each.name == "alpha")
            await registry.put(replace(alpha, sha256=digest, size=len(evil)), iter([evil]))

    asyncio.run(replace_it())
    assert world.inside()[alpha.filename] == digest
    ran = world.run()
    assert re.search(rf"~ +pypi/alpha.*{digest}.*{alpha.sha256}", ran.preview.text, re.DOTALL)
    assert (ran.summary.sync.copied, ran.summary.sync.withdrawn) == (1, 1)
    assert world.inside()[alpha.filename] == alpha.sha256
    assert ran.holds


def test_going_back_needs_no_upstream(world: World) -> None:
    world.begin()
    world.upstream.add("eta", "1.0")
    world.want(*BASE, "eta")
    assert world.run().holds
    locks = {path.name: path.read_bytes() for path in (world.folder / "releases").iterdir()}
    [eta] = [
        each for each in releases.read(world.folder / "releases", "tiny").artifacts if each.name == "eta"
    ]
    world.want(*BASE)
    assert world.run().holds
    assert eta.filename not in world.inside()

    world.upstream.silent = True
    try:
        _kept(world, eta.sha256).unlink()
        for name, body in locks.items():
            (world.folder / "releases" / name).write_bytes(body)
        world.want(*BASE, "eta")
        world.attest()
        since = datetime.now(UTC)
        world.estate.inner.up(lambda line: None)
        assert world.inside()[eta.filename] == eta.sha256
        verified = asyncio.run(verify(world.estate, lambda line: None, within=300, since=since))
        assert verified.holds, "the sealed machine did not go back"
    finally:
        world.upstream.silent = False


def test_no_request_was_answered_without_a_token_and_none_is_written_down(world: World) -> None:
    world.begin()
    requests = world.requests()
    assert requests
    tokens = {world.daemon.environment()["GOOGLE_OAUTH_ACCESS_TOKEN"]}
    text = (world.daemon.root / "requests.jsonl").read_text()
    assert not any(token in text for token in tokens)
    assert all(entry["identity"] for entry in requests if entry["status"] < 400)
    assert any("dmz-sync@dmz-outer" in (entry["identity"] or "") for entry in requests)
    assert any("dmz-machine@dmz-inner" in (entry["identity"] or "") for entry in requests)


def test_state_holds_no_token(world: World) -> None:
    world.begin()
    token = world.daemon.environment()["GOOGLE_OAUTH_ACCESS_TOKEN"]
    for path in (world.daemon.root / "state").rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes(), path


def test_a_missing_lock_is_an_error_once_there_was_a_release(world: World) -> None:
    world.begin()
    folder = world.folder / "releases"
    hidden = folder.rename(world.folder / "hidden")
    try:
        with pytest.raises(DmzError, match=r"tiny") as refused:
            world.estate.inner.preview(lambda line: None)
        assert "Traceback" not in str(refused.value)
    finally:
        hidden.rename(folder)


def test_a_lock_that_was_edited_by_hand_is_refused(world: World) -> None:
    world.begin()
    path = world.folder / "releases/apt.tiny.lock"
    original = path.read_bytes()
    try:
        path.write_bytes(original.replace(b"Package: jq", b"Package: jp", 1))
        with pytest.raises(DmzError, match=r"apt\.tiny\.lock"):
            world.estate.inner.preview(lambda line: None)
    finally:
        path.write_bytes(original)


def test_the_report_has_what_scripts_rely_on(world: World, tmp_path: Path) -> None:
    ran = world.settle()
    ran.write(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert {
        *("workload", "release_digest", "engine", "discovered", "installed", "refused", "sealed", "sync"),
        *("probes", "verified", "seconds"),
    } <= report.keys()
    assert report["engine"] in {"cli", "embedded"}
    assert report["verified"] is True


def test_the_machine_refuses_another_base_image(world: World) -> None:
    """A release that was made for another image is not installed, whoever approved it."""
    world.settle()
    world.touch()
    folder = world.folder / "releases"
    release = releases.read(folder, "tiny")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    releases.write(replace(release, dpkg_digest="0" * 64), folder)
    try:
        world.attest()
        estate, began = world.estate, datetime.now(UTC)
        estate.inner.up(lambda line: None)
        found = asyncio.run(verify(estate, lambda line: None, within=300, since=began))
        assert not found.holds
        assert "dpkg digest" in (found.report.error or "")
    finally:
        for name, body in before.items():
            (folder / name).write_bytes(body)


def test_looking_at_a_stack_that_is_not_there_makes_none(world: World) -> None:
    path = world.folder / "Pulumi.later.yaml"
    path.write_text((world.folder / "Pulumi.inner.yaml").read_text())
    try:
        stack = Stack("later", world.folder)
        assert stack.outputs() == {}
        assert stack.resources() == []
        assert not list((world.daemon.root / "state").rglob("later*"))
    finally:
        path.unlink()
