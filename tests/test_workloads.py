"""Another workload than the stack's own, in the same checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dmz import targets
from dmz.cli import cli
from dmz.errors import InputError
from dmz.workflow.estate import Estate

ROOT = Path(__file__).parents[1]


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Estate:
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml", "policy.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "workloads", folder / "workloads")
    other(folder / "workloads/large.toml")
    monkeypatch.chdir(tmp_path)
    return Estate(folder)


def other(path: Path, name: str = "large", image: str = "sandbox-debian-12") -> None:
    path.write_text(f'name = "{name}"\nsummary = "Other."\nbase-image = "{image}"\ncheck = "true"\n')


def test_the_stacks_own_is_meant_unless_another_is_chosen(estate: Estate) -> None:
    assert estate.workload.name == "small"
    assert estate.of_workload(None) is estate
    assert estate.of_workload(Path("workloads/small.toml")) is estate
    assert estate.of_workload(Path("workloads/../workloads/small.toml")) is estate
    chosen = estate.of_workload(Path("workloads/large.toml"))
    assert chosen.workload.name == "large"
    assert chosen.releases == estate.releases
    chosen.check()


def test_two_files_of_one_name_are_refused(estate: Estate) -> None:
    other(estate.folder / "workloads/copy.toml", name="small")
    with pytest.raises(InputError, match="both called 'small'"):
        estate.of_workload(Path("workloads/copy.toml"))


def test_a_base_image_that_outer_has_no_suites_of_is_refused(estate: Estate) -> None:
    other(estate.folder / "workloads/ubuntu.toml", name="ubuntu", image="tpu-ubuntu2204-base")
    with pytest.raises(InputError, match="made for the base image 'tpu-ubuntu2204-base'"):
        estate.of_workload(Path("workloads/ubuntu.toml"))


def test_a_file_outside_the_checkout_is_refused(estate: Estate, tmp_path: Path) -> None:
    other(tmp_path / "outside.toml")
    for path in (Path("../outside.toml"), tmp_path / "outside.toml"):
        with pytest.raises(InputError, match="not in the checkout"):
            estate.of_workload(path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("screen", "--workload", "workloads/large.toml"), "the outer machine installs small"),
        (("screen", "--workload", "workloads/none.toml"), "no such workload file"),
        (("mend", "--workload", "../outside.toml"), "not in the checkout"),
    ],
)
def test_what_cannot_be_is_said_before_anything_comes_up(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    def never(name: str, progress: object) -> None:
        raise AssertionError(f"{name} came up")

    monkeypatch.setattr(targets, "enter", never)
    result = CliRunner().invoke(cli, ["-C", str(estate.folder), *arguments], catch_exceptions=False)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
