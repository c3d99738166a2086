"""The embedded engine against recordings of the CLI: the same requests to providers, the same state."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi import automation as auto

from tests.sandbox.engine.conftest import DATA, World

CALLS: dict[str, list[dict[str, Any]]] = json.loads((DATA / "calls.json").read_text())
STATES: dict[str, dict[str, Any]] = json.loads((DATA / "states.json").read_text())
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_RANDOM = {"randomSeed", "resourceStatusAddress", "resourceStatusToken", "timeout"}
_CONVERSATION = {"Handshake", "GetPluginInfo", "Cancel"}
_MUTATIONS = {"Create", "Update", "Delete"}


def _normal(value: Any) -> Any:
    """Ids that are made up anew each time, times and ciphertexts do not count."""
    if isinstance(value, dict):
        if "ciphertext" in value:
            return {**value, "ciphertext": "…"}
        return {
            key: _normal(item) for key, item in value.items() if key not in _RANDOM | {"created", "modified"}
        }
    if isinstance(value, list):
        items = [_normal(item) for item in value]
        return sorted(items) if all(isinstance(item, str) for item in items) else items
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return _UUID.sub(lambda match: match[0] if match[0] == _UNKNOWN else "UUID", value)
    return value


def _filled(request: dict[str, Any]) -> dict[str, Any]:
    """A request as a dictionary leaves out what is empty; the recordings write some of it."""
    return {key: value for key, value in request.items() if value not in ({}, "", False)}


def _by_resource(calls: list[dict[str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    """The requests about each resource, in their order."""
    result: dict[str, list[tuple[str, Any]]] = {}
    for call in calls:
        if call["method"] not in _CONVERSATION:
            request = _filled(_normal(_camel(call["request"])))
            result.setdefault(request["urn"], []).append((call["method"], request))
    return result


def _camel(request: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"_(\w)", lambda match: match[1].upper(), key): value for key, value in request.items()}


def _mutations(calls: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What is changed, in its order; the route depends on nothing that comes late, so its place is free."""
    return [
        (call["method"], call["request"]["urn"])
        for call in calls
        if call["method"] in _MUTATIONS and not call["request"]["urn"].endswith("::extra")
    ]


@pytest.fixture
def stack(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[auto.Stack]:
    for key, value in world.environment.items():
        monkeypatch.setenv(key, value)
    result = auto.create_or_select_stack("inner", work_dir=str(world.project))
    result.set_config("token", auto.ConfigValue("s3cret", secret=True))
    yield result
    assert os.environ["PULUMI_HOME"] == world.environment["PULUMI_HOME"]


def _exported(world: World) -> dict[str, Any]:
    return dict(json.loads(world.run("stack", "export").stdout))


def _compare(name: str, world: World) -> None:
    calls = world.calls()
    assert _by_resource(calls) == _by_resource(CALLS[name])
    assert _mutations(calls) == _mutations(CALLS[name])
    started = [call["provider"] for call in calls if call["method"] == "Handshake"]
    assert sorted(started) == sorted(
        call["provider"] for call in CALLS[name] if call["method"] == "Handshake"
    )

    ours, theirs = _exported(world), STATES[name]
    assert ours["version"] == theirs["version"]
    for key in ("magic", "version"):
        assert ours["deployment"]["manifest"][key] == theirs["deployment"]["manifest"][key]
    assert ours["deployment"]["secrets_providers"]["type"] == "passphrase"
    ours, theirs = (state["deployment"].get("resources", []) for state in (ours, theirs))
    _assert_ordered(ours)
    assert {item["urn"]: _normal(item) for item in ours} == {item["urn"]: _normal(item) for item in theirs}


def _assert_ordered(resources: list[dict[str, Any]]) -> None:
    present: set[str] = set()
    for resource in resources:
        needed = {resource.get("parent", ""), *resource.get("dependencies", [])}
        needed.add(resource.get("provider", "").rpartition("::")[0])
        assert needed - {""} <= present
        present.add(resource["urn"])


def test_nine_situations(world: World, stack: auto.Stack) -> None:
    events: list[Any] = []
    assert stack.preview().change_summary == {"create": 6}
    _compare("1-preview-create", world)

    result = stack.up(on_event=events.append)
    assert result.summary.resource_changes == {"create": 6}
    assert result.outputs["copied"].value == 1
    assert (result.outputs["token"].value, result.outputs["token"].secret) == ("s3cret", True)
    created = {e.resource_pre_event.metadata.type for e in events if e.resource_pre_event}
    assert "gcp:compute/network:Network" in created
    assert not any(type_.startswith("pulumi:providers:") for type_ in created)
    _compare("2-up-create", world)

    assert stack.preview().change_summary == {"same": 6}
    _compare("3-preview-same", world)

    stack.set_config("more", auto.ConfigValue("true"))
    assert stack.up().summary.resource_changes == {"update": 1, "same": 5}
    _compare("4-up-update", world)

    stack.set_config("subnet", auto.ConfigValue("subnet-two"))
    assert stack.preview().change_summary == {"replace": 2, "same": 4}
    _compare("5-preview-replace", world)

    assert stack.up().summary.resource_changes == {"replace": 2, "same": 4}
    _compare("6-up-replace", world)

    stack.set_config("noextra", auto.ConfigValue("true"))
    assert stack.up().summary.resource_changes == {"delete": 1, "same": 5}
    _compare("7-up-delete", world)

    assert stack.refresh().summary.resource_changes == {"same": 5}
    _compare("8-refresh", world)

    assert stack.destroy().summary.resource_changes == {"delete": 5}
    _compare("9-destroy", world)
    assert world.store() == {}
    assert [update.kind for update in stack.history()] == [
        "destroy", "refresh", "update", "update", "update", "update",
    ]  # fmt: skip
