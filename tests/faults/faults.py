"""Everything that goes wrong: the columns of the matrix."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
from aiohttp import web
from multidict import CIMultiDict

from tests.faults.proxy import HOP, Answer, Arrived, FaultAction
from tests.faults.steps import Step
from tests.faults.world import Inner

HANG: Final = 0.3
"""Seconds after which the sync gives up on an answer, where a test lets it wait for one."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with a request."""

    name: str
    action: FaultAction
    fits: Callable[[Step], bool] = lambda _: True
    survived: bool = False
    """Whether the sync has to end well although it happened once."""
    misleads: bool = False
    """Whether the sync is told something wrong of what inner holds: it may take away then what it believes to
    be changed, and has to bring it back."""
    hangs: bool = False
    """Whether the sync has to wait for an answer that never comes."""
    slow: bool = False
    """Whether another one that the usual run tries at every step is much like it."""
    times: int = 1
    """Requests of a kind that it befalls, one after the other."""

    def __str__(self) -> str:
        return self.name


async def _reset(arrived: Arrived) -> web.StreamResponse:
    arrived.reset()
    return web.Response()


async def _reset_within(arrived: Arrived) -> web.StreamResponse:
    """The connection breaks when a part of the body has come; nothing reaches the cloud whole."""
    await arrived.request.content.readany()
    return await _reset(arrived)


async def _lost_answer(arrived: Arrived) -> web.StreamResponse:
    """The cloud does it, and nobody hears of it."""
    await arrived.forward()
    return await _reset(arrived)


async def _hang(arrived: Arrived) -> web.StreamResponse:
    return await arrived.gone()


async def _hang_after(arrived: Arrived) -> web.StreamResponse:
    """The cloud does it, and its answer does not come."""
    await arrived.forward()
    return await arrived.gone()


def _status(status: int, message: str, headers: dict[str, str] | None = None) -> FaultAction:
    async def answer(arrived: Arrived) -> web.StreamResponse:
        await arrived.read()
        body = {"error": {"code": status, "message": message}}
        return web.json_response(body, status=status, headers=headers)

    return answer


async def _truncated(arrived: Arrived) -> web.StreamResponse:
    answer = await arrived.forward()
    return await arrived.partial(answer, len(answer.body) // 2)


async def _ends_early(arrived: Arrived) -> web.StreamResponse:
    """Half of the body, announced as if it were all."""
    answer = await arrived.forward()
    return await arrived.answer(replace(answer, body=answer.body[: len(answer.body) // 2]))


async def _other_bytes(arrived: Arrived) -> web.StreamResponse:
    """As many bytes, one of them another."""
    answer = await arrived.forward()
    body = bytearray(answer.body)
    if body:
        body[len(body) // 2] ^= 1
    return await arrived.answer(replace(answer, body=bytes(body)))


async def _nonsense(arrived: Arrived) -> web.StreamResponse:
    """What a proxy on the way answers in the cloud's place."""
    await arrived.read()
    return web.Response(text="<html><body>Sign in to the network</body></html>", content_type="text/html")


async def _doubled(arrived: Arrived) -> web.StreamResponse:
    """The same request reaches the cloud twice; the second answer is what comes back."""
    await arrived.read()
    await arrived.forward()
    return await arrived.answer(await arrived.forward())


async def changed_on_its_way(arrived: Arrived) -> web.StreamResponse:
    """What reaches the cloud is as long, and the last byte of the file in it is another."""
    body = bytearray(await arrived.read())
    body[body.rindex(b"\r\n--") - 1] ^= 1
    arrived.replace(bytes(body))
    return await arrived.answer(await arrived.forward())


async def _wrong_hash(arrived: Arrived) -> web.StreamResponse:
    """The listing says another digest of the first file that it has."""
    answer = await arrived.forward()
    return await arrived.answer(replace(answer, body=_changed(answer.body, 1)))


async def wrong_hashes(arrived: Arrived) -> web.StreamResponse:
    """The listing says another digest of every file."""
    answer = await arrived.forward()
    return await arrived.answer(replace(answer, body=_changed(answer.body, 0)))


def _changed(body: bytes, count: int) -> bytes:
    if body.startswith(b"\x1f\x8b"):
        return gzip.compress(_changed(gzip.decompress(body), count), mtime=0)
    text = body.decode()
    for pattern in (
        r'("type": ?"SHA256", ?"value": ?")(.)',
        r"(SHA256: )(.)",
        r"(SHA256:\n )(.)",
        r'("name": ?"(?:files/|sha256/)?)([0-9a-f])(?=[0-9a-f]{63})',  # an object is called by its digest
    ):
        if re.search(pattern, text):
            return re.sub(pattern, lambda found: found[1] + _other(found[2]), text, count=count).encode()
    return body


def _other(digit: str) -> str:
    return "1" if digit != "1" else "2"


async def _entries_twice(arrived: Arrived) -> web.StreamResponse:
    """The listing has each entry twice."""
    answer = await arrived.forward()
    if answer.status >= 300:
        return await arrived.answer(answer)
    page: dict[str, Any] = json.loads(answer.body)
    for key in ("files", "items"):
        if key in page:
            page[key] = [entry for entry in page[key] for _ in range(2)]
    return await arrived.answer(replace(answer, body=json.dumps(page).encode()))


async def _lags(arrived: Arrived) -> web.StreamResponse:
    """The listing is still what it was at the first look, or before all: see `seen_before`."""
    proxy, path = arrived.proxy, arrived.exchange.path
    fresh = await arrived.forward()
    stale: Answer = proxy.stale.setdefault(path, fresh)
    return await arrived.answer(stale)


def _tagged(*tags: str) -> Callable[[Step], bool]:
    return lambda step: bool(step.tags & set(tags))


def seen_before(inner: Inner) -> None:
    """Note the index as it is now: a sync looks at it only when it should show something new."""
    path = f"/projects/{inner.project}/dists/apt/InRelease"
    address, bearer = inner.world.box.cloud.endpoints["apt"], f"Bearer {inner.reader}"
    answer = httpx.get(address + path, headers={"Authorization": bearer}, trust_env=False)
    assert answer.is_success, answer.text
    headers = CIMultiDict((name, value) for name, value in answer.headers.items() if name not in HOP)
    inner.world.proxy.stale[path] = Answer(answer.status_code, headers, answer.content)


def _tells(step: Step) -> bool:
    """Whether its answers have a body."""
    return "mute" not in step.tags


_BUSY: Final = "Quota exceeded for quota metric 'Requests'."
FAULTS: Final = (
    Fault("connection reset", _reset, survived=True),
    Fault("reset within the body", _reset_within, _tagged("upload"), survived=True),
    Fault("answer lost", _lost_answer, survived=True),
    Fault("time-out", _hang, survived=True, hangs=True, slow=True),
    Fault("time-out after it was done", _hang_after, survived=True, hangs=True, slow=True),
    Fault("429", _status(429, _BUSY), survived=True, slow=True),
    Fault("429 with Retry-After", _status(429, _BUSY, {"Retry-After": "0"}), survived=True),
    Fault("500", _status(500, "Internal error encountered."), survived=True, slow=True),
    Fault("503", _status(503, "The service is currently unavailable."), survived=True),
    Fault("401", _status(401, "Request had invalid authentication credentials."), slow=True),
    Fault("disk full", _status(507, "No space left on device."), _tagged("upload")),
    Fault("truncated", _truncated, _tells, survived=True),
    Fault("ends early", _ends_early, _tells),
    Fault("other bytes", _other_bytes, _tells, misleads=True),
    Fault("changed on its way", changed_on_its_way, _tagged("checked")),
    Fault("another's answer", _nonsense, slow=True),
    Fault("delivered twice", _doubled, survived=True),
    Fault("wrong hash", _wrong_hash, _tagged("digests"), misleads=True),
    Fault("entries twice", _entries_twice, _tagged("entries"), survived=True),
    Fault("lags", _lags, _tagged("lags"), survived=True, times=3),
)
"""The columns of the matrix; `survived` is for once: what stays broken ends the sync."""
