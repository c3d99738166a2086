"""Addresses that Google gives a meaning to; every use in the stacks comes from here."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final


@dataclass(frozen=True)
class Ranges:
    """IPv4 ranges outside of anybody's own networks."""

    restricted: IPv4Network
    """restricted.googleapis.com: the Google services that VPC Service Controls covers, and no others
    (https://cloud.google.com/vpc-service-controls/docs/set-up-private-connectivity)."""
    iap: IPv4Network
    """Where Identity-Aware Proxy's TCP forwarding comes from
    (https://cloud.google.com/iap/docs/using-tcp-forwarding)."""


RANGES: Final = Ranges(restricted=IPv4Network("199.36.153.4/30"), iap=IPv4Network("35.235.240.0/20"))
