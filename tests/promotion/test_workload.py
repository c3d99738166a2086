from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dmz.errors import InputError
from dmz.promotion import workload

FINE = """
name = "small"
summary = "Trains."
base-image = "sandbox-debian-12"
apt = ["jq", "libstdc++6"]
python = ["jax>=0.4", "flax[all]"]
check = "true"

[[file]]
name = "data-1.0.tar.gz"
address = "https://example.com/data-1.0.tar.gz"
sha256 = "SHA"
""".replace("SHA", "c" * 64)


def test_every_key_is_read() -> None:
    found = workload.parse(FINE, "w.toml")
    assert found.base_image == "sandbox-debian-12"
    assert found.apt == ("jq", "libstdc++6")
    assert found.python == ("jax>=0.4", "flax[all]")
    assert found.files[0].name == "data-1.0.tar.gz"
    assert found.settings()["files"] == [
        {
            "name": "data-1.0.tar.gz",
            "address": "https://example.com/data-1.0.tar.gz",
            "sha256": "c" * 64,
        }
    ]


def test_the_digest_is_of_the_canonical_json() -> None:
    text = 'name="w"\nsummary="ü"\nbase-image="i"\ncheck="true"\n'
    canonical = (
        '{"apt":[],"base-image":"i","check":"true","files":[],"name":"w","python":[],'
        '"python-overrides":[],"summary":"ü"}'
    )
    assert (
        workload.workload_digest(workload.parse(text, "w")) == hashlib.sha256(canonical.encode()).hexdigest()
    )


def test_the_digest_follows_the_meaning_and_not_the_layout() -> None:
    one = workload.workload_digest(workload.parse(FINE, "w"))
    assert workload.workload_digest(workload.parse("# a comment\n" + FINE, "w")) == one
    assert workload.workload_digest(workload.parse(FINE.replace('"jq"', '"yq"'), "w")) != one


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "small"', 'nmae = "small"', "unknown key 'nmae'; did you mean 'name'?"),
        ('name = "small"', 'name = "../x"', "name: '../x' is no name"),
        ('summary = "Trains."', "", "'summary' is missing"),
        ('summary = "Trains."', 'summary = " "', "summary: it is empty"),
        ('check = "true"', "check = true", "check: "),
        ('apt = ["jq", "libstdc++6"]', 'apt = "jq"', "apt: "),
        ('"jq"', '"jq=1.6"', "'jq=1.6' is no Debian package name"),
        ('"jq"', '"libstdc++6"', "'libstdc++6' stands twice"),
        ('"jax>=0.4"', '"jax >="', "'jax >=' is no requirement"),
        ('"jax>=0.4"', '"FLAX>2"', "'flax' stands twice"),
        ('"jax>=0.4"', '"x @ https://example.com/x.zip"', "list it as a [[file]]"),
        ("https://example.com/data-1.0.tar.gz", "http://example.com/data", "no address of a file"),
        ("https://example.com/data-1.0.tar.gz", "https://me:pw@example.com/data", "no address of a file"),
        ("https://example.com/data-1.0.tar.gz", "https://example.com/a b", "no address of a file"),
        ("https://example.com/data-1.0.tar.gz", "gs://bucket", "no address of a file"),
        ("https://example.com/data-1.0.tar.gz", "https://[x/", "no address of a file"),
        ("data-1.0.tar.gz", "../data", "no plain file name"),
        ("c" * 64, "C" * 64, "no SHA-256"),
        ("sha256 =", "sha-256 =", "unknown key 'file.0.sha-256'"),
        ("[[file]]", "[[file]", "no TOML"),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_place(old: str, new: str, said: str) -> None:
    assert old in FINE
    with pytest.raises(InputError) as refusal:
        workload.parse(FINE.replace(old, new, 1), "workloads/w.toml")
    assert str(refusal.value).startswith("workloads/w.toml: ")
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_bucket_is_an_address() -> None:
    found = workload.parse(
        FINE.replace("https://example.com/data-1.0.tar.gz", "gs://my-bucket/a/data.tar.gz"), "w"
    )
    assert found.files[0].address == "gs://my-bucket/a/data.tar.gz"


def test_the_same_requirement_may_stand_for_different_markers() -> None:
    marked = """python = ["a>1 ; python_version < '3.12'", "a>2 ; python_version >= '3.12'"]"""
    text = FINE.replace('python = ["jax>=0.4", "flax[all]"]', marked)
    assert len(workload.parse(text, "w").python) == 2


def test_missing_and_unreadable_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such workload file"):
        workload.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="unreadable"):
        workload.read(tmp_path / "bad.toml")
