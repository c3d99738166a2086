"""Runs a project's program in a process of its own, as Pulumi's Python language host does.

Started by path, `python -P program.py`, with the settings as one JSON object in `PULUMI_ENGINE_PROGRAM`; the
configuration is in `PULUMI_CONFIG` and `PULUMI_CONFIG_SECRET_KEYS`, where the SDK looks for it. It imports
nothing of the engine. Source of the behaviour: `sdk/python/cmd/pulumi-language-python-exec` (pulumi/pulumi).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

ALREADY_REPORTED = 32
"""The exit code that says: the person has been told why."""
_THREADS_PER_OPERATION = 4


def _run_program(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def _traceback(program: str) -> str:
    """The traceback from the program's own first frame on."""
    error = sys.exc_info()[1]
    assert error is not None
    folder = program if os.path.isdir(program) else os.path.dirname(program)  # noqa: PTH112, PTH120 - before any import
    frames = traceback.extract_tb(error.__traceback__)
    own = next((i for i, frame in enumerate(frames) if frame.filename.startswith(folder)), 0)
    lines = traceback.format_list(frames[own:])
    return (
        "Traceback (most recent call last):\n"
        + "".join(lines)
        + "".join(traceback.format_exception_only(error))
    )


def main() -> int:
    """Run the program; 0, 1 for a `RunError`, 32 for an exception."""
    settings: dict[str, Any] = json.loads(os.environ.pop("PULUMI_ENGINE_PROGRAM"))
    try:
        import pulumi
        import pulumi.runtime
    except ImportError as error:
        print(f"the Pulumi SDK cannot be imported by {sys.executable}: {error}", file=sys.stderr)
        return 1
    program = settings.pop("program")
    pulumi.runtime.set_all_config(
        pulumi.runtime.get_config_env(),
        pulumi.runtime.get_config_secret_keys_env(),
    )
    pulumi.runtime.configure(pulumi.runtime.Settings(**settings))
    sys.argv = [program]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max(settings["parallel"], 1) * _THREADS_PER_OPERATION)
    loop.set_default_executor(executor)
    # When a run fails, futures are left that nobody looks at; asyncio's complaints would hide the error.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run_program(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return ALREADY_REPORTED
    except Exception:
        pulumi.log.error("Program failed with an unhandled exception:\n" + _traceback(program))
        return ALREADY_REPORTED
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
