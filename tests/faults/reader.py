"""A machine inside that looks at everything it can read, all the time, on a way of its own to the cloud."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Final
from urllib.parse import quote, urljoin

import httpx

from tests.faults.world import Inner

_PAUSE: Final = 0.03
"""Seconds between two looks: the cloud has something else to do as well."""
_LINK: Final = re.compile(r'<a href="([^"]+)"')


class Reader:
    """Reads the Python index and its files, the suite and its debs, and the objects, and complains."""

    def __init__(self, inner: Inner, *, also: frozenset[str] = frozenset(), strict: bool = True) -> None:
        """`also`: SHA-256 of what may be seen besides; `strict`: whether what the machines are told to
        install has to be there whenever they are told."""
        endpoints = inner.world.box.cloud.endpoints
        self._inner = inner
        self._allowed = inner.approved | also
        self._strict = strict
        self._endpoints = endpoints
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {inner.reader}"}, timeout=30, trust_env=False
        )
        self._basic = httpx.BasicAuth("oauth2accesstoken", inner.reader)
        self._seen: dict[str, str] = {}
        """SHA-256 by address: what was read once is read again only if the index says otherwise."""
        self.looks = 0
        self.complaints: list[str] = []

    def close(self) -> None:
        self._client.close()

    def catch_up(self) -> None:
        """Wait until what is readable now was looked at, by the thread that does that all the time."""
        seen, until = self.looks, time.monotonic() + 30
        while self.looks < seen + 2 and time.monotonic() < until:  # the first may have begun before
            time.sleep(0.005)

    def look(self) -> frozenset[str]:
        """Read everything once; the SHA-256 of what can be installed."""
        told = self._told()
        readable = frozenset([*self._python(), *self._apt(), *self._files()])
        # Only what the machines were told before and after: in between they are told of something else.
        if self._strict and told == self._told():
            for digest in told:
                if missing := self._inner.digests[digest] - readable:
                    self.complaints.append(
                        f"release {digest} is current, and can't be read: {sorted(missing)}"
                    )
        self.looks += 1
        return readable

    # -- what there is -----------------------------------------------------------------------------------

    def _python(self) -> Iterator[str]:
        base = f"{self._endpoints['python']}/{self._inner.project}/python/simple/"
        for name in _LINK.findall(self._text(base, basic=True)):
            page = urljoin(base, unescape(name))
            for link in _LINK.findall(self._text(page, basic=True)):
                address, _, digest = unescape(link).partition("#sha256=")
                yield self._check(urljoin(page, address), digest, basic=True)

    def _apt(self) -> Iterator[str]:
        base = f"{self._endpoints['apt']}/projects/{self._inner.project}/"
        stanzas = self._text(f"{base}dists/apt/main/binary-amd64/Packages")
        for stanza in stanzas.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
            if fields:
                yield self._check(base + quote(fields["Filename"]), fields["SHA256"])

    def _files(self) -> Iterator[str]:
        for name in self._objects("files/"):
            yield self._check(self._object(name), name.split("/")[1])

    def _told(self) -> frozenset[str]:
        """The releases that machines are told to install; each of their lock files is looked at too."""
        found = set()
        for name in self._objects("current/"):
            body = self._read(self._object(name))
            if body is None:
                continue
            digest = json.loads(body)["digest"]
            if digest not in self._inner.digests:
                self.complaints.append(f"{name} names the release {digest}, which nobody approved")
                continue
            found.add(digest)
        return frozenset(found)

    def _check(self, address: str, digest: str, *, basic: bool = False) -> str:
        """Note what an index says and what is really there."""
        if digest not in self._allowed:
            self.complaints.append(f"{address}: the index shows {digest}, which nobody approved")
        if self._seen.get(address) != digest:
            body = self._read(address, basic=basic)
            if body is None:
                return ""  # withdrawn meanwhile
            held = hashlib.sha256(body).hexdigest()
            if held not in self._allowed:
                self.complaints.append(f"{address}: holds {len(body)} bytes, {held}, which nobody approved")
            self._seen[address] = held
        return self._seen[address]

    # -- how it is read ----------------------------------------------------------------------------------

    def _objects(self, prefix: str) -> list[str]:
        url = f"{self._endpoints['storage']}/storage/v1/b/{self._inner.bucket}/o"
        answer = self._client.get(url, params={"prefix": prefix})
        return [item["name"] for item in answer.json().get("items", [])] if answer.is_success else []

    def _object(self, name: str) -> str:
        bucket = f"{self._endpoints['storage']}/storage/v1/b/{self._inner.bucket}/o"
        return f"{bucket}/{quote(name, safe='')}?alt=media"

    def _text(self, url: str, *, basic: bool = False) -> str:
        return (self._read(url, basic=basic) or b"").decode()

    def _read(self, url: str, *, basic: bool = False) -> bytes | None:
        answer = self._client.get(url, auth=self._basic) if basic else self._client.get(url)
        return answer.content if answer.is_success else None


@contextmanager
def watching(inner: Inner, *, also: frozenset[str] = frozenset(), strict: bool = True) -> Iterator[Reader]:
    """Look all the time while something goes on; whoever started this asks for the complaints."""
    reader = Reader(inner, also=also, strict=strict)
    stop = threading.Event()
    broken: list[BaseException] = []

    def watch() -> None:
        try:
            while not stop.is_set():
                reader.look()
                stop.wait(_PAUSE)
        except BaseException as error:
            broken.append(error)

    thread = threading.Thread(target=watch, name="reader")
    thread.start()
    try:
        yield reader
    finally:
        stop.set()
        thread.join()
        if not broken:
            reader.look()
        reader.close()
    if broken:
        raise broken[0]
    assert reader.looks, "the reader never got to look"
