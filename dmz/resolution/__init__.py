"""Resolving with the resolvers that machines use: uv for Python, apt for Debian packages."""

from dmz.resolution.uv import REQUESTED, UnsatisfiableError
from dmz.resolution.wheels import choose_wheel, supported_tags

__all__ = ["REQUESTED", "UnsatisfiableError", "choose_wheel", "supported_tags"]
