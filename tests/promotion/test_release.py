from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock

from dmz.artifact import Kind
from dmz.errors import InputError
from dmz.promotion import lockfiles, pylock
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release, read, read_all, released, union, write
from tests.promotion import builders
from tests.promotion.builders import deb, entry, file, release, sha, wheel

FULL = release(
    wheel("jax"), wheel("flax", "0.12.8", why=("requested", "x")), deb("jq"), deb("libjq1"), file()
)


def test_the_files_in_full() -> None:
    made = Release(
        "small",
        "a" * 64,
        "sandbox-debian-12",
        "b" * 64,
        "3.11",
        (
            Entry(wheel("jax"), uploaded=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            Entry(deb("libjq1", why=("jq",)), "jq", "1.6-2"),
            entry(file()),
        ),
    )
    pylock, apt, files, checksums = made.files.values()
    assert (
        pylock.decode()
        == f"""\
lock-version = "1.0"
requires-python = "==3.11.*"
created-by = "dmz"

[tool.dmz]
workload = "small"
workload-digest = "{"a" * 64}"
runtime = "sandbox-debian-12"
dpkg-digest = "{"b" * 64}"

[[packages]]
name = "jax"
version = "0.4.1"
wheels = [{{path = "pypi/jax/jax-0.4.1-py3-none-any.whl", upload-time = 2026-01-02T03:04:05Z, size = 5, \
hashes = {{sha256 = "{sha(b"wheel")}"}}}}]

[packages.tool.dmz]
origin = "python-remote"
why = ["requested"]
"""
    )
    assert (
        apt.decode()
        == f"""\
Package: libjq1
Version: 1.6-2.1
Architecture: amd64
Source: jq (1.6-2)
Filename: libjq1_1.6-2.1_amd64.deb
Size: 3
SHA256: {sha(b"deb")}
Suite: bookworm
Why: jq
"""
    )
    assert (
        files.decode()
        == f"""\
File: data.tar.gz
Size: 4
SHA256: {sha(b"file")}
Why: requested
"""
    )
    assert checksums.decode() == (
        f"{sha(pylock)}  pylock.small.toml\n{sha(apt)}  apt.small.lock\n{sha(files)}  files.small.lock\n"
    )
    assert made.digest == sha(checksums)


@given(builders.releases)
def test_what_is_written_is_read_and_written_the_same(made: Release) -> None:
    again = Release.parse(made.workload, made.files, "releases")
    assert again == made
    assert replace(again).files == made.files  # written anew, not as it was read


@given(builders.releases)
def test_the_python_lock_reads_the_same_as_toml(made: Release) -> None:
    text = made.files[f"pylock.{made.workload}.toml"].decode()
    # The quick reader, which nearly every lock is read by, against TOML's own.
    assert pylock._read_plain(text) == pylock._read_any(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('created-by = "dmz"', "created-by = 'dmz'"),
        ("[[packages]]", "\n[[packages]]"),
        ("size = 5", "size = 0x5"),
    ],
)
def test_another_form_of_the_python_lock_is_left_to_toml(old: str, new: str) -> None:
    text = FULL.files["pylock.small.toml"].decode()
    other = text.replace(old, new, 1)
    assert other != text
    assert pylock._read_plain(text) == pylock._read_any(other)
    assert pylock._read_plain(other) is None


@given(builders.releases, st.randoms(use_true_random=False))
def test_the_order_of_entries_never_matters(made: Release, order: random.Random) -> None:
    shuffled = list(made.entries)
    order.shuffle(shuffled)
    assert replace(made, entries=tuple(shuffled)).digest == made.digest


@given(builders.releases)
def test_the_python_lock_is_valid_pep_751_without_an_address(made: Release) -> None:
    document = tomllib.loads(made.files[f"pylock.{made.workload}.toml"].decode())
    lock = Pylock.from_dict(document)
    wheels = [package.wheels[0] for package in lock.packages if package.wheels]
    assert len(wheels) == sum(each.kind is Kind.PYPI for each in made.artifacts)
    assert all(each.url is None and each.path and each.path.startswith("pypi/") for each in wheels)
    assert b"://" not in b"".join(made.files.values())


def test_uv_installs_from_the_python_lock_and_holds_the_wheel_to_its_digest(tmp_path: Path) -> None:
    filename = "thing-1.0-py3-none-any.whl"
    folder = tmp_path / "pypi" / "thing"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / filename, "w") as made:
        made.writestr("thing.py", "")
        made.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        made.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        made.writestr("thing-1.0.dist-info/RECORD", "")
    content = (folder / filename).read_bytes()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    write(replace(release(wheel("thing", "1.0", content)), python=python), tmp_path)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert uv, "uv is a dependency of this project"
    command = [uv, "pip", "install", "--offline", "--no-config", "--no-cache", "--python", sys.executable,
               "--preview", "--requirements", str(tmp_path / "pylock.small.toml")]  # fmt: skip
    fine = [*command, "--target", str(tmp_path / "fine")]
    ended = subprocess.run(fine, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "fine" / "thing.py").exists()
    (folder / filename).write_bytes(content + b"\0")
    bad = [*command, "--target", str(tmp_path / "bad")]
    assert subprocess.run(bad, capture_output=True, check=False).returncode != 0


def test_sha256sum_checks_a_release(tmp_path: Path) -> None:
    write(FULL, tmp_path)
    command = ["sha256sum", "--check", "--strict", "release.small.sha256"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_an_empty_release_is_a_release(tmp_path: Path) -> None:
    write(release(), tmp_path)
    assert read(tmp_path, "small").entries == ()
    assert tomllib.loads((tmp_path / "pylock.small.toml").read_text())["packages"] == []


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert write(FULL, tmp_path / "releases")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "releases").iterdir()}
    assert not write(FULL, tmp_path / "releases")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "releases").iterdir()} == before
    assert len(before) == 4


@pytest.mark.parametrize("step", range(4))
def test_a_write_that_fails_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    write(release(wheel("old")), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real, calls = Path.replace, iter(range(9))

    def failing(self: Path, target: Path) -> Path:
        if next(calls) == step:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(InputError, match="No space left on device"):
        write(FULL, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_released_workloads_are_found(tmp_path: Path) -> None:
    assert released(tmp_path / "none") == []
    write(FULL, tmp_path)
    write(release(workload="a-3"), tmp_path)
    (tmp_path / "files.half.lock").write_text("")
    (tmp_path / "README.md").write_text("")
    assert released(tmp_path) == ["a-3", "half", "small"]
    with pytest.raises(InputError, match=r"pylock\.half\.toml is missing"):
        read_all(tmp_path)


def test_no_release_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no release of 'small'; run `dmz screen`"):
        read(tmp_path, "small")
    with pytest.raises(InputError, match="no workload name"):
        read(tmp_path, "../x")


@pytest.mark.parametrize("name", lockfiles.names("small"))
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(FULL, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing; run `dmz screen` again, or restore it"):
        read(tmp_path, "small")


@pytest.mark.parametrize("name", lockfiles.names("small"))
def test_a_changed_byte_is_found_and_the_file_named(tmp_path: Path, name: str) -> None:
    write(FULL, tmp_path)
    body = (tmp_path / name).read_bytes()
    for at in random.Random(1).sample(range(len(body)), 25):
        (tmp_path / name).write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
        with pytest.raises(InputError, match=r"small\.(toml|lock|sha256)") as refusal:
            read(tmp_path, "small")
        assert "dmz screen" in str(refusal.value)


def resum(folder: Path) -> None:
    """What a person does who edits a lock and makes the checksums fit."""
    *locks, checksums = lockfiles.names("small")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in locks]
    (folder / checksums).write_text("".join(lines))


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("pylock.small.toml", 'lock-version = "1.0"', 'lock-version = "9.0"', "unreadable"),
        ("pylock.small.toml", "[[packages]]", "[[packages", "unreadable"),
        ("pylock.small.toml", "==3.11.*", ">=3.11", "requires-python"),
        ("pylock.small.toml", "dpkg-digest", "dpkg-digits", "no dpkg-digest"),
        ("pylock.small.toml", "pypi/jax/jax-", "pypi/../jax-", "leave its folder"),
        ("pylock.small.toml", "pypi/jax/jax-", "/etc/jax/jax-", "leave its folder"),
        ("pylock.small.toml", "pypi/jax/jax-", "pypi/jax/../jax-", "leave its folder"),
        ("pylock.small.toml", 'workload = "small"', 'workload = "other"', "is of the workload 'other'"),
        ("pylock.small.toml", 'created-by = "dmz"', 'created-by = "me"', "not as `dmz screen` writes it"),
        ("pylock.small.toml", "size = 5", 'size = 5, url = "https://example.com/x.whl"', "not as"),
        ("apt.small.lock", "Filename: jq_1.6", "Filename: ../jq_1.6", "leave its folder"),
        ("apt.small.lock", "Size: 3", "Size: three", "unreadable"),
        ("apt.small.lock", "Size: 3", "Size: 03", "not as `dmz screen` writes it"),
        ("apt.small.lock", "Suite: bookworm\n", "", "no Suite"),
        ("apt.small.lock", "Suite: bookworm\n", "Suite: bookworm\nSuite: sid\n", "not as"),
        ("apt.small.lock", "Package: jq\n", "# a comment\nPackage: jq\n", "'# a comment' is no field"),
        ("apt.small.lock", "Package: jq\n", "Package: jq\nColour: red\n", "not as `dmz screen` writes it"),
        ("apt.small.lock", "Package: libjq1", "Package: jq", "jq:amd64 stands twice"),
        ("files.small.lock", "File: data.tar.gz", "File: ../data.tar.gz", "leave its folder"),
        ("files.small.lock", "SHA256: ", "SHA256: zz", "no SHA-256"),
    ],
)
def test_an_edited_lock_is_refused_even_when_the_checksums_fit(
    tmp_path: Path, name: str, old: str, new: str, said: str
) -> None:
    write(FULL, tmp_path)
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1))
    resum(tmp_path)
    with pytest.raises(InputError) as refusal:
        read(tmp_path, "small")
    assert said in str(refusal.value)
    assert str(refusal.value).startswith(f"{tmp_path}")


def test_a_lock_in_another_order_is_refused(tmp_path: Path) -> None:
    write(FULL, tmp_path)
    name = tmp_path / "apt.small.lock"
    name.write_text("\n\n".join(reversed(name.read_text().rstrip("\n").split("\n\n"))) + "\n")
    resum(tmp_path)
    with pytest.raises(InputError, match="not as `dmz screen` writes it"):
        read(tmp_path, "small")


def test_a_file_name_for_two_contents_is_refused(tmp_path: Path) -> None:
    write(FULL, tmp_path)
    name = tmp_path / "apt.small.lock"
    text = name.read_text().replace("libjq1_1.6-2.1_amd64.deb", "jq_1.6-2.1_amd64.deb")
    head, _, tail = text.rpartition(sha(b"deb"))
    name.write_text(head + "0" * 64 + tail)
    resum(tmp_path)
    with pytest.raises(InputError, match=r"'jq_1\.6-2\.1_amd64\.deb' stands for two contents"):
        read(tmp_path, "small")


@given(
    bodies=st.fixed_dictionaries(
        {name: st.binary(max_size=60) | st.just(FULL.files[name]) for name in lockfiles.names("small")}
    )
)
def test_any_bytes_are_the_release_or_refused(bodies: dict[str, bytes]) -> None:
    if bodies == FULL.files:
        assert Release.parse("small", bodies, "releases") == FULL
    else:
        with pytest.raises(InputError):
            Release.parse("small", bodies, "releases")


@pytest.mark.parametrize(
    "change",
    [
        {"workload": "../x"},
        {"workload_digest": "a"},
        {"runtime": "A B"},
        {"dpkg_digest": ""},
        {"python": "3"},
        {"entries": (entry(wheel("a", "1")), entry(wheel("a", "2")))},
    ],
)
def test_an_impossible_release_cannot_be_made(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(FULL, **change)


@pytest.mark.parametrize(
    "made",
    [
        lambda: entry(replace(wheel("jax"), name="JAX")),
        lambda: entry(replace(wheel("jax"), version="0.4.2")),
        lambda: entry(replace(wheel("jax"), filename="jax-0.4.1.tar.gz")),
        lambda: entry(replace(wheel("jax"), filename="flax-0.4.1-py3-none-any.whl")),
        lambda: entry(replace(wheel("jax"), architecture="amd64")),
        lambda: entry(replace(wheel("jax"), origin="https://example.com")),
        lambda: entry(replace(wheel("jax"), why=("a, b",))),
        lambda: entry(replace(wheel("jax"), why=("a | b",))),
        lambda: entry(replace(deb("jq"), version="1 2")),
        lambda: entry(replace(deb("jq"), name="J")),
        lambda: entry(replace(deb("jq"), architecture="")),
        lambda: entry(replace(deb("jq"), origin="python-remote")),
        lambda: entry(replace(deb("jq"), filename="jq.rpm")),
        lambda: entry(deb("jq"), "JQ"),
        lambda: Entry(deb("jq")),
        lambda: entry(replace(file(), version="1")),
        lambda: entry(replace(file(), origin="python-remote")),
        lambda: entry(replace(file(), filename="-rf", name="-rf")),
        lambda: Entry(wheel("jax"), uploaded=datetime(2026, 1, 1)),
    ],
)
def test_an_impossible_entry_cannot_be_made(made: Any) -> None:
    with pytest.raises(InputError):
        made()


def test_the_union_has_each_artifact_once_with_all_reasons() -> None:
    one = release(wheel("jax", why=("flax",)), deb("jq"), workload="one")
    two = release(wheel("jax", why=("requested",)), file(), workload="two")
    found = union([two, one])
    assert [each.key for each in found] == ["apt/jq:amd64", "files/data.tar.gz", "pypi/jax"]
    assert found[2].why == ("flax", "requested")
    assert union([one, two]) == found


def test_two_versions_of_two_releases_live_side_by_side() -> None:
    both = union([release(wheel("jax", "1"), workload="one"), release(wheel("jax", "2"), workload="two")])
    assert [each.version for each in both] == ["1", "2"]


def test_two_contents_for_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="one and two approve different bytes"):
        union(
            [
                release(wheel("jax", content=b"a"), workload="one"),
                release(wheel("jax", content=b"b"), workload="two"),
            ]
        )
    files = [release(file(content=b"a"), workload="one"), release(file(content=b"b"), workload="two")]
    assert len(union(files)) == 2, "a bucket has a place for each content"
