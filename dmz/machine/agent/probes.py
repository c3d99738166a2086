"""Egress probes: each tries one way out and says whether it got through.

A probe counts for something only where the same one gets through from the outer machine (its positive
control); comparing the two is not this module's work.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_WAIT = 2.0
"""Seconds for each try; a probe tries twice."""

_METADATA = "169.254.169.254"
_TYPES = {"A": 1, "TXT": 16, "AAAA": 28}


def _address(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


def _tcp(target: str) -> str | None:
    host, port = _address(target)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.settimeout(_WAIT)
        tried.connect((host, port))
        return f"connected to {target}"


def _udp(target: str) -> str | None:
    nonce = secrets.token_bytes(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        tried.settimeout(_WAIT)
        tried.sendto(nonce, _address(target))
        answer, sender = tried.recvfrom(1024)
        return f"{len(answer)} bytes came back from {sender[0]}"


def _checksum(packet: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _icmp(target: str) -> str | None:
    """An echo request (RFC 792)."""
    mark = secrets.randbits(16)
    nonce = secrets.token_bytes(16)
    packet = (
        struct.pack("!BBHHH", 8, 0, _checksum(struct.pack("!BBHHH", 8, 0, 0, mark, 1) + nonce), mark, 1)
        + nonce
    )
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as tried:
        tried.settimeout(_WAIT)
        tried.sendto(packet, (target, 0))
        while True:
            answer, sender = tried.recvfrom(2048)
            if sender[0] == target and answer[20] == 0 and answer.endswith(nonce):
                return f"echo reply from {target}"


def _skip_name(message: bytes, at: int) -> int:
    while True:
        length = message[at]
        if length & 0xC0:
            return at + 2
        at += 1
        if not length:
            return at
        at += length


def resolve(name: str, kind: str, server: str) -> list[bytes]:
    """The record data of one type in a server's answer (RFC 1035); empty for any error code."""
    mark = secrets.randbits(16)
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"
    query = struct.pack("!HHHHHH", mark, 0x0100, 1, 0, 0, 0) + question + struct.pack("!HH", _TYPES[kind], 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(_WAIT)
        asked.sendto(query, (server, 53))
        while True:
            message = asked.recv(4096)
            if message[:2] == query[:2]:
                break
    flags, _, answers = struct.unpack("!HHH", message[2:8])
    if flags & 0xF:
        return []
    at = _skip_name(message, 12) + 4
    found = []
    for _ in range(answers):
        at = _skip_name(message, at)
        record, _, _, length = struct.unpack("!HHIH", message[at : at + 10])
        at += 10
        if record == _TYPES[kind]:
            found.append(message[at : at + length])
        at += length
    return found


def _resolver() -> str:
    for line in Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines():
        if line.startswith("nameserver"):
            return line.split()[1]
    return _METADATA


def _outside(data: bytes, kind: str) -> str | None:
    """What the answer says, unless it is one that a response policy gives locally."""
    if kind == "TXT":
        return data[1:].decode(errors="replace")
    address = ipaddress.ip_address(data)
    local = (
        address.is_unspecified or address.is_loopback or address in ipaddress.ip_network("199.36.153.0/24")
    )
    return None if local else str(address)


def _lookup(kind: str, server: Callable[[], str], fresh: bool = False) -> Callable[[str], str | None]:
    def probe(target: str) -> str | None:
        # A name that nobody asked for before cannot be answered from a cache: it has to leave.
        name = f"{secrets.token_hex(6)}.{target}" if fresh else target
        for data in resolve(name, kind, server()):
            said = _outside(data, kind)
            if said is not None:
                return f"{name} {kind} = {said}"
        return None

    return probe


_PROBES: Mapping[str, Callable[[str], str | None]] = {
    "tcp": _tcp,
    "udp": _udp,
    "icmp": _icmp,
    "ipv6": _tcp,
    "dns-a": _lookup("A", _resolver),
    "dns-aaaa": _lookup("AAAA", _resolver),
    "dns-txt": _lookup("TXT", _resolver),
    "metadata-name": _lookup("A", lambda: _METADATA, fresh=True),
}


def _observe(name: str, target: str) -> dict[str, str]:
    detail = "no answer"
    if name not in _PROBES:
        return {"name": name, "target": target, "observed": "error", "detail": "this agent has no such probe"}
    for _ in range(2):
        try:
            said = _PROBES[name](target)
        except OSError as error:
            detail = error.strerror or str(error)
        except (ValueError, IndexError, struct.error) as error:
            return {"name": name, "target": target, "observed": "error", "detail": str(error)}
        else:
            if said is not None:
                return {"name": name, "target": target, "observed": "reached", "detail": said}
            detail = "no answer from outside"
    return {"name": name, "target": target, "observed": "blocked", "detail": detail}


def run(probes: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Run all probes side by side; the result has one entry for each, in the same order."""
    if not probes:
        return []
    with ThreadPoolExecutor(len(probes)) as pool:
        return list(pool.map(lambda probe: _observe(probe["name"], probe["target"]), probes))
