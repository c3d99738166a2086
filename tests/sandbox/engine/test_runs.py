"""What runs do beyond the recordings."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from typing import Any

import pulumi
import pytest
from pulumi import automation as auto

from tests.sandbox.engine.conftest import World

SYNC = """
from pkg.sync import Sync
packages = pulumi.Config().require_object("packages")
Sync("packages", packages, "here")
"""


def _by_name(world: World) -> dict[str, dict[str, Any]]:
    return {item["urn"].rpartition("::")[2]: item for item in world.resources()}


def test_a_failing_create_leaves_the_rest_saved(world: World) -> None:
    world.program(
        "a = gcp.Network('a', name='a')\n"
        "b = gcp.Network('b', name='b', fail='quota exceeded', opts=pulumi.ResourceOptions(depends_on=[a]))\n"
        "gcp.Network('c', name='c', opts=pulumi.ResourceOptions(depends_on=[b]))\n"
    )
    result = world.up(check=False)
    assert result.returncode == 1
    assert "gcp:compute:Network (b):\n    error: quota exceeded" in result.stdout
    assert "update failed" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert _by_name(world).keys() == {"a"}
    assert world.store().keys() == {"projects/inner/a"}
    assert json.loads(world.run("history", "--json").stdout)[0]["result"] == "failed"

    world.program("gcp.Network('a', name='a')\ngcp.Network('b', name='b')\n")
    assert "+ 1 created" in world.up().stdout


def test_create_before_delete_and_what_a_failure_leaves(world: World) -> None:
    world.program("gcp.Network('a', name='one')\n")
    world.up()
    world.calls()
    world.program("gcp.Network('a', name='two')\n")
    assert "+-1 replaced" in world.up().stdout
    changes = [call["method"] for call in world.calls() if call["method"] in ("Create", "Delete")]
    assert changes == ["Create", "Delete"]
    assert world.store().keys() == {"projects/inner/two"}
    assert [item["id"] for item in world.resources()] == ["projects/inner/two"]


def test_protected_resources_stay(world: World) -> None:
    world.program("gcp.Network('a', name='a', opts=pulumi.ResourceOptions(protect=True))\n")
    world.up()
    result = world.run("destroy", "--yes", "--skip-preview", check=False)
    assert result.returncode == 1
    assert "because it is protected" in result.stdout
    world.program("gcp.Network('a', name='b', opts=pulumi.ResourceOptions(protect=True))\n")
    result = world.up(check=False)
    assert result.returncode == 1
    assert "marked for protection" in result.stdout
    assert world.store().keys() == {"projects/inner/a"}
    world.program("gcp.Network('a', name='a', opts=pulumi.ResourceOptions(protect=False))\n")
    world.up()
    world.run("destroy", "--yes")
    assert world.store() == {}


def test_preview_diff_has_a_line_for_each_entry(world: World) -> None:
    world.program(SYNC)
    file = world.project / "Pulumi.inner.yaml"
    file.write_text("config:\n  demo:packages: {pypi/jax: '0.1 a', pypi/old: '1 x', apt/vim: '9 v'}\n")
    world.up()
    before = world.state_file.read_bytes()
    file.write_text("config:\n  demo:packages: {pypi/jax: '0.2 b', pypi/new: '2 y', apt/vim: '9 v'}\n")
    lines = [line.strip() for line in world.run("preview", "--diff").stdout.splitlines()]
    assert '~ pypi/jax: "0.1 a" => "0.2 b"' in lines
    assert '+ pypi/new: "2 y"' in lines
    assert '- pypi/old: "1 x"' in lines
    assert not any("apt/vim" in line for line in lines)
    assert world.state_file.read_bytes() == before


def test_secrets_are_masked_and_encrypted(world: World) -> None:
    world.program(
        "a = gcp.Network('a', name='a', password=pulumi.Output.secret('hunter2'), plain='seen')\n"
        "b = gcp.Network('b', name='b', note='topsecret', "
        "opts=pulumi.ResourceOptions(additional_secret_outputs=['note']))\n"
        "pulumi.export('password', a.link.apply(lambda _: pulumi.Output.secret('hunter2')))\n"
    )
    shown = world.run("preview", "--diff").stdout + world.up("--diff").stdout
    assert "[secret]" in shown
    state = world.state_file.read_text()
    for text in (shown, state):
        assert "hunter2" not in text
        assert "seen" in text
    assert state.count("topsecret") == 1  # the input is not secret, only the output is
    assert world.run("stack", "output", "password", "--show-secrets").stdout == "hunter2\n"


def test_stack_references(world: World) -> None:
    world.program("pulumi.export('url', 'https://x')\npulumi.export('key', pulumi.Output.secret('k3y'))\n")
    world.run("stack", "init", "outer")
    world.up("--stack", "outer")
    world.program(
        "me = pulumi.StackReference('me', stack_name='organization/demo/inner')\n"
        "other = pulumi.StackReference('organization/demo/outer')\n"
        "pulumi.export('url', other.require_output('url'))\n"
        "pulumi.export('key', other.get_output('key'))\n"
        "pulumi.export('before', me.get_output('before').apply(lambda n: (n or 0) + 1))\n"
    )
    for expected in ("1", "2"):
        world.up("--stack", "inner")
        output = world.run("stack", "output", "--json", "--stack", "inner").stdout
        assert json.loads(output) == {"before": int(expected), "key": "[secret]", "url": "https://x"}
    reference = _by_name(world)["organization/demo/outer"]
    assert reference["external"] is True
    assert "k3y" not in world.state_file.read_text()
    assert "2 " not in world.run("preview", "--stack", "inner", "--json").stderr


def test_a_missing_referenced_stack_is_one_clear_error(world: World) -> None:
    world.program("pulumi.StackReference('organization/demo/none')\n")
    result = world.run("preview", check=False)
    assert result.returncode == 1
    assert 'error: unknown stack "organization/demo/none"' in result.stdout
    assert "pulumi up --stack none" in result.stdout
    assert "Traceback" not in result.stdout


def test_refresh_takes_over_what_is_really_there(world: World) -> None:
    world.program("gcp.Network('a', name='a', size='1')\ngcp.Network('b', name='b')\n")
    world.up()
    drift = json.dumps({"projects/inner/a": {"size": "2"}})
    environment = {"ENGINE_TEST_DRIFT": drift, "ENGINE_TEST_GONE": "projects/inner/b"}
    preview = world.run("refresh", "--preview-only", "--diff", environment=environment).stdout
    assert '~ size: "1" => "2"' in preview
    assert _by_name(world).keys() == {"a", "b"}
    world.run("refresh", "--yes", "--skip-preview", environment=environment)
    resources = _by_name(world)
    assert resources.keys() == {"a"}
    assert resources["a"]["inputs"]["size"] == "2"
    result = world.up("--refresh", "--diff", environment={"ENGINE_TEST_DRIFT": drift})
    assert '~ size: "2" => "1"' in result.stdout
    assert "+ 1 created" in result.stdout


def test_options_that_are_implemented(world: World) -> None:
    world.program(
        "gcp.Network('old', name='a', size='1', labels={'x': '1'})\n"
        "gcp.Network('kept', name='kept', opts=pulumi.ResourceOptions(retain_on_delete=True))\n"
        "o = gcp.Network('owner', name='owner')\n"
        "gcp.Network('with', name='with', opts=pulumi.ResourceOptions(deleted_with=o))\n"
    )
    world.up()
    world.calls()
    world.program(
        "gcp.Network('new', name='a', size='2', labels={'x': '2'}, opts=pulumi.ResourceOptions("
        "aliases=[pulumi.Alias(name='old')], ignore_changes=['size', 'labels.x'], "
        "custom_timeouts=pulumi.CustomTimeouts(delete='1h30m')))\n"
    )
    summary = world.up().stdout
    assert "- 3 deleted" in summary
    assert "1 unchanged" not in summary.replace("2 unchanged", "")
    deleted = {call["request"]["id"] for call in world.calls() if call["method"] == "Delete"}
    assert deleted == {"projects/inner/owner"}
    resource = _by_name(world)["new"]
    assert (resource["inputs"]["size"], resource["inputs"]["labels"]) == ("1", {"x": "1"})
    assert resource["customTimeouts"] == {"delete": 5400.0}

    world.program(
        "gcp.Network('new', name='a', size='3', opts=pulumi.ResourceOptions(replace_on_changes=['size']))\n"
    )
    assert "+-1 replaced" in world.up().stdout


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("import_='projects/inner/a'", "import_"),
        ("replace_with=[]+[other]", "ReplaceWith"),
        ("transforms=[lambda a: None]", "transforms"),
        ("hide_diffs=['size']", "hide_diffs"),
        ("plugin_download_url='https://x.invalid'", "plugin_download_url"),
        ("custom_timeouts=pulumi.CustomTimeouts(create='soon')", "soon"),
    ],
)
def test_options_that_are_refused_by_name(world: World, option: str, named: str) -> None:
    world.program(
        "other = gcp.Network('other', name='other')\n"
        f"gcp.Network('a', name='a', opts=pulumi.ResourceOptions({option}))\n"
    )
    result = world.run("preview", check=False)
    assert result.returncode == 1
    assert named in result.stdout


def test_invalid_inputs_are_said_well(world: World) -> None:
    world.program("gcp.Network('a', name='a', invalid='must not be set')\n")
    result = world.up(check=False)
    assert result.returncode == 1
    assert (
        "error: gcp:compute/network:Network resource 'a': property invalid value 'must not be set' "
        "has a problem: must not be set"
    ) in result.stdout
    assert world.store() == {}


def test_invokes_reach_the_provider(world: World) -> None:
    world.program("r = pulumi.runtime.invoke('gcp:test/echo:echo', {'a': 1})\npulumi.export('r', r.value)\n")
    world.up()
    assert json.loads(world.run("stack", "output", "--json").stdout) == {"r": {"a": 1}}


def test_an_unhandled_exception_shows_the_programs_own_frames(world: World) -> None:
    world.program("def f():\n    raise ValueError('boom')\nf()\n")
    result = world.run("preview", check=False)
    assert result.returncode == 1
    assert "Program failed with an unhandled exception" in result.stdout
    assert "ValueError: boom" in result.stdout
    assert "sandbox/engine" not in result.stdout


def test_a_missing_plugin_is_one_clear_error(world: World) -> None:
    world.program("pulumi.CustomResource('aws:s3/bucket:Bucket', 'b', {})\n")
    result = world.run("preview", check=False)
    assert result.returncode == 1
    assert "no resource plugin 'pulumi-resource-aws' found on PATH" in result.stdout


def _wait_for(world: World, method: str) -> None:
    for _ in range(600):
        if any(call["method"] == method for call in world.calls()):
            return
        time.sleep(0.1)
    raise AssertionError(f"no {method} came")


def test_an_interrupt_ends_the_run_in_order(world: World) -> None:
    world.program(
        "a = gcp.Network('a', name='a', slow=3)\n"
        "gcp.Network('b', name='b', opts=pulumi.ResourceOptions(depends_on=[a]))\n"
    )
    process = world.start("up", "--yes", "--skip-preview")
    _wait_for(world, "Create")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 8
    assert "canceled" in output
    assert world.store().keys() == {"projects/inner/a"}
    assert _by_name(world).keys() == {"a"}
    assert not list((world.folder / "state/.pulumi/locks").glob("**/*.json"))


def test_a_killed_run_leaves_a_lock_that_is_recognised(world: World) -> None:
    world.program("gcp.Network('a', name='a', slow=30)\n")
    process = world.start("up", "--yes", "--skip-preview")
    _wait_for(world, "Create")
    (lock,) = (world.folder / "state/.pulumi/locks").glob("**/*.json")
    held = world.up(check=False)
    assert held.returncode == 1
    assert "the stack is currently locked by 1 lock(s)" in held.stderr
    process.kill()
    process.communicate(timeout=60)
    assert lock.exists()
    assert json.loads(world.state_file.read_text())["checkpoint"]["latest"]["pending_operations"]
    world.program("gcp.Network('a', name='a')\n")
    result = world.up()
    assert "interrupted while creating" in result.stdout
    assert not lock.exists()
    world.run("refresh", "--yes", "--clear-pending-creates")
    assert "pending_operations" not in json.loads(world.state_file.read_text())["checkpoint"]["latest"]


def test_the_lock_of_another_host_is_respected(world: World) -> None:
    folder = world.folder / "state/.pulumi/locks/organization/demo/inner"
    folder.mkdir(parents=True, exist_ok=True)
    lock = {
        "pid": 1,
        "username": "u",
        "hostname": f"not-{socket.gethostname()}",
        "timestamp": "2026-01-01T00:00:00Z",
    }
    (folder / "other.json").write_text(json.dumps(lock))
    world.program("")
    assert world.up(check=False).returncode == 1
    world.run("cancel", "--yes")
    world.up()


def test_nothing_outlives_a_run(world: World) -> None:
    world.program("gcp.Network('a', name='a')\n")
    world.up()
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(world.folder) not in listed


def test_inline_programs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in world.environment.items():
        monkeypatch.setenv(key, value)

    def program() -> None:
        pulumi.export("answer", 42)

    options = auto.LocalWorkspaceOptions(work_dir=str(world.project))
    stack = auto.create_or_select_stack("inline", project_name="demo", program=program, opts=options)
    lines: list[str] = []
    result = stack.up(on_output=lines.append)
    assert result.outputs["answer"].value == 42
    assert any("1 created" in line for line in lines)


def test_preview_json(world: World) -> None:
    world.program("gcp.Network('a', name='a')\n")
    digest = json.loads(world.run("preview", "--json").stdout)
    assert digest["changeSummary"] == {"create": 2}
    assert [step["op"] for step in digest["steps"]] == ["create", "create"]
