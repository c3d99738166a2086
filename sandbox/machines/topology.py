"""What the declared resources amount to: VPCs with their machines, and what each machine may reach.

Pure: the same resources give the same topology. The rules follow Google's description of
routes (https://cloud.google.com/vpc/docs/routes), firewall rules (https://cloud.google.com/firewall/docs/firewalls),
Cloud NAT (https://cloud.google.com/nat/docs/overview) and
private Google access (https://cloud.google.com/vpc/docs/private-google-access).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal

from sandbox.cloud.errors import failed_precondition, invalid
from sandbox.machines.addresses import (
    EXTERNAL,
    EXTERNAL6,
    GOOGLE,
    MACHINE_NUMBERS,
    METADATA,
    SUBNET6_NUMBERS,
    TRANSIT,
    VPC_NUMBERS,
    Address,
    Leases,
    Network,
    lease,
)
from sandbox.machines.declared import (
    Declared,
    DeclaredFirewall,
    DeclaredNode,
    DeclaredRoute,
    DeclaredSubnet,
    Protocol,
)


@dataclass(frozen=True)
class Machine:
    """A TPU VM with its one network interface."""

    name: str
    """`projects/P/locations/ZONE/nodes/NODE`"""
    hostname: str
    zone: str
    project: str
    runtime: str
    subnet: str
    address: IPv4Address
    external: IPv4Address | None
    """The external address that stands for it on the internet."""
    address6: IPv6Address | None
    """External IPv6 address, of machines in dual-stack subnets."""
    tags: frozenset[str]
    service_account: str

    @property
    def fqdn(self) -> str:
        """Compute's zonal internal name (https://cloud.google.com/compute/docs/internal-dns)."""
        return f"{self.hostname}.{self.zone}.c.{self.project}.internal"

    def own(self, version: int) -> Address | None:
        """Its address of IP version 4 or 6 inside the VPC."""
        return self.address if version == 4 else self.address6


@dataclass(frozen=True)
class Subnet:
    """A subnet as its machines see it."""

    name: str
    range: IPv4Network
    range6: IPv6Network | None
    google_access: bool
    nat: bool

    @property
    def gateway(self) -> IPv4Address:
        """The first address, which the VPC's router has."""
        return self.range[1]


@dataclass(frozen=True)
class Route:
    """A way to the default internet gateway."""

    destination: Network
    priority: int
    machines: tuple[str, ...]
    """The names of the machines that it is for."""


@dataclass(frozen=True)
class Rule:
    """A firewall rule of one IP version, its targets and sources resolved to machines."""

    name: str
    direction: Literal["INGRESS", "EGRESS"]
    priority: int
    allow: bool
    version: int
    protocols: tuple[Protocol, ...]
    sources: tuple[Network, ...]
    """Any when empty."""
    destinations: tuple[Network, ...]
    """Any when empty."""
    targets: tuple[str, ...]
    """The names of the machines that it is for."""

    def matches(self, source: Address, destination: Address, protocol: int, port: int | None) -> bool:
        """Whether a new connection between these falls under the rule (its targets aside)."""
        return (
            destination.version == self.version
            and _within(source, self.sources)
            and _within(destination, self.destinations)
            and any(_speaks(entry, protocol, port) for entry in self.protocols)
        )


@dataclass(frozen=True)
class Decision:
    """What happens to a new connection."""

    allowed: bool
    why: str


@dataclass(frozen=True)
class Vpc:
    """One VPC network: everything that its router has to know."""

    name: str
    """`projects/P/global/networks/N`"""
    number: int
    """Keeps its place in the address plan."""
    mtu: int
    subnets: tuple[Subnet, ...]
    machines: tuple[Machine, ...]
    routes: tuple[Route, ...]
    """In the order in which they are tried: longest range first, then lowest priority."""
    rules: tuple[Rule, ...]
    """In the order in which they are tried: lowest priority first, deny before allow; implied ones last."""

    @property
    def nat_address(self) -> IPv4Address:
        """What its machines behind Cloud NAT are called on the internet."""
        return EXTERNAL[self.number]

    @property
    def transit(self) -> IPv4Address:
        """What its machines are called by Google's services."""
        return TRANSIT[self.number]

    def subnet_of(self, machine: Machine) -> Subnet:
        """The machine's subnet."""
        return next(subnet for subnet in self.subnets if subnet.name == machine.subnet)

    def reaches_internet(self, machine: Machine, version: int) -> bool:
        """Whether the default internet gateway takes its packets: by an external address or by NAT."""
        if version == 6:
            return machine.address6 is not None
        return machine.external is not None or self.subnet_of(machine).nat

    def reaches_google(self, machine: Machine) -> bool:
        """Whether the gateway takes its packets to Google; NAT turns private Google access on."""
        return self.reaches_internet(machine, 4) or self.subnet_of(machine).google_access

    def egress(
        self, machine: Machine, destination: Address, protocol: int, port: int | None = None
    ) -> Decision:
        """Whether a new connection of this machine leaves it and arrives.

        `protocol` is IANA's number, `port` the destination port where the protocol has ports.
        """
        if destination == METADATA:
            return Decision(True, "the metadata server and DNS are always reachable")
        source = machine.own(destination.version)
        if source is None:
            return Decision(False, f"{machine.hostname} has no IPv{destination.version} address")
        rule = next(
            rule
            for rule in self.rules
            if rule.direction == "EGRESS"
            and machine.name in rule.targets
            and rule.matches(source, destination, protocol, port)
        )
        if not rule.allow:
            return Decision(False, f"firewall {rule.name} denies it")
        if any(_within(destination, ranges) for ranges in self._subnet_ranges()):
            return self._ingress(source, destination, protocol, port)
        route = next(
            (
                route
                for route in self.routes
                if _within(destination, (route.destination,)) and machine.name in route.machines
            ),
            None,
        )
        if route is None:
            return Decision(False, "no route")
        if _within(destination, GOOGLE):
            if self.reaches_google(machine):
                return Decision(True, "Google's services")
            return Decision(False, "neither private Google access nor an external address nor NAT")
        if self.reaches_internet(machine, destination.version):
            return Decision(True, "the internet")
        return Decision(False, "neither an external address nor NAT")

    def _subnet_ranges(self) -> Iterable[tuple[Network, ...]]:
        for subnet in self.subnets:
            yield (subnet.range,) if subnet.range6 is None else (subnet.range, subnet.range6)

    def _ingress(self, source: Address, destination: Address, protocol: int, port: int | None) -> Decision:
        target = next((each for each in self.machines if each.own(destination.version) == destination), None)
        if target is None:
            return Decision(False, f"no machine has {destination}")
        rule = next(
            rule
            for rule in self.rules
            if rule.direction == "INGRESS"
            and target.name in rule.targets
            and rule.matches(source, destination, protocol, port)
        )
        return Decision(rule.allow, f"firewall {rule.name} {'allows' if rule.allow else 'denies'} it")


@dataclass(frozen=True)
class Topology:
    """All VPCs."""

    vpcs: tuple[Vpc, ...]

    def machine(self, name: str) -> tuple[Vpc, Machine]:
        """A machine by its full name, with its VPC."""
        return next((vpc, each) for vpc in self.vpcs for each in vpc.machines if each.name == name)


def build(declared: Declared, previous: Leases) -> tuple[Topology, Leases]:
    """The topology that was declared, and the numbers handed out; those of `previous` stay where they are.

    An ApiError (400) says what does not fit together: a subnet without its network, overlapping ranges.
    """
    networks = {network.name: network for network in declared.networks}
    subnets = {subnet.name: subnet for subnet in declared.subnets}
    users = [
        *((each.name, each.network) for each in declared.subnets),
        *((each.name, each.network) for each in declared.routes),
        *((each.name, each.network) for each in declared.nats),
        *((each.name, each.network) for each in declared.firewalls),
    ]
    for user, network_name in users:
        if network_name not in networks:
            raise failed_precondition(f"{user}: its network {network_name} is not declared")
    for node in declared.nodes:
        if node.network not in networks:
            raise failed_precondition(f"{node.name}: its network {node.network} is not declared")
        if node.subnet not in subnets or subnets[node.subnet].network != node.network:
            raise failed_precondition(
                f"{node.name}: its subnetwork {node.subnet} is not one of {node.network}"
            )
    _no_overlap(declared.subnets)

    leases: dict[str, dict[str, int]] = {
        "vpc": lease(networks, previous.get("vpc", {}), VPC_NUMBERS, "the sandbox's transit range"),
        "external": lease(
            (node.name for node in declared.nodes if node.external_address),
            previous.get("external", {}),
            MACHINE_NUMBERS,
            "the sandbox's external range",
        ),
        "subnet6": lease(
            (subnet.name for subnet in declared.subnets if subnet.dual_stack),
            previous.get("subnet6", {}),
            SUBNET6_NUMBERS,
            "the sandbox's external IPv6 range",
        ),
    }
    for subnet in declared.subnets:
        # Google keeps the first two and the last two addresses of a subnet for itself.
        leases[subnet.name] = lease(
            (node.name for node in declared.nodes if node.subnet == subnet.name),
            previous.get(subnet.name, {}),
            range(2, subnet.range.num_addresses - 2),
            f"subnetwork {subnet.name}",
        )
    vpcs = tuple(_vpc(name, network.mtu, declared, leases) for name, network in networks.items())
    return Topology(vpcs), leases


def _vpc(name: str, mtu: int, declared: Declared, leases: Leases) -> Vpc:
    subnets = tuple(
        Subnet(
            name=subnet.name,
            range=subnet.range,
            range6=_range6(leases["subnet6"][subnet.name]) if subnet.dual_stack else None,
            google_access=subnet.google_access,
            nat=any(
                nat.network == name
                and nat.region == subnet.region
                and (nat.subnets is None or subnet.name in nat.subnets)
                for nat in declared.nats
            ),
        )
        for subnet in declared.subnets
        if subnet.network == name
    )
    ranges6 = {subnet.name: subnet.range6 for subnet in subnets}
    ranges = {subnet.name: subnet.range for subnet in subnets}
    machines = tuple(
        _machine(node, ranges[node.subnet], ranges6[node.subnet], leases)
        for node in declared.nodes
        if node.network == name
    )
    return Vpc(
        name=name,
        number=leases["vpc"][name],
        mtu=mtu,
        subnets=subnets,
        machines=machines,
        routes=_routes([route for route in declared.routes if route.network == name], machines),
        rules=_rules([rule for rule in declared.firewalls if rule.network == name], machines),
    )


def _machine(node: DeclaredNode, range_: IPv4Network, range6: IPv6Network | None, leases: Leases) -> Machine:
    number = leases[node.subnet][node.name]
    return Machine(
        name=node.name,
        hostname=node.hostname,
        zone=node.zone,
        project=node.project,
        runtime=node.runtime,
        subnet=node.subnet,
        address=range_[number],
        external=EXTERNAL[leases["external"][node.name]] if node.external_address else None,
        address6=range6[number] if range6 else None,
        tags=node.tags,
        service_account=node.service_account,
    )


def _routes(declared: list[DeclaredRoute], machines: tuple[Machine, ...]) -> tuple[Route, ...]:
    routes = [
        Route(
            destination=route.destination,
            priority=route.priority,
            machines=tuple(each.name for each in machines if not route.tags or route.tags & each.tags),
        )
        for route in declared
    ]
    return tuple(sorted(routes, key=lambda route: (-route.destination.prefixlen, route.priority)))


def _rules(declared: list[DeclaredFirewall], machines: tuple[Machine, ...]) -> tuple[Rule, ...]:
    rules = [rule for firewall in declared for rule in _by_version(firewall, machines)]
    everyone = tuple(each.name for each in machines)
    anything = (Protocol(None),)
    for version in (4, 6):
        rules.append(Rule("implied-allow-egress", "EGRESS", 65536, True, version, anything, (), (), everyone))
        rules.append(
            Rule("implied-deny-ingress", "INGRESS", 65536, False, version, anything, (), (), everyone)
        )
    return tuple(sorted(rules, key=lambda rule: (rule.priority, rule.allow)))


def _by_version(firewall: DeclaredFirewall, machines: tuple[Machine, ...]) -> Iterable[Rule]:
    """The rule for IPv4 and for IPv6, as far as its ranges are of that version.

    A rule that names machines as its sources is for both.
    """
    by_machine = bool(firewall.source_tags or firewall.source_accounts)
    senders = [
        each
        for each in machines
        if firewall.source_tags & each.tags or each.service_account in firewall.source_accounts
    ]
    targets = tuple(
        each.name
        for each in machines
        if not (firewall.target_tags or firewall.target_accounts)
        or firewall.target_tags & each.tags
        or each.service_account in firewall.target_accounts
    )
    for version in (4, 6):
        own = [address for each in senders if (address := each.own(version))]
        sources = (
            *(range_ for range_ in firewall.sources if range_.version == version),
            *(ip_network(address) for address in own),
        )
        destinations = tuple(range_ for range_ in firewall.destinations if range_.version == version)
        if (firewall.sources or by_machine) and not sources:
            continue
        if firewall.destinations and not destinations:
            continue
        yield Rule(
            name=firewall.name.rpartition("/")[2],
            direction=firewall.direction,
            priority=firewall.priority,
            allow=firewall.allow,
            version=version,
            protocols=firewall.protocols,
            sources=sources,
            destinations=destinations,
            targets=targets,
        )


def _range6(number: int) -> IPv6Network:
    return IPv6Network((int(EXTERNAL6.network_address) + (number << 64), 64))


def _no_overlap(subnets: Iterable[DeclaredSubnet]) -> None:
    seen: dict[str, list[DeclaredSubnet]] = {}
    for subnet in subnets:
        for other in seen.setdefault(subnet.network, []):
            if subnet.range.overlaps(other.range):
                raise invalid(f"{subnet.name}: {subnet.range} overlaps {other.range} of {other.name}")
        for reserved in (*GOOGLE, IPv4Network("169.254.0.0/16")):
            if subnet.range.overlaps(reserved):
                raise invalid(f"{subnet.name}: {subnet.range} overlaps {reserved}, which is Google's own")
        seen[subnet.network].append(subnet)


def _within(address: Address, ranges: Iterable[Network]) -> bool:
    """Whether one of the ranges has the address; no range stands for any."""
    ranges = tuple(ranges)
    return not ranges or any(range_.version == address.version and address in range_ for range_ in ranges)


def _speaks(entry: Protocol, protocol: int, port: int | None) -> bool:
    if entry.number is not None and entry.number != protocol:
        return False
    return not entry.ports or (port is not None and any(first <= port <= last for first, last in entry.ports))


def machines_by_name(topology: Topology) -> Mapping[str, Machine]:
    """All machines of all VPCs."""
    return {machine.name: machine for vpc in topology.vpcs for machine in vpc.machines}
