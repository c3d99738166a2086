"""The startup script carries the whole agent and starts the right side."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dmz.machine import Side, startup_script

AGENT = Path(__file__).parents[2] / "dmz/machine/agent"


@pytest.mark.parametrize("side", ["outer", "inner"])
def test_is_valid_shell_and_starts_its_side(side: Side) -> None:
    script = startup_script(side)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert script.rstrip().endswith(f"exec python3 -m agent.{side}")


def test_writes_the_agent_byte_for_byte(tmp_path: Path) -> None:
    lines = startup_script("inner").replace("/opt/dmz", str(tmp_path)).splitlines()
    assert lines[-1].startswith("exec ")
    subprocess.run(["bash"], input="\n".join(lines[:-1]) + "\n", text=True, check=True)
    written = {path.name: path.read_bytes() for path in (tmp_path / "agent").iterdir()}
    expected = {path.name: path.read_bytes() for path in AGENT.glob("*.py")}
    assert {
        name: text.replace(str(tmp_path).encode(), b"/opt/dmz") for name, text in written.items()
    } == expected


def test_agent_needs_only_the_standard_library() -> None:
    for path in AGENT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            for name in names:
                top = name.split(".")[0]
                # What pip carries along is the one exception, where pip is there anyway.
                own = name == "pip._vendor" or name.startswith("pip._vendor.")
                assert top in sys.stdlib_module_names or own, f"{path.name} imports {name}"
