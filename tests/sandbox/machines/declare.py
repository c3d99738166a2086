"""Resources as the gcp plugin posts them, under the names that the store gives them."""

from __future__ import annotations

from typing import Any

Resources = dict[str, dict[str, Any]]

REGION = "us-central1"
ZONE = "us-central1-a"


def network_url(project: str) -> str:
    return f"projects/{project}/global/networks/vpc"


def vpc(project: str, subnet: str, **options: Any) -> Resources:
    """A network with one subnet and nothing else: no route, no NAT, no firewall rule."""
    region = f"projects/{project}/global/regions/{REGION}"
    body = {
        "ipCidrRange": subnet,
        "logConfig": {"aggregationInterval": "INTERVAL_5_SEC", "enable": True, "filterExpr": "true"},
        "name": "subnet",
        "network": network_url(project),
        "privateIpGoogleAccess": True,
        "region": region,
        "stackType": "IPV4_ONLY",
    }
    return {
        f"compute/projects/{project}/global/networks/vpc": {
            "autoCreateSubnetworks": False,
            "mtu": 8896,
            "name": "vpc",
            "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
            "routingConfig": {"deleteBgpAlwaysCompareMed": False, "routingMode": "REGIONAL"},
        },
        f"compute/projects/{project}/regions/{REGION}/subnetworks/subnet": {**body, **options},
    }


def route(project: str, name: str, destination: str, **options: Any) -> Resources:
    return {
        f"compute/projects/{project}/global/routes/{name}": {
            "destRange": destination,
            "name": name,
            "network": network_url(project),
            "nextHopGateway": f"projects/{project}/global/gateways/default-internet-gateway",
            "priority": 1000,
            **options,
        }
    }


def nat(project: str, **options: Any) -> Resources:
    return {
        f"compute/projects/{project}/regions/{REGION}/routers/router": {
            "bgp": None,
            "name": "router",
            "network": network_url(project),
            "region": f"projects/{project}/global/regions/{REGION}",
            "nats": [
                {
                    "drainNatIps": [],
                    "icmpIdleTimeoutSec": 30,
                    "initialNatIps": [],
                    "logConfig": {"enable": True, "filter": "ALL"},
                    "name": "nat",
                    "nat64Subnetworks": [],
                    "natIpAllocateOption": "AUTO_ONLY",
                    "natIps": [],
                    "rules": [],
                    "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
                    "subnetworks": [],
                    "tcpEstablishedIdleTimeoutSec": 1200,
                    "type": "PUBLIC",
                    "udpIdleTimeoutSec": 30,
                    **options,
                }
            ],
        }
    }


def firewall(project: str, name: str, **body: Any) -> Resources:
    return {
        f"compute/projects/{project}/global/firewalls/{name}": {
            "logConfig": {"enable": False},
            "name": name,
            "network": network_url(project),
            **body,
        }
    }


def deny_egress(project: str, name: str, destination: str) -> Resources:
    return firewall(
        project,
        name,
        denied=[{"IPProtocol": "all"}],
        destinationRanges=[destination],
        direction="EGRESS",
        priority=65534,
    )


def allow_vip(project: str) -> Resources:
    return firewall(
        project,
        "allow-restricted-vip",
        allowed=[{"IPProtocol": "tcp", "ports": ["443"]}],
        destinationRanges=["199.36.153.4/30"],
        direction="EGRESS",
        priority=1000,
    )


def node(project: str, name: str = "machine", **options: Any) -> dict[str, Any]:
    """A TPU node with its full name, as the cloud hands it to the machines."""
    return {
        "acceleratorType": "v3-8",
        "labels": {"a": "b"},
        "metadata": {"startup-script": "#!/bin/sh\n"},
        "name": f"projects/{project}/locations/{ZONE}/nodes/{name}",
        "networkConfig": {
            "canIpForward": False,
            "enableExternalIps": False,
            "network": network_url(project),
            "subnetwork": f"projects/{project}/regions/{REGION}/subnetworks/subnet",
        },
        "runtimeVersion": "sandbox-debian-12",
        "schedulingConfig": {"preemptible": False, "reserved": False, "spot": True},
        "serviceAccount": {
            "email": f"vm@{project}.iam.gserviceaccount.com",
            "scope": ["https://www.googleapis.com/auth/cloud-platform"],
        },
        "shieldedInstanceConfig": {"enableSecureBoot": True},
        "tags": ["inner"],
        **options,
    }


def visible_in(project: str) -> list[dict[str, str]]:
    return [{"networkUrl": f"http://127.0.0.1:1/compute/beta/{network_url(project)}"}]


def zone(project: str, name: str, domain: str, *records: tuple[str, str, list[str]]) -> Resources:
    base = f"dns/projects/{project}/managedZones/{name}"
    made: Resources = {
        base: {
            "description": "d",
            "dnsName": domain,
            "name": name,
            "privateVisibilityConfig": {"networks": visible_in(project)},
            "visibility": "private",
        }
    }
    for owner, kind, data in records:
        made[f"{base}/rrsets/{owner}/{kind}"] = {"name": owner, "type": kind, "ttl": 300, "rrdatas": data}
    return made


def private_zones(project: str) -> Resources:
    vip = ["199.36.153.4", "199.36.153.5", "199.36.153.6", "199.36.153.7"]
    made = zone(
        project,
        "googleapis",
        "googleapis.com.",
        ("restricted.googleapis.com.", "A", vip),
        ("*.googleapis.com.", "CNAME", ["restricted.googleapis.com."]),
    )
    for name, domain in (("pkg-dev", "pkg.dev."), ("gcr-io", "gcr.io.")):
        made |= zone(project, name, domain, (domain, "A", vip), (f"*.{domain}", "CNAME", [domain]))
    return made


def response_policy(project: str, *bypassed: str) -> Resources:
    """Every name answered locally, but for those that pass."""
    base = f"dns/projects/{project}/responsePolicies/sealed"
    made: Resources = {
        base: {
            "description": "Managed by Terraform",
            "networks": visible_in(project),
            "responsePolicyName": "sealed",
        },
        f"{base}/rules/everything": {
            "ruleName": "everything",
            "dnsName": "*.",
            "localData": {
                "localDatas": [{"name": "*.", "type": "A", "ttl": 300, "rrdatas": ["0.0.0.0"]}],
            },
        },
    }
    for number, name in enumerate(bypassed):
        made[f"{base}/rules/pass-{number}"] = {
            "ruleName": f"pass-{number}",
            "dnsName": name,
            "behavior": "bypassResponsePolicy",
        }
    return made


BYPASSED = (
    "googleapis.com.",
    "*.googleapis.com.",
    "pkg.dev.",
    "*.pkg.dev.",
    "gcr.io.",
    "*.gcr.io.",
    "*.internal.",
)


def logging_policy(project: str) -> Resources:
    return {
        f"dns/projects/{project}/policies/logging": {
            "description": "Managed by Terraform",
            "enableInboundForwarding": False,
            "enableLogging": True,
            "name": "logging",
            "networks": visible_in(project),
        }
    }


def outer(project: str = "dmz-outer") -> Resources:
    """The way out: default route, NAT, external IPv6."""
    return (
        vpc(project, "10.0.0.0/24", stackType="IPV4_IPV6", ipv6AccessType="EXTERNAL")
        | route(project, "default-route-1", "0.0.0.0/0")
        | route(project, "default-route-2", "::/0")
        | nat(project)
        | firewall(
            project,
            "allow-iap",
            allowed=[{"IPProtocol": "tcp", "ports": ["22"]}],
            direction="INGRESS",
            priority=1000,
            sourceRanges=["35.235.240.0/20"],
        )
    )


def inner(project: str = "dmz-inner") -> Resources:
    """No way out, sealed in depth as the inner stack does it."""
    return (
        vpc(project, "10.0.1.0/24")
        | route(project, "restricted-vip", "199.36.153.4/30")
        | deny_egress(project, "deny-egress", "0.0.0.0/0")
        | deny_egress(project, "deny-egress6", "::/0")
        | allow_vip(project)
        | private_zones(project)
        | response_policy(project, *BYPASSED)
        | logging_policy(project)
    )
