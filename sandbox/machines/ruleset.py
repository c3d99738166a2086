"""A VPC as an nftables ruleset for the namespace that plays its router. Pure: text out of a topology.

The kernel's own routing only knows where each address lies. Whether a packet may go there is decided here, in
the order in which Google decides it: sender's address, egress rules, route, gateway (or ingress rules).
What may pass is `accept`ed, everything else is dropped without an answer, as on Google.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sandbox.machines.addresses import (
    GOOGLE,
    INTERNET,
    INTERNET6,
    INTERNET_PORTS,
    INTERNET_SERVER,
    INTERNET_SERVER6,
    METADATA,
    Address,
    Network,
)
from sandbox.machines.declared import Protocol
from sandbox.machines.topology import Machine, Rule, Vpc

GOOGLE_LINK: Final = "google"
INTERNET_LINK: Final = "internet"
"""The router's interfaces towards Google and towards the internet."""

_PORTS: Final = {6: "tcp", 17: "udp", 132: "sctp"}


def interface(machine: Machine) -> str:
    """The router's interface towards a machine; at most 15 characters, as Linux has it."""
    return f"m-{int(machine.address):08x}"


def ruleset(vpc: Vpc) -> str:
    """The whole ruleset of the VPC's router, for `nft -f`: it replaces the one that is there in one step."""
    chains = (
        _input(vpc),
        _forward(vpc),
        _chain("egress", *_firewall(vpc, "EGRESS", "goto route"), "drop"),
        _chain("route", *_routes(vpc), "drop"),
        _chain("gateway", *_gateway(vpc), "drop"),
        _chain("ingress", *_firewall(vpc, "INGRESS", "accept"), "drop"),
        _source_nat(vpc),
        _destination_nat(vpc),
    )
    body = "\n".join(chains)
    return f"table inet vpc\ndelete table inet vpc\ntable inet vpc {{\n{body}}}\n"


def internet_ruleset() -> str:
    """For the internet's namespace: one server answers for all of its addresses."""
    ports = ", ".join(str(port) for port in INTERNET_PORTS)
    services = f"meta l4proto {{ tcp, udp }} th dport {{ {ports} }}"
    chain = _chain(
        "server",
        f"ip daddr {INTERNET} {services} dnat ip to {INTERNET_SERVER}",
        f"ip6 daddr {INTERNET6} {services} dnat ip6 to {INTERNET_SERVER6}",
        hook="type nat hook prerouting priority dstnat; policy accept;",
    )
    return f"table inet internet\ndelete table inet internet\ntable inet internet {{\n{chain}}}\n"


def _chain(name: str, *rules: str, hook: str = "") -> str:
    lines = ([hook] if hook else []) + list(rules)
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _input(vpc: Vpc) -> str:
    """What the router itself answers: its machines' metadata and DNS, whatever the firewall says."""
    services = []
    own = _pairs(vpc.machines, 4)
    if own:
        here = f"iifname . ip saddr {own} ip daddr {METADATA}"
        services = [f"{here} tcp dport {{ 53, 80 }} accept", f"{here} udp dport 53 accept"]
    return _chain(
        "input",
        'iifname "lo" accept',
        "ct state established,related accept",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        *services,
        hook="type filter hook input priority filter; policy drop;",
    )


def _forward(vpc: Vpc) -> str:
    """Where a packet comes from: a machine by its own address, or the internet."""
    spoofed = []
    for version, family in ((4, "ip"), (6, "ip6")):
        own = _pairs(vpc.machines, version)
        if own:
            spoofed.append(f"iifname . {family} saddr {own} goto tracked")
    tracked = _chain(
        "tracked",
        "ct state established,related accept",
        "ct state invalid drop",
        "goto egress",
    )
    return tracked + _chain(
        "forward",
        *spoofed,
        f'iifname {{ "{GOOGLE_LINK}", "{INTERNET_LINK}" }} ct state established,related accept',
        f'iifname "{INTERNET_LINK}" goto ingress',
        hook="type filter hook forward priority filter; policy drop;",
    )


def _firewall(vpc: Vpc, direction: str, allowed: str) -> Iterator[str]:
    by_name = {machine.name: machine for machine in vpc.machines}
    for rule in vpc.rules:
        if rule.direction != direction:
            continue
        targets = [own for name in rule.targets if (own := by_name[name].own(rule.version)) is not None]
        if targets:
            verdict = allowed if rule.allow else "drop"
            for protocol in rule.protocols:
                yield f'{_match(rule, targets, protocol)} {verdict} comment "{rule.name}"'


def _match(rule: Rule, targets: list[Address], protocol: Protocol) -> str:
    family = "ip" if rule.version == 4 else "ip6"
    sources: Iterable[Network | Address] = targets if rule.direction == "EGRESS" else rule.sources
    destinations: Iterable[Network | Address] = targets if rule.direction == "INGRESS" else rule.destinations
    parts = [_addresses(f"{family} saddr", sources), _addresses(f"{family} daddr", destinations)]
    if protocol.ports:
        assert protocol.number is not None
        ports = ", ".join(f"{first}-{last}" if first < last else f"{first}" for first, last in protocol.ports)
        parts.append(f"{_PORTS[protocol.number]} dport {{ {ports} }}")
    elif protocol.number is not None:
        parts.append(f"meta l4proto {protocol.number}")
    return " ".join(part for part in parts if part)


def _routes(vpc: Vpc) -> Iterator[str]:
    """Subnets first, for on Google no other route is more specific; then the first that fits."""
    by_name = {machine.name: machine for machine in vpc.machines}
    for subnet in vpc.subnets:
        yield f"ip daddr {subnet.range} goto ingress"
        if subnet.range6:
            yield f"ip6 daddr {subnet.range6} goto ingress"
    for route in vpc.routes:
        version = route.destination.version
        family = "ip" if version == 4 else "ip6"
        senders = [own for name in route.machines if (own := by_name[name].own(version)) is not None]
        if senders:
            everywhere = _addresses(f"{family} daddr", [route.destination])
            yield f"{_addresses(f'{family} saddr', senders)} {everywhere} goto gateway".replace("  ", " ")


def _gateway(vpc: Vpc) -> Iterator[str]:
    """The default internet gateway: it takes packets only of machines that are allowed out."""
    google = _addresses("ip daddr", GOOGLE)
    to_google = [machine.address for machine in vpc.machines if vpc.reaches_google(machine)]
    if to_google:
        yield f'{google} {_addresses("ip saddr", to_google)} oifname "{GOOGLE_LINK}" accept'
    yield f"{google} drop"
    for version, family in ((4, "ip"), (6, "ip6")):
        out = [
            own
            for machine in vpc.machines
            if vpc.reaches_internet(machine, version) and (own := machine.own(version)) is not None
        ]
        if out:
            yield f'{_addresses(f"{family} saddr", out)} oifname "{INTERNET_LINK}" accept'


def _source_nat(vpc: Vpc) -> str:
    """How machines are called outside: by their external address, or by that of Cloud NAT."""
    rules = [f'oifname "{GOOGLE_LINK}" snat ip to {vpc.transit}']
    for machine in vpc.machines:
        if machine.external:
            rules.append(
                f'oifname "{INTERNET_LINK}" ip saddr {machine.address} snat ip to {machine.external}'
            )
    rules += [
        f'oifname "{INTERNET_LINK}" ip saddr {subnet.range} snat ip to {vpc.nat_address}'
        for subnet in vpc.subnets
        if subnet.nat
    ]
    return _chain("source_nat", *rules, hook="type nat hook postrouting priority srcnat; policy accept;")


def _destination_nat(vpc: Vpc) -> str:
    rules = [
        f'iifname "{INTERNET_LINK}" ip daddr {machine.external} dnat ip to {machine.address}'
        for machine in vpc.machines
        if machine.external
    ]
    return _chain("destination_nat", *rules, hook="type nat hook prerouting priority dstnat; policy accept;")


def _pairs(machines: Iterable[Machine], version: int) -> str:
    """The set of interface and address of each machine; empty when none has an address of that version."""
    pairs = [f'"{interface(each)}" . {own}' for each in machines if (own := each.own(version)) is not None]
    return f"{{ {', '.join(pairs)} }}" if pairs else ""


def _addresses(field: str, addresses: Iterable[Network | Address]) -> str:
    """A match on one of these; nothing when they are everything."""
    texts = [str(each) for each in addresses]
    if not texts or "0.0.0.0/0" in texts or "::/0" in texts:
        return ""
    return f"{field} {{ {', '.join(sorted(set(texts)))} }}"
