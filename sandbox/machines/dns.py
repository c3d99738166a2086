"""How a VPC resolves names, as Cloud DNS does.

The order is Google's (https://cloud.google.com/dns/docs/vpc-name-res-order): response policy, private zones,
Compute's internal names, public names. Whether a response policy is applied to the targets of a CNAME too is
not documented; here it is not, which is the less strict way, so that a leak shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dnslib import QTYPE, RCODE, RR, SOA, A, DNSLabel, DNSRecord

from sandbox.cloud.errors import failed_precondition, invalid, unimplemented
from sandbox.machines.addresses import METADATA, PRIVATE, PUBLIC, RESTRICTED
from sandbox.machines.declared import network_name
from sandbox.machines.topology import Machine

Resource = Mapping[str, Any]

_CHAIN: Final = 16
"""How many CNAMEs are followed."""
_TTL: Final = 300

GOOGLE_DOMAINS: Final = ("googleapis.com.", "pkg.dev.", "gcr.io.")
"""Public names of Google that the sandbox answers for."""


@dataclass(frozen=True)
class RecordSet:
    """Records of one name and type; the name may be a wildcard."""

    name: str
    """In lower case, with a final dot."""
    type: str
    ttl: int
    data: tuple[str, ...]

    def answer(self, owner: str) -> list[RR]:
        """The records as an answer about `owner`, which a wildcard stands for."""
        return [rr for text in self.data for rr in RR.fromZone(f"{owner} {self.ttl} IN {self.type} {text}")]


@dataclass(frozen=True)
class Zone:
    """A private zone."""

    domain: str
    records: Mapping[tuple[str, str], RecordSet]

    def owner(self, name: str) -> str | None:
        """The name or the wildcard that answers for `name` (RFC 4592); None if the zone has no such name."""
        owners = {owner for owner, _ in self.records} | {self.domain}
        ancestor = name
        while True:
            if any(owner == ancestor or owner.endswith("." + ancestor) for owner in owners):
                # What exists, be it only as a node between, hides the wildcards above.
                wildcard = f"*.{ancestor}"
                return name if ancestor == name else (wildcard if wildcard in owners else None)
            ancestor = ancestor.partition(".")[2]


@dataclass(frozen=True)
class PolicyRule:
    """A rule of a response policy."""

    selector: str
    """An exact name, or a wildcard: `*.example.com.`; `*.` is every name."""
    records: tuple[RecordSet, ...] | None
    """Local data; None lets the query pass (`bypassResponsePolicy`)."""


@dataclass(frozen=True)
class View:
    """What one VPC sees of the DNS."""

    network: str
    zones: tuple[Zone, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    logging: bool = False
    machines: tuple[Machine, ...] = ()


@dataclass
class Resolution:
    """An answer and the way it was found."""

    rcode: int = RCODE.NOERROR
    answers: list[RR] = field(default_factory=list)
    authority: list[RR] = field(default_factory=list)
    via: str = ""
    """`response-policy`, `private-zone`, `compute`, `google` or `internet`."""


Upstream = Callable[[str, str], Resolution]
"""The public DNS, for names that are not Google's: name and type."""


def views(dns: Mapping[str, Resource], machines: Mapping[str, Iterable[Machine]]) -> dict[str, View]:
    """The view of each network in `machines`, from the Store's resources under `dns/`.

    What the sandbox can't reproduce raises an ApiError that names it.
    """
    zones: dict[str, list[Zone]] = {network: [] for network in machines}
    rules: dict[str, tuple[PolicyRule, ...]] = {}
    logging: set[str] = set()
    for full, body in dns.items():
        parts = full.split("/")
        if len(parts) != 5:
            continue
        project, kind, name = parts[2], parts[3], "/".join(parts[1:])
        if kind == "managedZones":
            zone = _zone(name, body, _below(dns, f"{full}/rrsets/"))
            for network in _zone_networks(body, project):
                zones.setdefault(network, []).append(zone)
        elif kind == "responsePolicies":
            own = tuple(_rule(name, rule) for rule in _below(dns, f"{full}/rules/"))
            _refuse(name, body, "gkeClusters")
            for network in _networks(body.get("networks"), project):
                if network in rules:
                    raise failed_precondition(f"{name}: {network} already has a response policy")
                rules[network] = own
        elif kind == "policies":
            _refuse(name, body, "alternativeNameServerConfig", "enableInboundForwarding", "dns64Config")
            if body.get("enableLogging"):
                logging.update(_networks(body.get("networks"), project))
    return {
        network: View(network, tuple(zones[network]), rules.get(network, ()), network in logging, tuple(live))
        for network, live in machines.items()
    }


def resolve(view: View, name: str, type_: str, upstream: Upstream) -> Resolution:
    """The answer to a query of a machine in this VPC."""
    name = _absolute(name)
    rule = matching(view.rules, name)
    if rule is not None and rule.records is not None:
        found = _local(rule.records, name, type_)
        found.via = "response-policy"
    else:
        found = _lookup(view, name, type_, upstream)
    target = _alias(found.answers, type_)
    for _ in range(_CHAIN):
        if target is None:
            return found
        onward = _lookup(view, target, type_, upstream)
        target = _alias(onward.answers, type_)
        found.answers += onward.answers
        found.rcode, found.authority = onward.rcode, onward.authority
    return Resolution(rcode=RCODE.SERVFAIL, via=found.via)


def matching(rules: Iterable[PolicyRule], name: str) -> PolicyRule | None:
    """The rule for a name: the exact one, else the longest wildcard."""
    fitting = [rule for rule in rules if _selects(rule.selector, name)]
    return max(
        fitting, key=lambda rule: (not rule.selector.startswith("*"), len(rule.selector)), default=None
    )


def _selects(selector: str, name: str) -> bool:
    if selector == "*.":
        return True
    return name.endswith(selector[1:]) if selector.startswith("*.") else name == selector


def _local(records: Iterable[RecordSet], name: str, type_: str) -> Resolution:
    """Local data answer a name altogether: a type that they don't have does not exist."""
    wanted = [each for each in records if each.type in (type_, "CNAME") or type_ == "ANY"]
    return Resolution(answers=[rr for each in wanted for rr in each.answer(name)])


def _lookup(view: View, name: str, type_: str, upstream: Upstream) -> Resolution:
    zone = max(
        (zone for zone in view.zones if name == zone.domain or name.endswith("." + zone.domain)),
        key=lambda zone: len(zone.domain),
        default=None,
    )
    if zone is not None:
        return _from_zone(zone, name, type_)
    if name == "internal." or name.endswith(".internal."):
        return _compute(view.machines, name, type_)
    if any(name == domain or name.endswith("." + domain) for domain in GOOGLE_DOMAINS):
        return _google(name, type_)
    found = upstream(name, type_)
    found.via = "internet"
    return found


def _from_zone(zone: Zone, name: str, type_: str) -> Resolution:
    owner = zone.owner(name)
    soa = RR(
        zone.domain,
        QTYPE.SOA,
        ttl=_TTL,
        rdata=SOA("ns-gcp-private.googledomains.com.", "cloud-dns-hostmaster.google.com."),
    )
    if owner is None:
        return Resolution(rcode=RCODE.NXDOMAIN, authority=[soa], via="private-zone")
    alias = zone.records.get((owner, "CNAME"))
    own = alias or zone.records.get((owner, type_))
    if own is None:
        return Resolution(authority=[soa], via="private-zone")
    return Resolution(answers=own.answer(name), via="private-zone")


def _compute(machines: Iterable[Machine], name: str, type_: str) -> Resolution:
    """https://cloud.google.com/compute/docs/internal-dns"""
    addresses = {f"{machine.fqdn}.": str(machine.address) for machine in machines}
    addresses["metadata.google.internal."] = str(METADATA)
    if name not in addresses:
        return Resolution(rcode=RCODE.NXDOMAIN, via="compute")
    answers = [RR(name, QTYPE.A, ttl=_TTL, rdata=A(addresses[name]))] if type_ == "A" else []
    return Resolution(answers=answers, via="compute")


def _google(name: str, type_: str) -> Resolution:
    front = {"restricted.googleapis.com.": RESTRICTED, "private.googleapis.com.": PRIVATE}.get(name)
    addresses = [PUBLIC[10]] if front is None else list(front)
    answers = [RR(name, QTYPE.A, ttl=_TTL, rdata=A(str(each))) for each in addresses] if type_ == "A" else []
    return Resolution(answers=answers, via="google")


def _alias(answers: list[RR], type_: str) -> str | None:
    """The name that a chain of answers ends in, if it still has to be looked up."""
    if not answers or type_ in ("CNAME", "ANY") or answers[-1].rtype != QTYPE.CNAME:
        return None
    return _absolute(str(answers[-1].rdata))


def reply(query: DNSRecord, resolution: Resolution) -> DNSRecord:
    """The resolution as a DNS message."""
    message = query.reply(ra=1, aa=0)
    message.header.rcode = resolution.rcode
    message.rr.extend(resolution.answers)
    message.auth.extend(resolution.authority)
    return message


def _below(dns: Mapping[str, Resource], prefix: str) -> list[Resource]:
    return [body for name, body in dns.items() if name.startswith(prefix)]


def _zone(name: str, body: Resource, records: list[Resource]) -> Zone:
    if body.get("visibility", "public") != "private":
        raise unimplemented(f"{name}: the sandbox has private zones only, no public ones")
    _refuse(name, body, "forwardingConfig", "peeringConfig", "serviceDirectoryConfig", "reverseLookupConfig")
    sets = [_record_set(name, record) for record in records]
    return Zone(_absolute(str(body["dnsName"])), {(each.name, each.type): each for each in sets})


def _zone_networks(body: Resource, project: str) -> Iterable[str]:
    visible = body.get("privateVisibilityConfig") or {}
    _refuse(str(body.get("name")), visible, "gkeClusters")
    return _networks(visible.get("networks"), project)


def _networks(entries: Iterable[Resource] | None, project: str) -> list[str]:
    return [network_name(str(entry["networkUrl"]), project) for entry in entries or ()]


def _rule(policy: str, body: Resource) -> PolicyRule:
    name = f"{policy}: rule {body.get('ruleName')}"
    selector = _absolute(str(body.get("dnsName", "")))
    if "*" in selector and not (selector.startswith("*.") and selector.count("*") == 1):
        raise invalid(f"{name}: dnsName {selector} has a wildcard elsewhere than as its first label")
    local = (body.get("localData") or {}).get("localDatas")
    if local:
        return PolicyRule(selector, tuple(_record_set(name, each) for each in local))
    if body.get("behavior") == "bypassResponsePolicy":
        return PolicyRule(selector, None)
    raise invalid(f"{name}: needs localData or the behavior bypassResponsePolicy")


def _record_set(where: str, body: Resource) -> RecordSet:
    _refuse(where, body, "routingPolicy")
    made = RecordSet(
        name=_absolute(str(body["name"])),
        type=str(body["type"]),
        ttl=int(body.get("ttl") or _TTL),
        data=tuple(str(each) for each in body.get("rrdatas") or ()),
    )
    try:
        made.answer(made.name)
    except Exception as error:  # dnslib raises whatever its parsers raise
        raise invalid(
            f"{where}: record {made.name} {made.type} {' '.join(made.data)} can't be read: {error}"
        ) from None
    return made


def _refuse(name: str, body: Resource, *fields: str) -> None:
    for field_ in fields:
        value = body.get(field_)
        if isinstance(value, Mapping):
            value = any(each not in (None, False, "", [], {}) for key, each in value.items() if key != "kind")
        if value:
            raise unimplemented(f"{name}: the sandbox's DNS can't reproduce '{field_}'")


def _absolute(name: str) -> str:
    return str(name).lower().rstrip(".") + "."


def question(query: DNSRecord) -> tuple[str, str]:
    """Name and type that a message asks for."""
    return _absolute(str(DNSLabel(query.q.qname))), str(QTYPE[query.q.qtype])
