"""bandersnatch: a mirror of the same wheels into a folder, from an index on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.harness import Run, run
from bench.script import tool

_CONFIGURATION: Final = """
[mirror]
directory = {folder}
master = {url}
allow-non-https = true
api-method = simple
json = false
timeout = 60
workers = 10
hash-index = false
stop-on-error = true
verifiers = 3
"""
"""Ten workers are the most that it allows."""


def mirror(url: str, folder: Path) -> Run:
    """Mirror everything that an index has."""
    folder.mkdir()
    configuration = folder / "configuration"
    configuration.write_text(_CONFIGURATION.format(folder=folder / "mirror", url=url))
    return run([tool("bandersnatch"), "--config", str(configuration), "mirror"], {"HOME": str(folder)})
