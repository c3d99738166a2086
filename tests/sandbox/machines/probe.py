"""Runs inside a machine, with nothing but its Python: the names of what it reaches, as a JSON list.

The arguments are the names of what it should reach.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SECONDS = 1.5
"""How long to wait for an answer that should not come; one that should has more time."""
PATIENCE = 20.0
RESOLVER = ("169.254.169.254", 53)
TYPES = {
    "a": (1, socket.inet_aton("203.0.113.10")),
    "txt": (16, b"\x14the internet answers"),
    "aaaa": (28, socket.inet_pton(socket.AF_INET6, "2001:db8::10")),
}


def tcp(seconds: float, address: str) -> bool:
    with socket.create_connection((address, 7), timeout=seconds) as echo:
        echo.sendall(b"x")
        return echo.recv(1) == b"x"


def udp(seconds: float, address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.settimeout(seconds)
        echo.sendto(b"x", (address, 7))
        return echo.recv(1) == b"x"


def icmp(seconds: float, address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as ping:
        ping.settimeout(seconds)
        ping.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1), (address, 0))
        return ping.recv(64)[0] == 0


def dns(seconds: float, name: str, kind: str) -> bool:
    """Whether the documented value comes back."""
    number, data = TYPES[kind]
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        query.settimeout(seconds)
        query.sendto(
            os.urandom(2) + struct.pack("!HHHHH", 0x100, 1, 0, 0, 0) + labels + struct.pack("!HH", number, 1),
            RESOLVER,
        )
        return data in query.recv(512)


def google(seconds: float) -> bool:
    """An API by its real name, with TLS that the machine trusts."""
    context = ssl.create_default_context()
    address = socket.getaddrinfo("storage.googleapis.com", 443, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    raw = socket.create_connection((str(address[0]), 443), timeout=seconds)
    with context.wrap_socket(raw, server_hostname="storage.googleapis.com") as secure:
        secure.sendall(b"GET / HTTP/1.0\r\nHost: storage.googleapis.com\r\n\r\n")
        return b"200 OK" in secure.recv(64)


PROBES: dict[str, Callable[[float], bool]] = {
    "tcp": lambda seconds: tcp(seconds, "203.0.113.7"),
    "udp": lambda seconds: udp(seconds, "203.0.113.7"),
    "icmp": lambda seconds: icmp(seconds, "203.0.113.7"),
    "ipv6": lambda seconds: tcp(seconds, "2001:db8::7"),
    "dns-a": lambda seconds: dns(seconds, "leak.example.com", "a"),
    "dns-aaaa": lambda seconds: dns(seconds, "leak.example.com", "aaaa"),
    "dns-txt": lambda seconds: dns(seconds, "leak.example.com", "txt"),
    "google": google,
}


def reached(name: str) -> bool:
    try:
        return PROBES[name](PATIENCE if name in sys.argv[1:] else SECONDS)
    except OSError:
        return False


with ThreadPoolExecutor(len(PROBES)) as pool:
    print(json.dumps([name for name, yes in zip(PROBES, pool.map(reached, PROBES), strict=True) if yes]))
