"""What the sandbox's command line says when it can't go on."""

from __future__ import annotations


class SandboxError(RuntimeError):
    """Something a person has to act on; its text is one line: where, what, and how to mend it."""
