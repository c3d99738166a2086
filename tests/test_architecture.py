"""The arrows between the parts go one way."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported(folder: str) -> Iterator[tuple[Path, str]]:
    """Every absolute import below a folder, at any depth of the code."""
    place = ROOT / folder
    for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield path, alias.name
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield path, node.module or ""
                for alias in node.names:
                    yield path, f"{node.module}.{alias.name}"


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("dmz", ["sandbox"]),
        ("sandbox", ["dmz"]),
        (
            "dmz/promotion",
            ["pulumi", "pulumi_gcp", "google", "httpx", "dmz.sync", "dmz.components", "dmz.stacks"],
        ),
        ("dmz/promotion", ["dmz.workflow", "dmz.config", "dmz.attestations"]),
        ("dmz/attestations.py", ["pulumi", "pulumi_gcp", "dmz.sync", "dmz.workflow", "dmz.stacks"]),
        ("dmz/archive.py", ["pulumi", "pulumi_gcp", "dmz.sync", "dmz.workflow", "dmz.stacks"]),
        ("dmz/threads.py", ["dmz"]),
        ("dmz/registries", ["pulumi", "pulumi_gcp", "dmz.promotion", "dmz.sync", "dmz.workflow"]),
        ("dmz/components", ["dmz.stacks", "dmz.sync", "dmz.workflow", "dmz.registries"]),
        ("dmz/stacks", ["dmz.workflow", "dmz.cli", "dmz.registries"]),
        ("sandbox/engine", ["sandbox.cloud", "sandbox.provider", "sandbox.machines"]),
        ("sandbox/provider", ["sandbox.cloud", "sandbox.engine", "sandbox.machines"]),
    ],
)
def test_nothing_imports_against_the_arrow(folder: str, forbidden: list[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, name in imported(folder)
        if any(name == each or name.startswith(f"{each}.") for each in forbidden)
    ]
    assert not found


def test_promotion_knows_only_the_interface_of_the_registries() -> None:
    found = {name for _, name in imported("dmz/promotion") if f"{name}.".startswith("dmz.registries.")}
    assert found
    assert all(f"{name}.".startswith("dmz.registries.interface.") for name in found)


def test_the_walk_sees_imports() -> None:
    assert any(name == "pulumi" for _, name in imported("dmz/stacks"))


def test_a_command_loads_only_what_it_needs() -> None:
    # What takes longest to load: Pulumi's library, and the client that speaks to all of Google's services.
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from dmz.cli import command; command('discover'); print(*sys.modules)",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {*said.stdout.split()}
    assert "dmz.resolution.python" in loaded
    assert not loaded & {"pulumi", "grpc", "google.auth", "dmz.promotion.policy", "dmz.workflow.outer"}
