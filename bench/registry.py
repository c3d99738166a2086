"""The sandbox's Artifact Registry alone, with one remote Python repository. A process of its own.

Its upstream is whatever this machine's pip is configured with. It prints where it is, and serves until its
standard input ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sandbox.cloud.artifact_registry import Options
from tests.sandbox.data.harness import running


def main(root: str) -> None:
    """Serve with the state in a new folder."""
    folder = Path(root)
    folder.mkdir()
    with running(folder, Options()) as here:
        here.repository("python-remote", "PYTHON", {"pythonRepository": {"publicRepository": "PYPI"}})
        print(json.dumps({"python": here.python, "api": here.api, "token": here.token}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
