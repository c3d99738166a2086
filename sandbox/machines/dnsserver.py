"""A DNS server over UDP and TCP on sockets that are already bound (RFC 1035, RFC 7766)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from dnslib import RCODE, DNSError, DNSRecord

Answer = Callable[[DNSRecord, str], DNSRecord]
"""The answer to a query, and the address that it came from."""

_UDP_LIMIT: Final = 512
"""Bytes of an answer over UDP to a client that does not say more."""
_TCP_IDLE_SECONDS: Final = 30


class DnsServer:
    """Serves until it is closed."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._transports: list[asyncio.DatagramTransport] = []
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []

    async def serve(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Answer on these two sockets, which belong to the server from now on."""
        self._sockets += [udp, tcp]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self._respond), sock=udp
        )
        self._transports.append(transport)
        self._servers.append(await asyncio.start_server(self._stream, sock=tcp))

    async def close(self) -> None:
        """Stop answering and close the sockets."""
        for transport in self._transports:
            transport.close()
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn
        for sock in self._sockets:
            sock.close()

    def _respond(self, data: bytes, source: str) -> DNSRecord | None:
        try:
            query = DNSRecord.parse(data)
        except DNSError:
            return None
        if query.header.qr or len(query.questions) != 1:
            return None
        try:
            return self._answer(query, source)
        except Exception:
            failed = query.reply(ra=1, aa=0)
            failed.header.rcode = RCODE.SERVFAIL
            return failed

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")[0]
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    message = self._respond(await reader.readexactly(size), source)
                if message is None:
                    return
                packed = message.pack()
                writer.write(len(packed).to_bytes(2, "big") + packed)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            return
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, respond: Callable[[bytes, str], DNSRecord | None]) -> None:
        self._respond = respond
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        message = self._respond(data, addr[0])
        if message is None:
            return
        packed = message.pack()
        if len(packed) > _room(data):
            packed = message.truncate().pack()
        self._transport.sendto(packed, addr)


def _room(data: bytes) -> int:
    """How long an answer over UDP may be: what the client's EDNS record says (RFC 6891)."""
    said = [int(rr.edns_len) for rr in DNSRecord.parse(data).ar if hasattr(rr, "edns_len")]
    return max([_UDP_LIMIT, *said])
