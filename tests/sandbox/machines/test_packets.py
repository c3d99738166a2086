"""The packets agree with the model: what the topology says is reached is reached, and nothing else.

Namespaces only, without machines in them: sockets are opened where a machine's would be.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from dnslib import DNSRecord

from sandbox.machines import sandbox_id
from sandbox.machines.internet import Internet
from sandbox.machines.kernel import Kernel, inside, listen, run
from sandbox.machines.wiring import Names, wire
from tests.sandbox.machines.declare import (
    Resources,
    allow_vip,
    deny_egress,
    firewall,
    nat,
    node,
    route,
    vpc,
)
from tests.sandbox.machines.test_topology import EXTERNAL, topology

pytestmark = pytest.mark.sandbox

_SECONDS, _PATIENCE = 0.7, 20.0
"""How long to wait for an answer that should not come, and for one that should."""

PLAIN, TAGGED, OUTSIDE = node("p", "plain"), node("p", "tagged", tags=["t"]), node("p", "outside", **EXTERNAL)
NODES = (PLAIN, TAGGED, OUTSIDE)

TARGETS = [
    (socket.SOCK_STREAM, "203.0.113.7", 7),
    (socket.SOCK_DGRAM, "203.0.113.7", 7),
    (socket.SOCK_STREAM, "2001:db8::7", 7),
    (socket.SOCK_STREAM, "199.36.153.5", 443),
    (socket.SOCK_STREAM, "199.36.153.9", 443),
    (socket.SOCK_STREAM, "198.51.100.10", 443),
    (socket.SOCK_STREAM, "198.51.100.10", 7),
]

BARE = vpc("p", "10.0.0.0/24", privateIpGoogleAccess=False)
PGA = vpc("p", "10.0.0.0/24", privateIpGoogleAccess=True)
DUAL = vpc("p", "10.0.0.0/24", stackType="IPV4_IPV6", ipv6AccessType="EXTERNAL")
DEFAULT = route("p", "default", "0.0.0.0/0") | route("p", "default6", "::/0")

SCENARIOS: dict[str, Resources] = {
    "nothing": BARE,
    "default route": BARE | DEFAULT,
    "nat without a route": BARE | nat("p"),
    "nat": BARE | DEFAULT | nat("p"),
    "google access": PGA | DEFAULT,
    "restricted only": PGA | route("p", "vip", "199.36.153.4/30"),
    "tagged route": BARE | nat("p") | route("p", "default", "0.0.0.0/0", tags=["t"]),
    "dual stack": DUAL | DEFAULT,
    "dual stack, denied": DUAL | DEFAULT | nat("p") | deny_egress("p", "deny", "::/0"),
    "denied": PGA | DEFAULT | nat("p") | deny_egress("p", "deny", "0.0.0.0/0") | allow_vip("p"),
    "denied to some": DUAL
    | DEFAULT
    | nat("p")
    | firewall("p", "d", denied=[{"IPProtocol": "udp"}], direction="EGRESS", targetTags=["t"])
    | firewall(
        "p", "e", denied=[{"IPProtocol": "tcp", "ports": ["400-500"]}], direction="EGRESS", priority=2000
    ),
}


class Host:
    """Namespaces of a topology, with something to answer on both fronts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loop = asyncio.new_event_loop()
        self.names = Names(sandbox_id(root))
        self.kernel = Kernel(self.names)
        self.google: socket.socket | None = None
        self.internet = Internet(self.names.internet, root / "dns.jsonl", root / "files", None)

    async def start(self) -> None:
        await self.kernel.clear()
        await self.kernel.apply(wire(topology({}), self.names, ()))
        await self.internet.start()
        self.google = listen(self.names.google, socket.SOCK_STREAM, "0.0.0.0", 443)

    async def stop(self) -> None:
        await self.internet.stop()
        if self.google is not None:
            self.google.close()
        await self.kernel.clear()

    def call(self, machine: str, kind: int, address: str, port: int, seconds: float) -> bool:
        """Whether a connection is accepted, or a datagram comes back."""

        def attempt() -> bool:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, kind) as sock:
                sock.settimeout(seconds)
                try:
                    sock.connect((address, port))
                    if kind == socket.SOCK_DGRAM:
                        sock.send(b"x")
                        return sock.recv(1) == b"x"
                except OSError:
                    return False
            return True

        return inside(self.names.machine(machine), attempt)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("packets"))
    try:
        made.loop.run_until_complete(made.start())
        yield made
    finally:
        made.loop.run_until_complete(made.stop())
        made.loop.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_packets_agree_with_the_model(host: Host, scenario: str) -> None:
    made = topology(SCENARIOS[scenario], *NODES)
    running = [each["name"] for each in NODES]

    model: dict[tuple[str, int, str, int], bool] = {}
    for name in running:
        network, machine = made.machine(name)
        for kind, address, port in TARGETS:
            protocol = 17 if kind == socket.SOCK_DGRAM else 6
            allowed = network.egress(machine, ip_address(address), protocol, port).allowed
            model[name, kind, address, port] = allowed and (port == 443 or not address.startswith("198."))

    async def observe(pool: ThreadPoolExecutor) -> dict[tuple[str, int, str, int], bool]:
        await host.kernel.apply(wire(made, host.names, running))
        loop = asyncio.get_running_loop()
        calls = {
            key: loop.run_in_executor(pool, host.call, *key, _PATIENCE if expected else _SECONDS)
            for key, expected in model.items()
        }
        return {key: await call for key, call in calls.items()}

    with ThreadPoolExecutor(len(model)) as pool:
        seen = host.loop.run_until_complete(observe(pool))
    assert seen == model
    assert any(seen.values()) or scenario in ("nothing", "nat without a route")


def test_every_ruleset_is_understood(host: Host) -> None:
    """`nft` takes each of them, and an unchanged wiring changes nothing."""

    async def check() -> None:
        for resources in SCENARIOS.values():
            wiring = wire(topology(resources, *NODES), host.names, ())
            await host.kernel.apply(wiring)
            assert not await host.kernel.apply(wiring)
            for name, text in wiring.rulesets.items():
                await run("ip", "netns", "exec", name, "nft", "--check", "-f", "-", text=text)

    host.loop.run_until_complete(check())


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp", "esp", "ah", "sctp", "ipip", "58", "all"])
def test_every_protocol_is_understood(host: Host, protocol: str) -> None:
    entry: dict[str, Any] = {"IPProtocol": protocol}
    rules = firewall("p", "a", allowed=[entry], sourceRanges=["10.0.0.0/8"])
    rules |= firewall("p", "b", denied=[entry], direction="EGRESS", destinationRanges=["2001:db8::/32"])
    if protocol in ("tcp", "udp", "sctp"):
        rules |= firewall("p", "c", allowed=[{**entry, "ports": ["1", "5-9"]}])
    wiring = wire(topology(DUAL | rules, *NODES), host.names, ())
    host.loop.run_until_complete(host.kernel.apply(wiring))


def test_packets_need_the_machines_own_address(host: Host) -> None:
    """A machine that calls itself by another machine's address is not heard; by its own it is."""
    made = topology(SCENARIOS["nat"], *NODES)
    host.loop.run_until_complete(host.kernel.apply(wire(made, host.names, [each["name"] for each in NODES])))
    own, other = (str(made.machine(each["name"])[1].address) for each in (PLAIN, TAGGED))

    def send(source: str, name: str) -> None:
        query = DNSRecord.question(name).pack()
        udp = struct.pack("!HHHH", 5353, 53, 8 + len(query), 0) + query
        ends = socket.inet_aton(source) + socket.inet_aton("203.0.113.1")
        head = struct.pack("!BBHHHBBH", 69, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(head + udp, ("203.0.113.1", 0))

    log = host.root / "dns.jsonl"
    for source, name in ((other, "spoofed.example.com"), (own, "honest.example.com")):
        inside(host.names.machine(PLAIN["name"]), partial(send, source, name))
    for _ in range(500):
        if "honest" in log.read_text():
            break
        host.loop.run_until_complete(asyncio.sleep(0.02))
    assert "honest" in log.read_text()
    assert "spoofed" not in log.read_text()


def test_clearing_ends_what_still_runs_in_a_namespace(tmp_path: Path) -> None:
    names = Names(sandbox_id(tmp_path))

    async def check() -> int | None:
        await Kernel(names).apply(wire(topology(BARE), names, ()))
        stray = await asyncio.create_subprocess_exec("ip", "netns", "exec", names.google, "sleep", "1000")
        for _ in range(500):
            if await run("ip", "netns", "pids", names.google):
                break
            await asyncio.sleep(0.01)
        try:
            await Kernel(names).clear()
            async with asyncio.timeout(_PATIENCE):
                return await stray.wait()
        finally:
            if stray.returncode is None:
                stray.kill()

    assert asyncio.run(check()) == -signal.SIGKILL
    assert Kernel(names).leftovers() == []
