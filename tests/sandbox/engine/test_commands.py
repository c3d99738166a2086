"""Commands that run no program: stacks, configuration, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pulumi import automation as auto

from sandbox.engine.cli import run
from sandbox.engine.errors import ConfigurationError
from sandbox.engine.project import find_project, load_stack_config, validate
from tests.sandbox.engine.conftest import DATA, World


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["up", "--target", "x"], "--target"),
        (["preview", "--policy-pack", "p"], "--policy-pack"),
        (["up", "--yes", "--continue-on-error"], "--continue-on-error"),
        (["refresh", "--run-program=true"], "--run-program"),
        (["destroy", "--yes", "--exclude-protected"], "--exclude-protected"),
        (["stack", "output", "--shell"], "--shell"),
        (["stack", "tag", "ls"], "tag"),
        (["config", "refresh"], "refresh"),
        (["import"], "import"),
        (["--verbose", "9", "up"], "--verbose"),
        (["plugin", "ls"], "plugin"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.splitlines()) == 1


def test_automation_accepts_the_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", world.environment["PATH"])
    monkeypatch.setenv("PYTHONPATH", world.environment["PYTHONPATH"])
    version = auto.PulumiCommand().version
    assert version is not None
    assert (version.major, version.prerelease) == (3, "embedded")


def test_automation_on_stacks_and_configuration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in world.environment.items():
        monkeypatch.setenv(key, value)
    workspace = auto.LocalWorkspace(work_dir=str(world.project))
    with pytest.raises(auto.errors.StackAlreadyExistsError):
        auto.Stack.create("inner", workspace)
    with pytest.raises(auto.errors.StackNotFoundError):
        auto.Stack.select("none", workspace)
    stack = auto.Stack.create_or_select("other", workspace)
    assert {(s.name, s.current) for s in workspace.list_stacks()} == {("inner", False), ("other", True)}

    stack.set_all_config(
        {
            "a": auto.ConfigValue("1"),
            "dmz:b": auto.ConfigValue("x y"),
            "c": auto.ConfigValue("hidden", secret=True),
        }
    )
    stack.set_config("list[0].name", auto.ConfigValue("first"), path=True)
    config = stack.get_all_config()
    assert {key: (item.value, item.secret) for key, item in config.items()} == {
        "demo:a": ("1", False),
        "dmz:b": ("x y", False),
        "demo:c": ("hidden", True),
        "demo:list": ('[{"name":"first"}]', False),
    }
    assert stack.get_config("list[0].name", path=True).value == "first"
    assert "hidden" not in (world.project / "Pulumi.other.yaml").read_text()
    assert "hidden" not in world.run("config", "--stack", "other").stdout
    stack.remove_config("a")
    assert "demo:a" not in stack.get_all_config()
    assert workspace.who_am_i().url == world.environment["PULUMI_BACKEND_URL"]

    workspace.remove_stack("other")
    assert [s.name for s in workspace.list_stacks()] == ["inner"]
    assert not (world.project / "Pulumi.other.yaml").exists()


def test_salt_is_written_with_the_first_secret_only(world: World) -> None:
    file = world.project / "Pulumi.inner.yaml"
    world.run("config", "set", "a", "1")
    assert "encryptionsalt" not in file.read_text()
    world.run("config", "set", "--secret", "b", "2")
    salt = json.loads(world.state_file.read_text())["checkpoint"]["latest"]["secrets_providers"]["state"][
        "salt"
    ]
    assert f"encryptionsalt: {salt}" in file.read_text()
    wrong = world.run(
        "config", "--show-secrets", check=False, environment={"PULUMI_CONFIG_PASSPHRASE": "wrong"}
    )
    assert wrong.returncode == 2
    assert "incorrect passphrase" in wrong.stderr


def _schema(world: World, text: str) -> None:
    (world.project / "Pulumi.yaml").write_text(f"name: demo\nruntime: python\nconfig:\n{text}")


def test_missing_configuration_is_one_line(world: World) -> None:
    _schema(world, "  side: {type: string}\n  size: {type: integer, default: 3}\n")
    result = world.run("preview", check=False)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "Stack 'inner' is missing configuration value 'demo:side'" in line
    assert "pulumi config set" in line
    assert result.stdout == ""
    assert world.run("config", "get", "size").stdout == "3\n"


@pytest.mark.parametrize(
    ("type_", "value", "good"),
    [
        ("integer", "3", True),
        ("integer", "three", False),
        ("boolean", "true", True),
        ("boolean", "yes please", False),
        ("array, items: {type: string}", "text", False),
        ("object", "text", False),
        ("string", "text", True),
    ],
)
def test_types_of_configuration(tmp_path: Path, type_: str, value: str, good: bool) -> None:
    (tmp_path / "Pulumi.yaml").write_text(f"name: demo\nruntime: python\nconfig:\n  key: {{type: {type_}}}\n")
    (tmp_path / "Pulumi.inner.yaml").write_text(f"config:\n  demo:key: {json.dumps(value)}\n")
    project = find_project(tmp_path)
    config = load_stack_config(project, "inner")
    if good:
        validate(project, "inner", config, str)
    else:
        with pytest.raises(ConfigurationError, match=f"must be of type '{type_.split(',')[0]}"):
            validate(project, "inner", config, str)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: demo\nruntime: nodejs\n", "Python programs only"),
        ("name: demo\nruntime: python\nplugins: {}\n", "does not implement plugins"),
        ("runtime: python\n", "'name'"),
        ("name: demo\nruntime: python\nconfig:\n  a: {type: number}\n", "none of"),
        (
            "name: demo\nruntime: python\nconfig:\n  a: {type: integer, default: x}\n",
            "default is not of the type",
        ),
        ("name: demo\nruntime: python\nconfig:\n  a: {kind: integer}\n", "unknown attribute kind"),
        ("name: [\n", "not valid YAML"),
    ],
)
def test_a_bad_project_is_one_line(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.yaml").write_text(text)
    assert run(["preview", "--cwd", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_cli_state_is_carried_on(world: World, tmp_path: Path) -> None:
    """What the CLI exported is imported, found unchanged, and exported with the same content."""
    state = json.loads((DATA / "states.json").read_text())["2-up-create"]
    file = tmp_path / "exported.json"
    file.write_text(json.dumps(state))
    world.run("stack", "import", "--file", str(file))
    world.run("config", "set", "--secret", "token", "s3cret")
    assert world.run("stack", "output", "token", "--show-secrets").stdout == "s3cret\n"
    assert "s3cret" not in world.run("stack", "output").stdout
    preview = world.run("preview", "--expect-no-changes").stdout
    assert "6 unchanged" in preview
    again = json.loads(world.run("stack", "export", "--show-secrets").stdout)
    assert {item["urn"] for item in again["deployment"]["resources"]} == {
        item["urn"] for item in state["deployment"]["resources"]
    }
    assert again["deployment"]["resources"][0]["outputs"]["token"]["plaintext"] == '"s3cret"'


def test_import_refuses_what_it_cannot_carry_on(world: World, tmp_path: Path) -> None:
    before = world.state_file.read_bytes()
    state = json.loads((DATA / "states.json").read_text())["2-up-create"]
    state["deployment"]["resources"][0]["viewOf"] = "x"
    file = tmp_path / "exported.json"
    file.write_text(json.dumps(state))
    result = world.run("stack", "import", "--file", str(file), check=False)
    assert result.returncode == 1
    assert "viewOf" in result.stderr
    assert world.state_file.read_bytes() == before


def test_a_missing_stack_has_its_exit_code(world: World) -> None:
    result = world.run("preview", "--stack", "none", check=False)
    assert result.returncode == 6
    assert result.stderr == "error: no stack named 'none' found\n"


def test_unattended_updates_need_consent(world: World) -> None:
    result = world.run("up", check=False)
    assert result.returncode == 2
    assert "--yes" in result.stderr


def test_the_layout_is_the_clis(world: World) -> None:
    root = world.folder / "state/.pulumi"
    assert (root / "meta.yaml").read_text() == "version: 1\n"
    content = json.loads(world.state_file.read_text())
    assert content["version"] == 3
    assert content["checkpoint"]["stack"] == "organization/demo/inner"
    assert not list((root / "locks").glob("**/*.json"))
