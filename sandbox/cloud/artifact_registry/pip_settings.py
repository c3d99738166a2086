"""The Python index that this machine's pip is configured with."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Final

from sandbox.cloud.artifact_registry.upstream import UpstreamError

# pip's own option parser knows its files, its environment and its defaults, and which comes first.
_ASK: Final = """
import json
from pip._internal.commands import create_command
options, _ = create_command("download").parser.parse_args([])
print(json.dumps({"index": options.index_url, "certificates": options.cert}))
"""


@dataclass(frozen=True)
class PipSettings:
    """Where pip would fetch from."""

    index: str
    """The simple index's address; may carry credentials."""
    certificates: str | None
    """Bundle of TLS roots, if one is set."""


async def pip_settings() -> PipSettings:
    """Ask pip.

    Raises:
        UpstreamError: pip can't say.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ASK, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise UpstreamError(f"pip doesn't tell its index ({last}); 'pip config list' shows its configuration")
    settings = json.loads(output)
    return PipSettings(settings["index"], settings["certificates"])
