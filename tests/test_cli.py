"""The command line: bad input is one line and exit code 2, and nothing comes up for it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dmz import targets
from dmz.cli import cli

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configuration; a target that comes up fails the test."""

    def never(name: str, progress: object) -> None:
        raise AssertionError(f"{name} came up")

    monkeypatch.setattr(targets, "enter", never)
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "workloads", tmp_path / "workloads")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def refused(result: Result) -> str:
    """The one line of a call that was refused as bad input."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert "Traceback" not in result.output
    return lines[0]


@pytest.mark.parametrize(
    "command",
    [
        "advisories show",
        "advisories update",
        "archive prune",
        "archive show",
        "attest",
        "discover",
        "mend",
        "plan",
        "policy check",
        "policy explain",
        "promote",
        "release diff",
        "release list",
        "release use",
        "run",
        "screen",
        "status",
        "verify",
    ],
)
def test_every_command_has_help_that_says_what_it_does(command: str) -> None:
    result = call(*command.split(), "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


def test_the_list_of_commands_has_all_of_them_with_a_whole_sentence() -> None:
    listed = call("--help").output.partition("Commands:")[2].split("\n")
    rows = dict(line.split(None, 1) for line in listed if line.strip())
    commands = (
        "advisories archive attest discover journal mend plan policy promote release run sandbox screen "
        "status verify withdraw"
    )
    assert list(rows) == commands.split()
    assert all(sentence.rstrip().endswith(".") and "..." not in sentence for sentence in rows.values())


def test_help_names_the_exit_codes_and_the_sandbox() -> None:
    output = call("--help").output
    assert "Exit codes" in output
    assert "sandbox" in output


def test_an_unsafe_value_is_refused_where_it_stands(checkout: Path) -> None:
    path = checkout / "Pulumi.inner.yaml"
    path.write_text(path.read_text().replace("10.0.1.0/24", "199.36.153.0/24"))
    assert "Pulumi.inner.yaml: dmz:subnet" in refused(call("run"))


@pytest.mark.parametrize(
    ("given", "instead", "said"),
    [
        ("10.0.1.0/24", "10.0.0.0/23", "dmz:subnet: 10.0.0.0/23 overlaps the outer side's 10.0.0.0/24"),
        ("dmz:project: dmz-inner", "dmz:project: dmz-outer", "dmz:project"),
        ("organization/dmz/outer", "organization/dmz/other", "dmz:outerStack"),
        (
            "dmz:subnet",
            "dmz:location: europe-west4\n  dmz:zone: europe-west4-a\n  dmz:subnet",
            "dmz:location",
        ),
        ("dmz:subnet", "dmz:workload: workloads/maxtext.toml\n  dmz:subnet", "dmz:workload"),
    ],
)
def test_sides_that_do_not_belong_together_are_refused_before_one_is_up(
    checkout: Path, given: str, instead: str, said: str
) -> None:
    path = checkout / "Pulumi.inner.yaml"
    path.write_text(path.read_text().replace(given, instead, 1))
    line = refused(call("run"))
    assert "Pulumi.inner.yaml" in line
    assert said in line


def test_a_folder_of_locks_that_leads_out_of_the_checkout_is_refused(checkout: Path) -> None:
    (checkout / "releases").symlink_to("/etc")
    assert "leads out of the checkout" in refused(call("plan"))


def test_a_key_that_does_not_exist_is_refused_with_the_one_that_does(checkout: Path) -> None:
    path = checkout / "Pulumi.outer.yaml"
    path.write_text(path.read_text().replace("dmz:operators", "dmz:operator"))
    assert "did you mean dmz:operators" in refused(call("run"))


def test_a_workload_with_an_unknown_key_is_refused(checkout: Path) -> None:
    path = checkout / "workloads/small.toml"
    path.write_text('pyhton = ["six"]\n' + path.read_text())
    line = refused(call("screen"))
    assert "small.toml" in line
    assert "pyhton" in line


@pytest.mark.parametrize("name", ["", "/", "a b", "\udcff", "npm/numpy", "pypi/", "../x"])
def test_what_is_no_package_is_refused(checkout: Path, name: str) -> None:
    assert "write a name, pypi/NAME or apt/NAME" in refused(call("policy", "explain", name))


def test_a_folder_for_the_output_that_is_not_there_is_refused_before_anything_is_asked(
    checkout: Path,
) -> None:
    assert "make it first" in refused(call("discover", "-o", "nowhere/inventory.json"))


@pytest.mark.parametrize("command", ["diff", "use"])
def test_a_release_whose_name_is_too_long_for_a_file_is_refused(checkout: Path, command: str) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    refused(call("release", command, "a" * 5000))


def test_what_the_system_refuses_is_one_line(checkout: Path) -> None:
    result = call("advisories", "show", "a" * 5000)
    assert result.exit_code == 1
    [line] = [each for each in result.stderr.splitlines() if each.startswith("dmz:")]
    assert "File name too long" in line
    assert len(line) < 300


def test_a_folder_without_the_program_is_refused(tmp_path: Path) -> None:
    assert "no Pulumi.yaml" in refused(call("-C", str(tmp_path), "plan"))


def test_a_target_that_does_not_exist_is_refused() -> None:
    assert "choose one of" in refused(call("-C", str(ROOT), "--target", "moon", "plan"))
