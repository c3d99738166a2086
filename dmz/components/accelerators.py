"""Which zones have which TPU, so that a wrong zone is found before anything is made.

From https://cloud.google.com/tpu/docs/regions-zones, as far as it was seen: zones open to everyone, not the
single-tenant ones. Google changes this list; `dmz:allowUnlistedZone` passes over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LISTED: Final = "November 2026"
"""When the lists below were compared with Google's page."""

_EUROPE_V3: Final = frozenset({"europe-west4-a"})
_V2_POD: Final = frozenset({"us-central1-a", "europe-west4-a"})

_BY_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "v2-8": frozenset({"us-central1-b", "us-central1-c", "europe-west4-a", "asia-east1-c"}),
    **{f"v2-{cores}": _V2_POD for cores in (32, 128, 256, 512)},
    "v3-8": frozenset({"us-central1-a", "us-central1-b", "europe-west4-a"}),
    **{f"v3-{cores}": _EUROPE_V3 for cores in (32, 64, 128, 256, 512, 1024, 2048)},
}
"""Generations whose zones differ by size."""

_BY_GENERATION: Final[Mapping[str, frozenset[str]]] = {
    "v4": frozenset({"us-central2-b"}),
    "v5litepod": frozenset({"us-central1-a", "us-south1-a", "us-west1-c", "us-west4-a"}),
    "v5p": frozenset({"us-central1-a", "us-east5-a"}),
    "v6e": frozenset({"us-central1-b", "us-east1-d", "us-east5-a", "us-east5-b"}),
}
"""Generations whose every size is in the same zones."""


def zones(accelerator_type: str) -> frozenset[str]:
    """The zones listed for an accelerator type (`v3-8`); empty for one that is not listed."""
    generation = accelerator_type.partition("-")[0]
    return _BY_TYPE.get(accelerator_type, _BY_GENERATION.get(generation, frozenset()))
