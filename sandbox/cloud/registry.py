"""The services of this cloud: their names, hosts and variables, and what answers for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sandbox.cloud import artifact_registry, storage
from sandbox.cloud.context import Cloud, Handler
from sandbox.cloud.control import Control
from sandbox.cloud.discovery import load
from sandbox.cloud.kinds import Kind
from sandbox.cloud.services import (
    artifactregistry,
    buckets,
    cloudkms,
    compute,
    dns,
    iam,
    iamcredentials,
    oauth2,
    resourcemanager,
    serviceusage,
    tpu,
)


@dataclass(frozen=True)
class Service:
    """One service of Google's."""

    name: str
    """As its resources' names begin in the store, and as its port is kept."""
    host: str
    """Its name on the internet; for the log."""
    hosts: str
    """Pattern of all its names."""
    versions: tuple[str, ...] = ()
    """Of its API, the one that clients take first; empty for a data plane alone."""
    basic: bool = False
    """Whether the token may come by Basic authentication."""
    anonymous: bool = False
    """Whether it asks for no token."""


def _api(name: str, *versions: str) -> Service:
    host = f"{name}.googleapis.com"
    return Service(name, host, re.escape(host), versions)


SERVICES: Final = (
    _api("artifactregistry", "v1"),
    _api("cloudkms", "v1"),
    _api("cloudresourcemanager", "v1"),
    _api("compute", "beta"),
    _api("dns", "v1beta2", "v1"),  # the provider asks for zones in the one and for record sets in the other
    _api("iam", "v1"),
    _api("iamcredentials", "v1"),
    _api("serviceusage", "v1"),
    _api("storage", "v1"),
    _api("tpu", "v2"),
    Service("oauth2", "oauth2.googleapis.com", r"oauth2\.googleapis\.com", anonymous=True),
    Service("python", "python.pkg.dev", r"[a-z0-9-]+-python\.pkg\.dev", basic=True),
    Service("apt", "apt.pkg.dev", r"[a-z0-9-]+-apt\.pkg\.dev", basic=True),
)

KINDS: Final[list[Kind]] = [
    *artifactregistry.KINDS,
    *buckets.KINDS,
    *cloudkms.KINDS,
    *compute.KINDS,
    *dns.KINDS,
    *iam.KINDS,
    *tpu.KINDS,
]

OVERRIDES: Final[dict[str, Handler]] = {
    **artifactregistry.OVERRIDES,
    **cloudkms.OVERRIDES,
    **compute.OVERRIDES,
    **dns.OVERRIDES,
    **iam.OVERRIDES,
    **iamcredentials.OVERRIDES,
    **resourcemanager.OVERRIDES,
    **serviceusage.OVERRIDES,
    **tpu.OVERRIDES,
}

_ANY: Final = re.compile("")
_BUCKETS: Final = re.compile(r"/storage/v1/b(\?|$|/[^/?]*(\?|$|/(?!o[/?]|o$)))")
"""Paths of buckets; those of objects, uploads and downloads are the data plane's."""


def applications(cloud: Cloud) -> Iterator[tuple[Service, re.Pattern[str], web.Application]]:
    """Each service with the application that answers for the paths that a pattern matches."""
    for service in SERVICES:
        for version in reversed(service.versions):
            charge = artifact_registry.charge_method if service.name == "artifactregistry" else None
            control = Control(cloud, load(service.name, version), KINDS, OVERRIDES, charge)
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", control.handle)
            if version != service.versions[0]:
                rule = re.compile(rf"/{service.name}/{version}/")
            else:
                rule = _BUCKETS if service.name == "storage" else _ANY
            yield service, rule, app
        if service.name == "storage":
            yield service, _ANY, storage.application(cloud)
        if service.name == "oauth2":
            yield service, _ANY, oauth2.application(cloud)
        if service.name == "python":
            yield service, _ANY, artifact_registry.application_python(cloud)
        if service.name == "apt":
            yield service, _ANY, artifact_registry.application_apt(cloud)
