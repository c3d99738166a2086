"""`dmz release`: what git remembers, what differs, and going back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dmz import targets
from dmz.artifact import Artifact
from dmz.cli import cli
from dmz.promotion import lockfiles, review, sbom
from dmz.promotion import release as releases
from dmz.promotion import workload as workloads
from dmz.promotion.evidence import Evidence
from dmz.promotion.release import Release
from dmz.promotion.workload import workload_digest
from tests.promotion.builders import deb, image, release, wheel

ROOT = Path(__file__).parents[1]
LOCKS = lockfiles.names("small")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in PERSON.items()},
        },
    )
    return done.stdout.strip()


PERSON = {"NAME": "Ada", "EMAIL": "ada@example.org", "DATE": "2026-02-03T04:05:06Z"}


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's git configuration, and no repository above, has a say."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))

    def never(name: str, progress: object) -> None:
        raise AssertionError(f"{name} came up")

    monkeypatch.setattr(targets, "enter", never)


@pytest.fixture(params=["", "deploy/dmz"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A git repository with the program at its top, or somewhere below."""
    top = tmp_path / "a repository"
    folder = top / str(request.param)
    folder.mkdir(parents=True)
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "workloads", folder / "workloads")
    git(top, "init", "-q", "-b", "main")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "Begin")
    return folder


@pytest.fixture(autouse=True)
def back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands change the folder that they are in."""
    monkeypatch.chdir(tmp_path)


def made(folder: Path, *artifacts: Artifact, workload: str = "small", licence: str = "MIT") -> Release:
    """Write a release as screening does."""
    of = workloads.read(ROOT / "workloads/small.toml")
    found = replace(release(*artifacts, workload=workload), workload_digest=workload_digest(of))
    bill = sbom.sbom(found, of, image(), [Evidence(each, licence=licence) for each in found.entries])
    beside = {sbom.name(workload): bill, review.name(workload): f"# {found.digest}\n".encode()}
    releases.write(found, folder / "releases", beside)
    return found


def committed(folder: Path, *artifacts: Artifact, workload: str = "small", licence: str = "MIT") -> Release:
    found = made(folder, *artifacts, workload=workload, licence=licence)
    git(folder, "add", "releases")
    git(folder, "commit", "-q", "-m", f"Release {found.digest[:12]}")
    return found


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), "release", *arguments], catch_exceptions=False)


def refused(result: Result) -> str:
    """The one line of a call that was refused as bad input."""
    assert result.exit_code == 2, result.output
    [line] = result.stderr.strip().splitlines()
    return line


def there(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "releases").iterdir()}


OLD, NEW = wheel("jax", "0.4.1", b"old"), wheel("jax", "0.4.2", b"new")


def test_the_list_has_digest_date_commit_and_author(checkout: Path) -> None:
    one, two = committed(checkout, OLD), committed(checkout, NEW)
    lines = call(checkout, "list").output.splitlines()
    commit = git(checkout, "rev-parse", "HEAD")
    assert (
        lines[0] == f"* {two.digest[:12]}  2026-02-03  {commit[:10]}  small  Ada: Release {two.digest[:12]}"
    )
    assert lines[1].startswith(f"  {one.digest[:12]}  ")
    rows = json.loads(call(checkout, "list", "--json").output)["releases"]
    assert [(row["digest"], row["checkout"]) for row in rows] == [(two.digest, True), (one.digest, False)]


def test_without_a_release_the_list_says_so(checkout: Path) -> None:
    assert "git has no release yet" in refused(call(checkout, "list"))
    assert "git has no release of 'x\\" not in refused(call(checkout, "list", "--workload", "other"))


def test_a_release_that_came_back_is_listed_again(checkout: Path) -> None:
    one, two = committed(checkout, OLD), committed(checkout, NEW)
    assert committed(checkout, OLD) == one
    rows = json.loads(call(checkout, "list", "--json").output)["releases"]
    assert [row["digest"] for row in rows] == [one.digest, two.digest, one.digest]


def test_a_better_licence_is_no_other_release_and_the_newest_commit_counts(checkout: Path) -> None:
    one = committed(checkout, OLD, licence="MIT")
    assert committed(checkout, OLD, licence="Apache-2.0") == one
    [row] = json.loads(call(checkout, "list", "--json").output)["releases"]
    assert row["commit"] == git(checkout, "rev-parse", "HEAD")


def test_by_default_the_last_commit_is_compared_with_the_checkout(checkout: Path) -> None:
    one = committed(checkout, OLD, deb())
    assert call(checkout, "diff").output.splitlines()[1:] == ["2 the same; 6 B → 6 B"]
    two = made(checkout, NEW, deb(), licence="Apache-2.0")
    assert call(checkout, "diff").output.splitlines() == [
        f"small: {one.digest[:12]} → {two.digest[:12]}",
        "~ pypi/jax 0.4.1 → 0.4.2 (+0 B); licence MIT → Apache-2.0",
        "1 changed, 1 the same; 6 B → 6 B",
    ]


def test_a_first_release_can_be_compared_with_nothing(checkout: Path) -> None:
    found = made(checkout, OLD)
    lines = call(checkout, "diff").output.splitlines()
    assert lines[0] == f"small: nothing → {found.digest[:12]}"
    assert lines[1].startswith("+ pypi/jax 0.4.1")


def test_releases_are_named_by_digest_revision_or_folder(checkout: Path, tmp_path: Path) -> None:
    one = committed(checkout, OLD)
    git(checkout, "tag", "first")
    two = committed(checkout, NEW)
    shutil.copytree(checkout / "releases", tmp_path / "elsewhere")
    expected = call(checkout, "diff", "HEAD~1", "HEAD").output
    assert expected.startswith(f"small: {one.digest[:12]} → {two.digest[:12]}\n~ pypi/jax")
    for before in ("first", one.digest, one.digest[:7], "main^"):
        for after in ("main", two.digest[:9], "releases", str(tmp_path / "elsewhere")):
            assert call(checkout, "diff", before, after).output == expected


def test_other_bytes_are_loud(checkout: Path) -> None:
    committed(checkout, OLD)
    made(checkout, wheel("jax", "0.4.1", b"swapped"))
    [change] = json.loads(call(checkout, "diff", "--json").output)["differences"][0]["changes"]
    assert change["change"] == "other bytes"
    assert call(checkout, "diff").output.splitlines()[1].startswith("! pypi/jax 0.4.1: OTHER BYTES")


def test_findings_come_and_go_if_asked_for(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMZ_CACHE", str(checkout / "cache"))
    shutil.copy(ROOT / "policy.toml", checkout)
    shutil.copytree(ROOT / "advisories", checkout / "advisories")
    committed(checkout, wheel("protobuf", "6.31.0"))
    made(checkout, wheel("protobuf", "5.29.6"))
    assert "CVE" not in call(checkout, "diff").stdout
    line = call(checkout, "diff", "--findings").stdout.splitlines()[1]
    assert "6.31.0 → 5.29.6, an OLDER version" in line
    assert "no longer: CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7), CVE-2026-0994 (GHSA-7gcm-g887-7qv7)" in line
    (checkout / "policy.toml").write_text("")
    assert "policy.toml" in refused(call(checkout, "diff", "--findings"))


def test_each_workload_is_compared_with_itself(checkout: Path) -> None:
    committed(checkout, OLD)
    committed(checkout, OLD, workload="large")
    made(checkout, NEW)
    found = json.loads(call(checkout, "diff", "--json").output)["differences"]
    assert [(each["workload"], len(each["changes"])) for each in found] == [("large", 0), ("small", 1)]
    assert call(checkout, "diff", "--workload", "large").output.startswith("large: ")
    assert "neither has a release of medium" in refused(call(checkout, "diff", "--workload", "medium"))


def test_releases_of_two_workloads_are_not_compared(checkout: Path) -> None:
    one, two = committed(checkout, OLD), committed(checkout, NEW, workload="large")
    assert "of large and small" in refused(call(checkout, "diff", one.digest, two.digest))


@pytest.mark.parametrize(
    "name", ["nothing", "0" * 12, "--all", "-h", "HEAD:Pulumi.yaml", "a\nb", "\udc80", ":/"]
)
@pytest.mark.parametrize("command", ["diff", "use"])
def test_what_names_no_release_is_refused(checkout: Path, command: str, name: str) -> None:
    committed(checkout, OLD)
    assert "is no release digest in this history" in refused(call(checkout, command, "--", name))


def test_going_back_restores_every_file_to_the_byte(checkout: Path) -> None:
    one = committed(checkout, OLD, licence="MIT")
    before = there(checkout)
    committed(checkout, NEW, licence="Apache-2.0")
    result = call(checkout, "use", one.digest[:12])
    assert result.exit_code == 0, result.output
    assert there(checkout) == before
    assert len(before) == 6
    assert f"release {one.digest} of small" in result.output
    assert "dmz attest, and pulumi up -s inner" in result.output
    assert releases.read(checkout / "releases", "small") == one


def test_going_back_twice_does_nothing_the_second_time(checkout: Path) -> None:
    committed(checkout, OLD)
    committed(checkout, NEW)
    assert call(checkout, "use", "HEAD~1").exit_code == 0
    git(checkout, "commit", "-q", "-a", "-m", "Back")
    output = call(checkout, "use", "HEAD").output
    assert "already" in output
    assert "Next" not in output


def test_what_the_earlier_commit_did_not_have_is_gone(checkout: Path) -> None:
    found = replace(release(OLD), workload_digest="9" * 64)
    releases.write(found, checkout / "releases")
    git(checkout, "add", "releases")
    git(checkout, "commit", "-q", "-m", "Locks alone")
    committed(checkout, NEW)
    result = call(checkout, "use", found.digest)
    assert sorted(there(checkout)) == sorted(LOCKS)
    assert "another version of workloads/small.toml" in result.output


@pytest.mark.parametrize("name", [*LOCKS, "sbom.small.cdx.json", "review.small.md"])
def test_what_is_not_committed_is_not_written_over(checkout: Path, name: str) -> None:
    one = committed(checkout, OLD)
    committed(checkout, NEW)
    path = checkout / "releases" / name
    path.write_bytes(path.read_bytes() + b"x")
    before = there(checkout)
    line = refused(call(checkout, "use", one.digest))
    assert f"{name} has changes that are not committed" in line
    assert there(checkout) == before


def test_what_git_does_not_know_is_not_written_over(checkout: Path) -> None:
    one = committed(checkout, OLD)
    git(checkout, "rm", "-q", "-r", "releases")
    git(checkout, "commit", "-q", "-m", "No release")
    (checkout / ".gitignore").write_text("releases\n")
    made(checkout, NEW)
    assert "not committed" in refused(call(checkout, "use", one.digest))


def test_another_workloads_changes_are_nobodys_business(checkout: Path) -> None:
    one = committed(checkout, OLD)
    committed(checkout, NEW)
    made(checkout, NEW, workload="large")
    assert call(checkout, "use", one.digest).exit_code == 0
    assert releases.released(checkout / "releases") == ["large", "small"]


def test_a_release_that_was_committed_broken_is_refused(checkout: Path) -> None:
    committed(checkout, OLD)
    lock = checkout / "releases" / LOCKS[0]
    lock.write_bytes(lock.read_bytes().replace(b"0.4.1", b"0.4.9"))
    git(checkout, "commit", "-q", "-a", "-m", "Edit")
    committed(checkout, NEW)
    before = there(checkout)
    assert "edited or damaged" in refused(call(checkout, "use", "HEAD~1"))
    assert there(checkout) == before


def test_end_of_line_conversion_does_not_spoil_a_release(checkout: Path) -> None:
    one = committed(checkout, OLD)
    committed(checkout, NEW)
    git(checkout, "config", "core.autocrlf", "true")
    assert call(checkout, "use", one.digest).exit_code == 0
    assert releases.read(checkout / "releases", "small") == one


def test_a_digest_of_two_releases_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dmz.workflow import release_history
    from dmz.workflow.release_history import History, Recorded

    two = [Recorded("small", f"abcdef0{digit}" + "0" * 56, "c", "d", "a", "s") for digit in "12"]
    monkeypatch.setattr(release_history.History, "log", lambda self, workload: two)
    history = History(checkout, checkout / "releases")
    with pytest.raises(Exception, match="begins 2 release digests"):
        history.find("abcdef0", ["small"])
    assert history.find("abcdef01", ["small"]) == two[0]
    assert history.find("abcdef", ["small"]) is None


def test_the_former_release_is_the_one_before_committed_or_not(checkout: Path) -> None:
    from dmz.workflow.release_history import History

    def former(found: Release) -> str | None:
        recorded = History(checkout, checkout / "releases").former("small", found.digest)
        return recorded.digest if recorded else None

    one = committed(checkout, OLD)
    assert former(one) is None
    two = made(checkout, NEW)
    assert former(two) == one.digest
    assert committed(checkout, NEW) == two
    assert former(two) == one.digest


@pytest.mark.parametrize("command", [("list",), ("diff",), ("use", "HEAD")])
def test_without_git_there_is_no_past(tmp_path: Path, command: tuple[str, ...]) -> None:
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "workloads", tmp_path / "workloads")
    assert "not a git repository" in refused(call(tmp_path, *command))


def test_without_a_commit_there_is_no_past_yet(tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "workloads", tmp_path / "workloads")
    git(tmp_path, "init", "-q")
    assert "git has no release yet" in refused(call(tmp_path, "list"))
    assert "no git revision" in refused(call(tmp_path, "use", "HEAD"))


def test_a_shallow_clone_says_that_it_is(checkout: Path, tmp_path: Path) -> None:
    one = committed(checkout, OLD)
    committed(checkout, NEW)
    top = git(checkout, "rev-parse", "--show-toplevel")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{top}", "shallow")
    clone = tmp_path / "shallow" / checkout.relative_to(top)
    assert "git fetch --unshallow" in refused(call(clone, "use", one.digest))


def test_git_that_is_not_installed_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "git is not installed" in refused(call(checkout, "list"))
