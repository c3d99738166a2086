"""What is wrong with the input ends the program with one line, before anything is declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program.program import run

IMAGE = {
    "runtime": "mine",
    "distribution": "debian",
    "release": "bookworm",
    "suites": [{"name": "bookworm", "base": "DEBIAN", "path": "debian/dists/bookworm"}],
    "components": ["main"],
    "python": "3.11",
    "architecture": "amd64",
    "glibc": "2.36",
}


@pytest.mark.parametrize(
    ("stack", "changes", "says"),
    [
        ("outer", {"subnet": "8.8.8.0/24"}, "Pulumi.outer.yaml: dmz:subnet: "),
        ("outer", {"zone": "us-central1-f"}, "Pulumi.outer.yaml: dmz:zone: "),
        ("outer", {"side": None}, "Pulumi.outer.yaml: dmz:side: "),
        ("outer", {"colour": "blue"}, "Pulumi.outer.yaml: dmz:colour: "),
        ("outer", {"spot": "perhaps"}, "Pulumi.outer.yaml: dmz:spot: "),
        ("outer", {"runtime": "tpu-ubuntu2404-base"}, "Pulumi.outer.yaml: dmz:runtime: "),
        ("outer", {"runtime": "tpu-ubuntu2204-base"}, "Pulumi.outer.yaml: dmz:workload: "),
        ("outer", {"baseImages": [{"runtime": "x"}]}, "Pulumi.outer.yaml: dmz:baseImages[0]: "),
        ("outer", {"baseImages": [IMAGE, IMAGE]}, "Pulumi.outer.yaml: dmz:baseImages[1]: "),
        ("outer", {"workload": "workloads/none.toml"}, "workloads/none.toml: "),
        ("inner", {"externalIpv6": True}, "Pulumi.inner.yaml: dmz:externalIpv6: "),
        ("inner", {"outerStack": None}, "Pulumi.inner.yaml: dmz:outerStack: "),
        ("inner", {"releases": "../releases"}, "Pulumi.inner.yaml: dmz:releases: "),
    ],
)
def test_a_bad_value(checkout: Path, stack: str, changes: dict[str, object], says: str) -> None:
    done = run(stack, None, **changes)
    assert done.error is not None
    assert done.error.startswith(says)
    assert "\n" not in done.error
    assert done.resources == []


def test_an_unknown_key_in_the_workload(checkout: Path) -> None:
    with (checkout / "workloads" / "small.toml").open("a", encoding="utf-8") as file:
        file.write("pip = []\n")
    done = run("outer")
    assert done.error is not None
    assert done.error.startswith("workloads/small.toml: ")
    assert "pip" in done.error
    assert done.resources == []


@pytest.mark.parametrize(
    ("stack", "key", "path"),
    [("inner", "releases", "releases"), ("outer", "workload", "workloads/small.toml")],
)
def test_a_link_out_of_the_checkout(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, stack: str, key: str, path: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (checkout / path).unlink(missing_ok=True)
    (checkout / path).symlink_to(elsewhere)
    done = run(stack)
    assert done.error is not None
    assert done.error.startswith(f"Pulumi.{stack}.yaml: dmz:{key}: ")
    assert done.resources == []
