"""What is measured on our side: `dmz discover --resolve --json`. A process of its own.

The command itself, but for one thing: the outer stack's outputs are given, so that no stack has to be up.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmz.cli import command
from dmz.commands.common import Setting
from dmz.targets import GOOGLE
from dmz.workflow.estate import Estate


class Given(Estate):
    """A checkout whose outer stack is taken as up."""

    def outer_outputs(self) -> Mapping[str, Any]:
        """As the outer stack says them."""
        return {
            **{"side": "outer", "project": "p", "location": "us-central1", "aptRepositories": []},
            **{"pythonRepository": "python-remote", "pythonBuiltRepository": "python-built"},
            **{"filesBucket": "p-files", "inventoryBucket": "p-inventories"},
        }


def main(folder: str) -> None:
    """Resolve the workload of a checkout."""
    command("discover").main(["--resolve", "--json"], obj=Setting(GOOGLE, Given(Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:])
