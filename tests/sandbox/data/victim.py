"""A cloud in a process of its own, to be killed: says where it is, and serves until then."""

from __future__ import annotations

import json
import signal
import sys
import warnings
from pathlib import Path

from sandbox.cloud.artifact_registry import Options
from tests.sandbox.data.harness import running

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with running(Path(sys.argv[1]), Options()) as here:
        if not here.cloud.store.list("storage/b/"):
            here.repository("python", "PYTHON")
            here.repository("apt", "APT")
            here.bucket("files")
        ports = {"python": here.python, "apt": here.apt, "api": here.api, "storage": here.storage}
        print(json.dumps({**ports, "token": here.token}), flush=True)
        signal.pause()
