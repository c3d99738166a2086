"""Refusals as the data planes give them: plain text, for people who read what pip, twine or apt print."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.cloud.errors import ApiError


@web.middleware
async def plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer an `ApiError` with its message as text."""
    try:
        return await handler(request)
    except ApiError as error:
        return web.Response(status=error.status, text=error.message + "\n")
