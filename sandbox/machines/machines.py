"""All machines and networks of one sandbox, kept equal to what the Store declares."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from dnslib import QTYPE, RCODE, DNSRecord

from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, already_exists, failed_precondition, not_found
from sandbox.machines import dns
from sandbox.machines.addresses import METADATA, Leases
from sandbox.machines.declared import read
from sandbox.machines.dnsserver import DnsServer
from sandbox.machines.images import Images, Progress, recipe
from sandbox.machines.internet import Internet, JsonLines
from sandbox.machines.kernel import Kernel, listen
from sandbox.machines.machine import Machine, command
from sandbox.machines.topology import Topology, build, machines_by_name
from sandbox.machines.wiring import Names, wire

_log: Final = logging.getLogger(__name__)


class Site(Protocol):
    """A socket that is being served."""

    async def stop(self) -> None:
        """Stop serving and close the socket."""


class GoogleFront(Protocol):
    """How the daemon serves Google's APIs on sockets that lie inside namespaces."""

    async def serve(self, sock: socket.socket, tls: bool) -> Site:
        """Serve the APIs and data planes, by host name."""

    async def serve_metadata(self, sock: socket.socket, network: str) -> Site:
        """Serve a VPC (`projects/P/global/networks/N`) its metadata; the peer's address tells the machine."""

    def tls_context(self) -> ssl.SSLContext:
        """What a server needs to answer as a name below example.com, which stands for the internet."""


@dataclass(frozen=True)
class _VpcServices:
    """What a VPC's router answers itself."""

    dns: DnsServer
    metadata: Site


def sandbox_id(root: Path) -> str:
    """Six hexadecimal digits for the sandbox in this folder."""
    return hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:6]


def machine_command(root: Path, node_name: str, argv: list[str]) -> list[str]:
    """The command line that runs `argv` as root inside a running machine, from any process on the host.

    `node_name` is `projects/P/locations/ZONE/nodes/NODE`. ApiError if the machine is not running.
    """
    root = root.absolute()
    return command(root, Names(sandbox_id(root)), node_name, argv)


class Machines:
    """Networks, machines, DNS and the stand-in for the internet.

    An ApiError from `reconcile` or `create` names what can't be reproduced or does not fit; nothing changed.
    """

    def __init__(self, cloud: Cloud, google: GoogleFront, progress: Progress = _log.info) -> None:
        self._cloud = cloud
        self._google = google
        self._names = Names(sandbox_id(cloud.root))
        self._kernel = Kernel(self._names)
        self._images = Images(cloud.cache, progress)
        self._progress = progress
        self._leases_file = cloud.root / "machines" / "addresses.json"
        self._leases: Leases = {}
        self._topology = Topology(())
        self._views: dict[str, dns.View] = {}
        self._nodes: dict[str, dict[str, Any]] = {}
        self._machines: dict[str, Machine] = {}
        self._services: dict[str, _VpcServices] = {}
        self._fronts: list[Site] = []
        self._internet: Internet | None = None
        self._dns_log: JsonLines | None = None
        self._changing = asyncio.Lock()
        self._up = False

    async def start(self) -> None:
        """Take the host's namespaces, and boot the machines that are declared already."""
        await self._kernel.clear()
        self._up = True
        self._dns_log = JsonLines(self._cloud.root / "dns.jsonl")
        self._internet = Internet(
            self._names.internet,
            log=self._cloud.root / "internet-dns.jsonl",
            folder=self._cloud.root / "internet" / "files.example.com",
            tls=self._google.tls_context(),
        )
        if self._leases_file.exists():
            self._leases = json.loads(self._leases_file.read_text(encoding="utf-8"))
        declared = {
            name.removeprefix("tpu/"): body
            for name, body in self._cloud.store.list("tpu/").items()
            if name.split("/")[-2] == "nodes" and body.get("state") != "DELETING"
        }
        self._nodes = {name: {**body, "name": name} for name, body in declared.items()}
        try:
            await self._kernel.apply(wire(Topology(()), self._names, ()))
            await self._internet.start()
            front = listen(self._names.google, socket.SOCK_STREAM, "0.0.0.0", 443)  # noqa: S104
            self._fronts.append(await self._google.serve(front, tls=True))
            try:
                await self.reconcile()
            except ApiError as error:  # whoever changes a resource next is told again
                self._progress(error.message)
            for name in declared:
                try:
                    await self._boot(name)
                except ApiError as error:  # the others come up all the same
                    self._progress(error.message)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Remove every process, namespace and mount of this sandbox; the machines' files stay."""
        async with self._changing:
            self._up = False
            for machine in self._machines.values():
                await machine.stop()
            self._machines.clear()
            for network in list(self._services):
                await self._stop_services(network)
            for site in self._fronts:
                await site.stop()
            self._fronts.clear()
            if self._internet is not None:
                await self._internet.stop()
                self._internet = None
            if self._dns_log is not None:
                self._dns_log.close()
                self._dns_log = None
            await self._kernel.clear()

    async def reconcile(self) -> None:
        """Make namespaces, routes, NAT, firewall and DNS equal to the declared resources.

        Does nothing when they are, or when the sandbox is stopped; machines keep running meanwhile.
        """
        async with self._changing:
            if not self._up:
                return
            store = self._cloud.store
            nodes = {name: store.get(f"tpu/{name}") or body for name, body in self._nodes.items()}
            declared = read(
                store.list("compute/"), {name: {**body, "name": name} for name, body in nodes.items()}
            )
            topology, leases = build(declared, self._leases)
            views = dns.views(store.list("dns/"), {vpc.name: vpc.machines for vpc in topology.vpcs})
            if leases != self._leases:
                self._leases = leases
                _write(self._leases_file, json.dumps(leases, sort_keys=True))
            self._topology, self._views = topology, views
            for network in self._services.keys() - views.keys():
                await self._stop_services(network)
            await self._kernel.apply(wire(topology, self._names, nodes))
            for network in views.keys() - self._services.keys():
                self._services[network] = await self._serve(network)

    async def create(self, node: dict[str, Any]) -> None:
        """Boot a TPU node; returns once its startup script has been started.

        `node` is the resource with its full `name`. The first machine of a runtime waits for its image.
        """
        name = str(node["name"])
        if name in self._nodes:
            raise already_exists(f"{name} is running already")
        recipe(str(node.get("runtimeVersion", "")))
        self._nodes[name] = node
        try:
            await self.reconcile()
            await self._boot(name)
        except BaseException:
            await self._forget(name)
            raise

    async def delete(self, node_name: str) -> None:
        """Take a machine away, with its files; one that is not there is fine."""
        await self._forget(node_name)

    async def restart(self, node_name: str) -> None:
        """Stop and boot a machine; its files stay and its startup script runs again."""
        if node_name not in self._machines:
            raise not_found(f"{node_name} is not running")
        await self._machines.pop(node_name).stop()
        await self._boot(node_name)

    def running(self, node_name: str) -> bool:
        """Whether the machine's processes are alive."""
        machine = self._machines.get(node_name)
        return machine is not None and machine.running

    def command(self, node_name: str, argv: list[str]) -> list[str]:
        """The command line that runs `argv` as root inside a machine."""
        return command(self._cloud.root, self._names, node_name, argv)

    def endpoints(self, node_name: str) -> list[dict[str, Any]]:
        """A machine's `networkEndpoints`, as the Cloud TPU API gives them; empty for an unknown one."""
        machine = machines_by_name(self._topology).get(node_name)
        if machine is None:
            return []
        endpoint: dict[str, Any] = {"ipAddress": str(machine.address), "port": 8470}
        if machine.external:
            endpoint["accessConfig"] = {"externalIp": str(machine.external)}
        return [endpoint]

    def node_at(self, network: str, address: str) -> str | None:
        """The name of the machine that has this address in a VPC."""
        for vpc in self._topology.vpcs:
            for machine in vpc.machines:
                if vpc.name == network and address in (str(machine.address), str(machine.address6)):
                    return machine.name
        return None

    async def _boot(self, name: str) -> None:
        declared = machines_by_name(self._topology).get(name)
        if declared is None:
            raise failed_precondition(f"{name}: its network did not come up")
        image = await self._images.root(declared.runtime)
        if not self._up:
            raise failed_precondition(f"{name}: the sandbox is being stopped")
        machine = Machine(declared, image, self._cloud.root, self._names)
        self._machines[name] = machine
        await machine.boot(self._cloud.authority)

    async def _forget(self, name: str) -> None:
        self._nodes.pop(name, None)
        machine = self._machines.pop(name, None)
        if machine is not None:
            await machine.delete()
        with contextlib.suppress(ApiError):  # what else is declared wrongly was said to whoever declared it
            await self.reconcile()

    async def _serve(self, network: str) -> _VpcServices:
        router, address = self._names.router(network), str(METADATA)
        server = DnsServer(lambda query, source: self._answer(network, query, source))
        await server.serve(
            listen(router, socket.SOCK_DGRAM, address, 53), listen(router, socket.SOCK_STREAM, address, 53)
        )
        metadata = await self._google.serve_metadata(listen(router, socket.SOCK_STREAM, address, 80), network)
        return _VpcServices(server, metadata)

    async def _stop_services(self, network: str) -> None:
        services = self._services.pop(network)
        await services.dns.close()
        await services.metadata.stop()

    def _answer(self, network: str, query: DNSRecord, source: str) -> DNSRecord:
        assert self._internet is not None
        view = self._views[network]
        name, type_ = dns.question(query)
        found = dns.resolve(view, name, type_, self._internet.upstream)
        if view.logging and self._dns_log is not None:
            self._dns_log.write(
                network=network,
                source=source,
                machine=self.node_at(network, source),
                name=name,
                type=type_,
                rcode=RCODE[found.rcode],
                via=found.via,
                answers=[f"{rr.rname} {QTYPE[rr.rtype]} {rr.rdata}" for rr in found.answers],
            )
        return dns.reply(query, found)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
