"""What runs on the machines: a startup script that carries a small agent, standard library only.

The agent has to work with nothing but what the base image has, so it imports nothing from the rest of this
project and the script carries its source along. Each boot writes it anew; what differs from one stack to
another comes through the metadata attribute `dmz-settings`.
"""

from __future__ import annotations

from importlib import resources
from typing import Final, Literal

Side = Literal["outer", "inner"]

_LIMIT: Final = 256 * 1024
"""Bytes that one metadata value may have (https://cloud.google.com/compute/docs/metadata/overview)."""

_FOLDER: Final = "/opt/dmz"


def startup_script(side: Side) -> str:
    """The `startup-script` metadata value for a machine of one side.

    Raises:
        ValueError: the script has outgrown what one metadata value may hold.
    """
    parts = [
        "#!/bin/bash",
        "# Package DMZ: writes the agent and runs it. It never ends; it looks for what changed.",
        "set -euo pipefail",
        f"mkdir -p {_FOLDER}/agent",
    ]
    agent = resources.files(__package__) / "agent"
    for source in sorted(agent.iterdir(), key=lambda entry: entry.name):
        if source.name.endswith(".py"):
            parts.append(f"cat > {_FOLDER}/agent/{source.name} <<'END_OF_{source.name}'")
            parts.append(source.read_text(encoding="utf-8").rstrip("\n"))
            parts.append(f"END_OF_{source.name}")
    parts.append(f"cd {_FOLDER}")
    parts.append(f"exec python3 -m agent.{side}")
    script = "\n".join(parts) + "\n"
    if len(script.encode()) > _LIMIT:
        raise ValueError(f"the {side} startup script has {len(script.encode())} bytes; {_LIMIT} are allowed")
    return script
