"""The sandbox's Artifact Registry and Cloud Storage alone. A process of its own.

    python -m bench.cloud FOLDER PYTHON:outer APT:inner bucket:archive

It prints where it is, and serves until its standard input ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sandbox.cloud.artifact_registry import Options
from tests.sandbox.data.harness import running


def main(root: str, *declared: str) -> None:
    """Serve with the state in a folder, with these repositories and buckets."""
    with running(Path(root), Options()) as here:
        for each in declared:
            kind, _, name = each.partition(":")
            if kind == "bucket":
                here.bucket(name)
            else:
                here.repository(name, kind)
        ports = {"python": here.python, "apt": here.apt, "api": here.api, "storage": here.storage}
        print(json.dumps({**ports, "token": here.token}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
