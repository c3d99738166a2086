"""Identity and access: the roles that the sandbox knows, what methods ask for, and who has it."""

from __future__ import annotations

from sandbox.cloud.access.check import require
from sandbox.cloud.access.permissions import permissions_of

__all__ = ["permissions_of", "require"]
