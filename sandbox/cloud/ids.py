"""The numbers that Google gives to what it makes."""

from __future__ import annotations

import secrets


def new_id() -> str:
    """A fresh id of 19 digits, in decimal, as Google's JSON has it.

    The APIs say uint64, yet clients read it into an int64 (the provider does with `subnetworkId`).
    """
    return str(secrets.randbelow(2**63 - 10**18) + 10**18)
