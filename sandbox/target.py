"""The sandbox as a target of `dmz run`."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.daemon import Daemon


class SandboxTarget:
    """Google Cloud's stand-in on this machine, in the folder `.sandbox`."""

    def __init__(self, daemon: Daemon | None = None) -> None:
        """`daemon` defaults to the sandbox in `.sandbox`."""
        self._daemon = daemon or Daemon()

    def up(self, progress: Callable[[str], None]) -> dict[str, str]:
        """Bring the sandbox up, unless it is, and return the variables that lead to it.

        Raises SandboxError (a RuntimeError) when it can't run here; nothing was changed then.
        """
        self._daemon.start(progress)
        return self._daemon.environment()

    def down(self) -> None:
        """Take the sandbox down, unless it is."""
        self._daemon.stop(lambda line: None)
