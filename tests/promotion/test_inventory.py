from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.promotion import inventory, workload
from dmz.promotion.inventory import Failure, Inventory
from tests.promotion.builders import image

FINE: dict[str, Any] = {
    "schema": 1,
    "workload": "small",
    "workload_digest": "a" * 64,
    "machine": "dmz-outer",
    "created": "2026-11-22T10:29:00Z",
    "base_image": {
        "runtime": "sandbox-debian-12",
        "dpkg_digest": "b" * 64,
        "python": "3.11.2",
        "architecture": "amd64",
        "glibc": "2.36",
    },
    "apt": [
        {
            "name": "libjq1",
            "version": "1.6-2.1+deb12u1",
            "architecture": "amd64",
            "source": "jq",
            "source_version": "1.6-2.1+deb12u1",
            "requested": False,
        }
    ],
    "pypi": [
        {
            "name": "jax",
            "version": "0.4.1",
            "filename": "jax-0.4.1-py3-none-any.whl",
            "requested": True,
            "required_by": ["flax"],
            "built": False,
            "sha256": "c" * 64,
        }
    ],
    "files": [{"name": "data.tgz", "sha256": "d" * 64, "size": 3}],
    "probes": [{"name": "tcp", "target": "203.0.113.1:443", "observed": "reached", "detail": "ok"}],
}


def read(document: Any) -> Inventory | Failure:
    return inventory.parse(json.dumps(document).encode(), "inventories/x.json")


def test_a_complete_inventory() -> None:
    found = read(FINE)
    assert isinstance(found, Inventory)
    assert found.apt[0].source == "jq"
    assert found.pypi[0].required_by == ("flax",)
    assert found.files[0].size == 3
    assert found.probes[0].observed == "reached"


def test_names_are_normalised() -> None:
    document = copy.deepcopy(FINE)
    document["pypi"][0]["name"] = "JAX"
    document["pypi"][0]["required_by"] = ["Flax_X"]
    found = read(document)
    assert isinstance(found, Inventory)
    assert (found.pypi[0].name, found.pypi[0].required_by) == ("jax", ("flax-x",))


@pytest.mark.parametrize(
    ("built", "sdist", "fits"), [(True, "a" * 64, True), (True, "", False), (False, "a" * 64, False)]
)
def test_a_wheel_that_was_built_names_its_sdist(built: bool, sdist: str, fits: bool) -> None:
    document = copy.deepcopy(FINE)
    document["pypi"][0] |= {"built": built, "sdist": sdist}
    if fits:
        found = read(document)
        assert isinstance(found, Inventory)
        assert found.pypi[0].sdist == sdist
    else:
        with pytest.raises(InputError, match="is built from an sdist or not"):
            read(document)


def test_a_failure_is_another_type_and_its_words_are_harmless() -> None:
    failed = {key: FINE[key] for key in ("schema", "workload", "workload_digest", "machine", "created")}
    found = read(failed | {"error": "no network\x1b[2J\nat all" + "x" * 999})
    assert isinstance(found, Failure)
    assert found.error.startswith("no network?[2J at all")
    assert len(found.error) <= 300


def change(where: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(document: Any) -> None:
        *path, last = [int(part) if part.isdigit() else part for part in where.split(".")]
        for part in path:
            document = document[part]
        document[last] = value

    return apply


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("schema", 2, "schema"),
        ("schema", True, "schema"),
        ("surprise", 1, "unknown key 'surprise'"),
        ("workload", "../x", "workload"),
        ("workload_digest", "zz", "SHA-256"),
        ("created", "yesterday", "created"),
        ("base_image.python", "three", "base_image.python"),
        ("apt.0.name", "JQ", "Debian package name"),
        ("apt.0.version", "1 6", "Debian version"),
        ("apt.0.version", "1.6\n", "Debian version"),
        ("apt.0.requested", 1, "requested"),
        ("apt", [FINE["apt"][0]] * 2, "stands twice"),
        ("pypi.0.name", "../etc", "distribution name"),
        ("pypi.0.version", "0.4.1\n", "no version"),
        ("pypi.0.version", "0.4.2", "is not jax 0.4.2"),
        ("pypi.0.filename", "../jax-0.4.1-py3-none-any.whl", "plain file name"),
        ("pypi.0.filename", "jax-0.4.1.tar.gz", "no wheel"),
        ("pypi.0.filename", "evil-0.4.1-py3-none-any.whl", "is not jax"),
        ("pypi", [FINE["pypi"][0]] * 2, "stands twice"),
        ("files.0.name", "a/b", "plain file name"),
        ("files.0.name", "..", "plain file name"),
        ("files.0.size", -1, "size"),
        ("files.0.size", 1.5, "size"),
        ("files", [FINE["files"][0]] * 2, "stands twice"),
        ("probes.0.observed", "maybe", "observed"),
    ],
)
def test_what_does_not_fit_is_refused(where: str, value: Any, said: str) -> None:
    document = copy.deepcopy(FINE)
    change(where, value)(document)
    with pytest.raises(InputError) as refusal:
        read(document)
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("inventories/x.json: ")


@pytest.mark.parametrize("key", sorted(FINE))
def test_every_key_is_needed(key: str) -> None:
    with pytest.raises(InputError, match="is missing"):
        read({name: value for name, value in FINE.items() if name != key})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"error":' * 100_000,
        b'{"schema":1,"schema":1}',
        b'{"schema":' + b"9" * 5000 + b"}",
        b'{"schema":NaN}',
        b'{"workload":"\\ud800","error":"\\ud800"}',
        b" " * (16 * 1024 * 1024 + 1),
        b"null",
        b'"error"',
    ],
)
def test_odd_bytes_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(InputError) as refusal:
        inventory.parse(data, "x.json")
    assert str(refusal.value).isprintable()


def test_a_key_that_stands_twice_is_refused() -> None:
    twice = json.dumps(FINE)[:-1] + ', "machine": "other"}'
    with pytest.raises(InputError, match="stands twice"):
        inventory.parse(twice.encode(), "x.json")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_inventory_or_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        inventory.parse(data, "x.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(where=st.sampled_from([*FINE, *(f"{part}.0.{key}" for part in ("apt", "pypi", "files", "probes")
                                       for key in FINE[part][0])]),
       value=json_values)  # fmt: skip
def test_any_value_anywhere_passes_whole_or_is_refused(where: str, value: Any) -> None:
    document = copy.deepcopy(FINE)
    change(where, value)(document)
    try:
        found = read(document)
    except InputError as refusal:
        said = str(refusal)
    else:
        said = "fine"
        assert isinstance(found, Inventory)
    assert said.isprintable()


WORKLOAD = workload.parse(
    """
    name = "small"
    summary = "x"
    base-image = "sandbox-debian-12"
    apt = ["jq"]
    python = ["Jax>=0.4", "tomli; python_version < '3.11'"]
    check = "true"
    [[file]]
    name = "data.tgz"
    address = "https://files.example.com/data.tgz"
    sha256 = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
    """,
    "workloads/small.toml",
)


def answering(**changes: Any) -> Inventory:
    """An inventory that answers what the workload asks, but for the changes."""
    document = {**FINE, "workload_digest": workload.workload_digest(WORKLOAD), **changes}
    found = read(document)
    assert isinstance(found, Inventory)
    return found


def test_an_inventory_that_answers_the_workload_passes() -> None:
    inventory.check(answering(), WORKLOAD, image(), "x.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workload": "other"}, "its workload is 'other'"),
        ({"workload_digest": "0" * 64}, "its workload digest"),
        ({"base_image": {**FINE["base_image"], "runtime": "tpu-ubuntu2204-base"}}, "its base image"),
        ({"base_image": {**FINE["base_image"], "python": "3.10.9"}}, "its Python is '3.10'"),
        ({"base_image": {**FINE["base_image"], "architecture": "arm64"}}, "its architecture"),
        ({"base_image": {**FINE["base_image"], "glibc": "2.35"}}, "its glibc"),
        ({"pypi": []}, "it lacks jax"),
        ({"files": []}, "its files"),
        ({"files": [*FINE["files"], {"name": "more", "sha256": "e" * 64, "size": 1}]}, "its files"),
    ],
)
def test_an_inventory_of_something_else_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        inventory.check(answering(**changes), WORKLOAD, image(), "x.json")
    assert str(refused.value).startswith("x.json: ")
