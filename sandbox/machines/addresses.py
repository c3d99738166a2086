"""The address plan of the sandbox's little internet, and numbers that stay with whoever has them.

Everything outside a VPC has an address from a range kept for documentation (RFC 5737, RFC 3849) or, for
Google's two private fronts, the address that Google documents; none of them leaves the sandbox's namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from sandbox.cloud.errors import failed_precondition

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

METADATA: Final = IPv4Address("169.254.169.254")
"""Metadata server and DNS resolver of every VPC (https://cloud.google.com/compute/docs/metadata/overview)."""

RESTRICTED: Final = IPv4Network("199.36.153.4/30")
"""restricted.googleapis.com (https://cloud.google.com/vpc/docs/configure-private-google-access)."""
PRIVATE: Final = IPv4Network("199.36.153.8/30")
"""private.googleapis.com (same page)."""
PUBLIC: Final = IPv4Network("198.51.100.0/24")
"""Stands for the public addresses of Google's services."""
GOOGLE: Final = (RESTRICTED, PRIVATE, PUBLIC)

INTERNET: Final = IPv4Network("203.0.113.0/24")
INTERNET6: Final = IPv6Network("2001:db8::/33")
"""The stand-in for the internet answers on every address of these two."""
INTERNET_SERVER: Final = INTERNET[1]
INTERNET_SERVER6: Final = INTERNET6[1]
"""Where its services really sit."""
INTERNET_PORTS: Final = (7, 53, 443)
"""Echo (RFC 862), DNS and https."""

EXTERNAL: Final = IPv4Network("192.0.2.0/24")
"""External addresses: of Cloud NAT, and of machines that have one."""
EXTERNAL6: Final = IPv6Network("2001:db8:8000::/33")
"""External IPv6 ranges of dual-stack subnets, a /64 each."""

TRANSIT: Final = IPv4Network("100.64.0.0/24")
"""What a VPC's router is called on its way to Google."""

GATEWAY6: Final = IPv6Address("fe80::1")
"""The nearer end of each IPv6 link."""
PEER6: Final = IPv6Address("fe80::2")

VPC_NUMBERS: Final = range(1, 101)
MACHINE_NUMBERS: Final = range(101, 255)
SUBNET6_NUMBERS: Final = range(1, 65536)

Leases = Mapping[str, Mapping[str, int]]
"""Pool, then owner, then number: what keeps an address with its machine while others come and go."""


def lease(owners: Iterable[str], previous: Mapping[str, int], numbers: range, what: str) -> dict[str, int]:
    """A number for each owner: the one it had, else the lowest that is free. 400 when there are none left."""
    wanted = sorted(set(owners))
    held = {owner: previous[owner] for owner in wanted if previous.get(owner) in numbers}
    taken = set(held.values())
    free = (number for number in numbers if number not in taken)
    for owner in wanted:
        if owner not in held:
            number = next(free, None)
            if number is None:
                raise failed_precondition(f"{what} has no address left for {owner}")
            held[owner] = number
    return held
