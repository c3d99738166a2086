"""What the kernel has to hold to carry a topology, and the commands from one state to the next. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sandbox.machines.addresses import (
    EXTERNAL,
    EXTERNAL6,
    GATEWAY6,
    GOOGLE,
    INTERNET,
    INTERNET6,
    INTERNET_SERVER,
    INTERNET_SERVER6,
    METADATA,
    PEER6,
    PUBLIC,
)
from sandbox.machines.ruleset import GOOGLE_LINK, INTERNET_LINK, interface, internet_ruleset, ruleset
from sandbox.machines.topology import Machine, Topology, Vpc

MACHINE_LINK: Final = "eth0"


@dataclass(frozen=True, order=True)
class Link:
    """A pair of virtual interfaces between two namespaces."""

    namespace: str
    interface: str
    peer_namespace: str
    peer_interface: str
    mtu: int


@dataclass(frozen=True, order=True)
class Setting:
    """An address (`addr`) or a route (`route`) of an interface, as iproute2 takes it."""

    namespace: str
    interface: str
    kind: str
    text: str


@dataclass(frozen=True)
class Wiring:
    """Everything that the kernel has to hold."""

    namespaces: frozenset[str] = frozenset()
    forwarding: frozenset[str] = frozenset()
    """Those of the namespaces that pass packets on."""
    links: frozenset[Link] = frozenset()
    settings: frozenset[Setting] = frozenset()
    rulesets: dict[str, str] = field(default_factory=dict)
    """By namespace, for `nft -f`."""


@dataclass(frozen=True)
class Names:
    """The names of the namespaces of one sandbox."""

    id: str
    """Six hexadecimal digits that are this sandbox's own."""

    @property
    def prefix(self) -> str:
        """What every namespace of this sandbox begins with."""
        return f"dmz-{self.id}-"

    @property
    def google(self) -> str:
        """Where Google's services are reached."""
        return f"{self.prefix}google"

    @property
    def internet(self) -> str:
        """Where the stand-in for the internet lives."""
        return f"{self.prefix}internet"

    def router(self, network: str) -> str:
        """The router of a VPC (`projects/P/global/networks/N`)."""
        project, name = network.split("/")[1], network.split("/")[4]
        return f"{self.prefix}vpc-{project}.{name}"

    def machine(self, node: str) -> str:
        """The namespace of a machine (`projects/P/locations/ZONE/nodes/NODE`)."""
        return f"{self.prefix}vm-{short(node)}"


def short(node: str) -> str:
    """`PROJECT.ZONE.NODE`: a node's name as a file name."""
    _, project, _, zone, _, name = node.split("/")
    return re.sub(r"[^a-z0-9.-]", "-", f"{project}.{zone}.{name}".lower())


def wire(topology: Topology, names: Names, running: Iterable[str]) -> Wiring:
    """What the kernel has to hold for this topology; only machines in `running` get a namespace."""
    live = set(running)
    namespaces = {names.google, names.internet}
    links: set[Link] = set()
    settings = set(_fronts(names))
    rulesets = {names.internet: internet_ruleset()}
    for vpc in topology.vpcs:
        router = names.router(vpc.name)
        namespaces.add(router)
        rulesets[router] = ruleset(vpc)
        links |= {
            Link(router, GOOGLE_LINK, names.google, f"vpc{vpc.number}", vpc.mtu),
            Link(router, INTERNET_LINK, names.internet, f"vpc{vpc.number}", vpc.mtu),
        }
        settings |= set(_router(vpc, names))
        for machine in vpc.machines:
            if machine.name in live:
                namespaces.add(names.machine(machine.name))
                links.add(
                    Link(router, interface(machine), names.machine(machine.name), MACHINE_LINK, vpc.mtu)
                )
                settings |= set(_machine(vpc, machine, names))
    return Wiring(
        namespaces=frozenset(namespaces),
        forwarding=frozenset(rulesets),
        links=frozenset(links),
        settings=frozenset(settings),
        rulesets=rulesets,
    )


def _fronts(names: Names) -> Iterable[Setting]:
    """Both fronts answer on every address of their ranges; the internet's services sit on one of them."""
    yield Setting(names.internet, "lo", "addr", f"{INTERNET_SERVER}/32 dev lo")
    yield Setting(names.internet, "lo", "addr", f"{INTERNET_SERVER6}/128 dev lo nodad")
    for range_ in GOOGLE:
        yield Setting(names.google, "lo", "route", f"local {range_} dev lo")
    for far in (INTERNET, INTERNET6):
        yield Setting(names.internet, "lo", "route", f"local {far} dev lo")
    # Nobody has these: without the routes a packet to them would find a way to some VPC.
    for nobody in (EXTERNAL, EXTERNAL6):
        yield Setting(names.internet, "lo", "route", f"unreachable {nobody} metric 4096")


def _router(vpc: Vpc, names: Names) -> Iterable[Setting]:
    router, far = names.router(vpc.name), f"vpc{vpc.number}"
    yield Setting(router, "lo", "addr", f"{METADATA}/32 dev lo")
    yield Setting(router, GOOGLE_LINK, "addr", f"{vpc.transit}/32 dev {GOOGLE_LINK}")
    for range_ in GOOGLE:
        yield Setting(router, GOOGLE_LINK, "route", f"{range_} via {PUBLIC[1]} dev {GOOGLE_LINK} onlink")
    yield Setting(names.google, far, "route", f"{vpc.transit}/32 dev {far}")

    external = [vpc.nat_address, *(machine.external for machine in vpc.machines if machine.external)]
    for address in external:
        yield Setting(router, INTERNET_LINK, "addr", f"{address}/32 dev {INTERNET_LINK}")
        yield Setting(names.internet, far, "route", f"{address}/32 dev {far}")
    yield Setting(router, INTERNET_LINK, "route", f"default via {INTERNET[1]} dev {INTERNET_LINK} onlink")
    yield Setting(router, INTERNET_LINK, "addr", f"{PEER6}/64 dev {INTERNET_LINK} nodad")
    yield Setting(names.internet, far, "addr", f"{GATEWAY6}/64 dev {far} nodad")
    yield Setting(router, INTERNET_LINK, "route", f"default via {GATEWAY6} dev {INTERNET_LINK}")
    for subnet in vpc.subnets:
        if subnet.range6:
            yield Setting(names.internet, far, "route", f"{subnet.range6} via {PEER6} dev {far}")


def _machine(vpc: Vpc, machine: Machine, names: Names) -> Iterable[Setting]:
    """As on Google a machine has one address (/32) and a gateway, whether or not that leads anywhere."""
    router, inside = names.router(vpc.name), names.machine(machine.name)
    near, gateway = interface(machine), vpc.subnet_of(machine).gateway
    yield Setting(router, near, "addr", f"{gateway}/32 dev {near}")
    yield Setting(router, near, "route", f"{machine.address}/32 dev {near}")
    yield Setting(inside, MACHINE_LINK, "addr", f"{machine.address}/32 dev {MACHINE_LINK}")
    yield Setting(inside, MACHINE_LINK, "route", f"{gateway}/32 dev {MACHINE_LINK}")
    yield Setting(inside, MACHINE_LINK, "route", f"default via {gateway} dev {MACHINE_LINK}")
    if machine.address6:
        yield Setting(router, near, "addr", f"{GATEWAY6}/64 dev {near} nodad")
        yield Setting(router, near, "route", f"{machine.address6}/128 dev {near}")
        yield Setting(inside, MACHINE_LINK, "addr", f"{PEER6}/64 dev {MACHINE_LINK} nodad")
        yield Setting(inside, MACHINE_LINK, "addr", f"{machine.address6}/128 dev {MACHINE_LINK} nodad")
        yield Setting(inside, MACHINE_LINK, "route", f"default via {GATEWAY6} dev {MACHINE_LINK}")


@dataclass(frozen=True)
class Step:
    """Commands for one run of `ip -batch`."""

    namespace: str | None
    """Where they run; None is the host's own."""
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What leads from one wiring to another, in this order.

    A ruleset is in place before the first link that it guards.
    """

    remove: tuple[Step, ...]
    create: tuple[str, ...]
    """New namespaces."""
    rulesets: dict[str, str]
    add: tuple[Step, ...]

    def __bool__(self) -> bool:
        return bool(self.remove or self.create or self.rulesets or self.add)


def change(old: Wiring, new: Wiring) -> Change:
    """The least that has to be done; nothing when both are the same."""
    gone_namespaces, fresh = old.namespaces - new.namespaces, new.namespaces - old.namespaces
    gone_links, new_links = old.links - new.links, new.links - old.links
    torn = {
        *((link.namespace, link.interface) for link in gone_links),
        *((link.peer_namespace, link.peer_interface) for link in gone_links),
    }

    def lost(setting: Setting) -> bool:
        return setting.namespace in gone_namespaces or (setting.namespace, setting.interface) in torn

    # The kernel itself drops what stood on an interface or in a namespace that goes; the same setting on a
    # new interface of that name has to be made again.
    kept = {setting for setting in old.settings if not lost(setting)}
    dropped, added = kept - new.settings, new.settings - kept
    remove = [
        *_settings("del", dropped, ("route", "addr")),
        # Links go before namespaces: a namespace lives on as long as somebody holds a socket in it.
        *(Step(link.namespace, (f"link del dev {link.interface}",)) for link in sorted(gone_links)),
    ]
    if gone_namespaces:
        remove.append(Step(None, tuple(f"netns del {name}" for name in sorted(gone_namespaces))))
    add = []
    if new_links:
        add.append(Step(None, tuple(_link(link) for link in sorted(new_links))))
        ends: dict[str, list[str]] = {}
        for link in sorted(new_links):
            ends.setdefault(link.namespace, []).append(link.interface)
            ends.setdefault(link.peer_namespace, []).append(link.peer_interface)
        add += [
            Step(name, tuple(f"link set dev {end} addrgenmode none up" for end in interfaces))
            for name, interfaces in sorted(ends.items())
        ]
    add += _settings("add", added, ("addr", "route"))
    return Change(
        remove=tuple(remove),
        create=tuple(sorted(fresh)),
        rulesets={
            name: text
            for name, text in new.rulesets.items()
            if name in fresh or old.rulesets.get(name) != text
        },
        add=tuple(add),
    )


def _link(link: Link) -> str:
    return (
        f"link add name {link.interface} mtu {link.mtu} netns {link.namespace} "
        f"type veth peer name {link.peer_interface} mtu {link.mtu} netns {link.peer_namespace}"
    )


def _settings(verb: str, settings: Iterable[Setting], kinds: tuple[str, ...]) -> list[Step]:
    """One step for each namespace; of routes the ones to a link come before those by a gateway on it."""
    by_namespace: dict[str, list[Setting]] = {}
    for setting in settings:
        by_namespace.setdefault(setting.namespace, []).append(setting)
    steps = []
    for name, mine in sorted(by_namespace.items()):
        ordered = sorted(mine, key=lambda each: (kinds.index(each.kind), " via " in each.text, each.text))
        if verb == "del":
            ordered.sort(key=lambda each: (kinds.index(each.kind), " via " not in each.text, each.text))
        steps.append(Step(name, tuple(f"{each.kind} {verb} {each.text}" for each in ordered)))
    return steps
