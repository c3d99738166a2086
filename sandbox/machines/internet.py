"""The stand-in for the internet: echo, ping, name servers and a few files, inside the sandbox only.

It answers on every address of 203.0.113.0/24 and 2001:db8::/33: TCP and UDP echo on port 7 (RFC 862), ICMP by
the kernel, DNS on port 53, and https for the files of `files.example.com`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from dnslib import AAAA, QTYPE, RCODE, RR, TXT, A, DNSRecord

from sandbox.machines.addresses import INTERNET, INTERNET6, INTERNET_SERVER, INTERNET_SERVER6
from sandbox.machines.dns import Resolution, question, reply
from sandbox.machines.dnsserver import DnsServer
from sandbox.machines.kernel import listen

DOMAIN: Final = "example.com."
FILES: Final = "files.example.com"
"""The one name below the domain with an address of its own, for files."""

HOST: Final[IPv4Address] = INTERNET[10]
HOST6: Final[IPv6Address] = INTERNET6[16]
"""The addresses of every name below example.com: 203.0.113.10 and 2001:db8::10."""
FILES_HOST: Final[IPv4Address] = INTERNET[80]
"""The address of files.example.com: 203.0.113.80."""
TEXT: Final = "the internet answers"
"""The text record of every name below example.com."""
ECHO_PORT: Final = 7

_TTL: Final = 60


class JsonLines:
    """A log of one JSON object a line, written through at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def write(self, **record: Any) -> None:
        """Add a record; its time (UTC) is added to it."""
        self._file.write(
            json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **record}) + "\n"
        )
        self._file.flush()

    def close(self) -> None:
        """End the log."""
        self._file.close()


def answer(name: str, type_: str) -> Resolution:
    """What the internet's name servers say: names below example.com exist, all others do not."""
    if not (name == DOMAIN or name.endswith("." + DOMAIN)):
        return Resolution(rcode=RCODE.NXDOMAIN)
    files = name == FILES + "."
    records: dict[str, Any] = {"A": A(str(FILES_HOST if files else HOST))}
    if not files:
        records |= {"AAAA": AAAA(str(HOST6)), "TXT": TXT(TEXT)}
    found = records.get(type_)
    return Resolution(answers=[RR(name, QTYPE.reverse[type_], ttl=_TTL, rdata=found)] if found else [])


class Internet:
    """Serves from inside its namespace. `folder` holds the files of files.example.com."""

    def __init__(self, namespace: str, log: Path, folder: Path, tls: ssl.SSLContext | None) -> None:
        self._namespace = namespace
        self._log = JsonLines(log)
        self._folder = folder
        self._tls = tls
        self._dns = DnsServer(self._answer)
        self._echo: list[asyncio.Server] = []
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._files: web.AppRunner | None = None

    def upstream(self, name: str, type_: str) -> Resolution:
        """A query that a VPC's resolver passes on; it is logged, so that a leak is seen."""
        return self._ask(name, type_, "resolver")

    async def start(self) -> None:
        """Begin to serve; the namespace exists."""
        for address in (str(INTERNET_SERVER), str(INTERNET_SERVER6)):
            await self._dns.serve(
                *(self._listen(kind, address, 53) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
            )
            stream = self._listen(socket.SOCK_STREAM, address, ECHO_PORT)
            self._echo.append(await asyncio.start_server(_echo, sock=stream))
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                _EchoDatagrams, sock=self._listen(socket.SOCK_DGRAM, address, ECHO_PORT)
            )
            self._datagrams.append(transport)
        if self._tls is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            application = web.Application()
            application.router.add_static("/", self._folder)
            self._files = web.AppRunner(application, access_log=None)
            await self._files.setup()
            await web.SockSite(
                self._files,
                self._listen(socket.SOCK_STREAM, str(INTERNET_SERVER), 443),
                ssl_context=self._tls,
            ).start()

    async def stop(self) -> None:
        """Stop and close every socket."""
        if self._files is not None:
            await self._files.cleanup()
        for server in self._echo:
            server.close()
        for transport in self._datagrams:
            transport.close()
        await self._dns.close()
        self._log.close()

    def _listen(self, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
        return listen(self._namespace, kind, address, port)

    def _ask(self, name: str, type_: str, source: str) -> Resolution:
        found = answer(name, type_)
        self._log.write(source=source, name=name, type=type_, rcode=RCODE[found.rcode])
        return found

    def _answer(self, query: DNSRecord, source: str) -> DNSRecord:
        name, type_ = question(query)
        message = reply(query, self._ask(name, type_, source))
        message.header.aa = 1
        return message


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


class _EchoDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._transport.sendto(data, addr)
