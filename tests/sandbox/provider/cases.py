"""The inputs that made the real plugin make the calls of ``data/provider-calls.jsonl``."""

from __future__ import annotations

from typing import Any

Props = dict[str, Any]

PROJECT = {"project": "inner"}
REGION = {"region": "us-central1", **PROJECT}
LOCATION = {"location": "us-central1", **PROJECT}
NETWORK = "{endpoint}/compute/compute/v1/projects/inner/global/networks/vpc-inner-loop"
KEY_RING = "projects/inner/locations/us-central1/keyRings/dmz"
VM = "serviceAccount:vm@inner.iam.gserviceaccount.com"


def _remote(**upstream: Any) -> Props:
    return {"mode": "REMOTE_REPOSITORY", "remoteRepositoryConfig": upstream}


CASES: dict[str, tuple[str, Props]] = {
    "network": (
        "gcp:compute/network:Network",
        {
            "name": "vpc-inner-loop",
            "autoCreateSubnetworks": False,
            "deleteDefaultRoutesOnCreate": True,
            "mtu": 8896,
            "routingMode": "REGIONAL",
            **PROJECT,
        },
    ),
    "subnetwork": (
        "gcp:compute/subnetwork:Subnetwork",
        {
            "name": "subnet-inner-loop",
            "network": NETWORK,
            "ipCidrRange": "10.0.1.0/24",
            "privateIpGoogleAccess": True,
            "stackType": "IPV4_ONLY",
            "logConfig": {"flowSampling": 1.0, "metadata": "INCLUDE_ALL_METADATA"},
            **REGION,
        },
    ),
    "router": ("gcp:compute/router:Router", {"name": "router", "network": NETWORK, **REGION}),
    "router-nat": (
        "gcp:compute/routerNat:RouterNat",
        {
            "name": "nat",
            "router": "router",
            "natIpAllocateOption": "AUTO_ONLY",
            "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
            "logConfig": {"enable": True, "filter": "ALL"},
            **REGION,
        },
    ),
    "route": (
        "gcp:compute/route:Route",
        {
            "name": "restricted-vip",
            "network": NETWORK,
            "destRange": "199.36.153.4/30",
            "nextHopGateway": "default-internet-gateway",
            **PROJECT,
        },
    ),
    "firewall-deny": (
        "gcp:compute/firewall:Firewall",
        {
            "name": "deny-egress",
            "network": NETWORK,
            "direction": "EGRESS",
            "priority": 65534,
            "denies": [{"protocol": "all"}],
            "destinationRanges": ["0.0.0.0/0"],
            "logConfig": {"metadata": "INCLUDE_ALL_METADATA"},
            **PROJECT,
        },
    ),
    "firewall-allow": (
        "gcp:compute/firewall:Firewall",
        {
            "name": "allow-iap",
            "network": NETWORK,
            "direction": "INGRESS",
            "allows": [{"protocol": "tcp", "ports": ["22"]}],
            "sourceRanges": ["35.235.240.0/20"],
            "targetServiceAccounts": ["vm@inner.iam.gserviceaccount.com"],
            **PROJECT,
        },
    ),
    "managed-zone": (
        "gcp:dns/managedZone:ManagedZone",
        {
            "name": "pkg-dev",
            "dnsName": "pkg.dev.",
            "description": "d",
            "visibility": "private",
            "privateVisibilityConfig": {"networks": [{"networkUrl": NETWORK}]},
            **PROJECT,
        },
    ),
    "response-policy": (
        "gcp:dns/responsePolicy:ResponsePolicy",
        {"responsePolicyName": "sealed", "networks": [{"networkUrl": NETWORK}], **PROJECT},
    ),
    "policy": (
        "gcp:dns/policy:Policy",
        {
            "name": "logging",
            "enableInboundForwarding": False,
            "enableLogging": True,
            "networks": [{"networkUrl": NETWORK}],
            **PROJECT,
        },
    ),
    "vpcsc-config": ("gcp:artifactregistry/vpcscConfig:VpcscConfig", {"vpcscPolicy": "DENY", **LOCATION}),
    "repository-member": (
        "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
        {"repository": "pip-inner-loop", "role": "roles/artifactregistry.reader", "member": VM, **LOCATION},
    ),
    "bucket-member": (
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        {"bucket": "artifacts-inner", "role": "roles/storage.objectViewer", "member": VM},
    ),
    "bucket": (
        "gcp:storage/bucket:Bucket",
        {
            "name": "artifacts-inner",
            "location": "us-central1",
            "publicAccessPrevention": "enforced",
            "uniformBucketLevelAccess": True,
            "lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"age": 365}}],
            "softDeletePolicy": {"retentionDurationSeconds": 604800},
            "versioning": {"enabled": True},
        },
    ),
    "account": (
        "gcp:serviceaccount/account:Account",
        {"accountId": "tpu-inner", "displayName": "TPU", **PROJECT},
    ),
    "project-member": (
        "gcp:projects/iAMMember:IAMMember",
        {"role": "roles/logging.logWriter", "member": VM, **PROJECT},
    ),
    "vm": (
        "gcp:tpu/v2Vm:V2Vm",
        {
            "name": "tpu-inner",
            "zone": "us-central1-a",
            "runtimeVersion": "tpu-ubuntu2204-base",
            "acceleratorType": "v3-8",
            "labels": {"a": "b"},
            "metadata": {"startup-script": "#!/bin/sh\n"},
            "networkConfig": {
                "enableExternalIps": False,
                "network": "projects/inner/global/networks/vpc-inner-loop",
                "subnetwork": "projects/inner/regions/us-central1/subnetworks/subnet-inner-loop",
            },
            "schedulingConfig": {"spot": True},
            "serviceAccount": {
                "email": "vm@inner.iam.gserviceaccount.com",
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            },
            "shieldedInstanceConfig": {"enableSecureBoot": True},
            "tags": ["inner"],
            **PROJECT,
        },
    ),
    **{
        f"repository-{name}": (
            "gcp:artifactregistry/repository:Repository",
            {"repositoryId": name, **properties, **LOCATION},
        )
        for name, properties in {
            "apt-outer-loop": {
                "description": "d",
                "format": "APT",
                **_remote(
                    aptRepository={
                        "publicRepository": {
                            "repositoryBase": "UBUNTU",
                            "repositoryPath": "ubuntu/dists/jammy",
                        }
                    }
                ),
            },
            "pip-inner-loop": {
                "format": "PYTHON",
                "labels": {"a": "b"},
                "cleanupPolicyDryRun": True,
                "cleanupPolicies": [{"id": "keep", "action": "KEEP", "mostRecentVersions": {"keepCount": 5}}],
            },
            "apt-inner-loop": {"format": "APT"},
            "pip-remote": {"format": "PYTHON", **_remote(pythonRepository={"publicRepository": "PYPI"})},
            "pip-custom": {
                "format": "PYTHON",
                **_remote(
                    commonRepository={"uri": "https://storage.googleapis.com/jax-releases"},
                    disableUpstreamValidation=True,
                ),
            },
        }.items()
    },
}
"""By name: the type and the inputs. ``{endpoint}`` stands for the server's address."""

CASES |= {
    "key-ring": ("gcp:kms/keyRing:KeyRing", {"name": "dmz", **LOCATION}),
    "signing-key": (
        "gcp:kms/cryptoKey:CryptoKey",
        {
            "name": "sign",
            "keyRing": KEY_RING,
            "purpose": "ASYMMETRIC_SIGN",
            "versionTemplate": {"algorithm": "EC_SIGN_P256_SHA256", "protectionLevel": "HSM"},
        },
    ),
}

MORE: dict[str, tuple[str, Props]] = {
    "record-set": (
        "gcp:dns/recordSet:RecordSet",
        {
            "managedZone": "pkg-dev",
            "name": "*.pkg.dev.",
            "type": "CNAME",
            "ttl": 300,
            "rrdatas": ["pkg.dev."],
            **PROJECT,
        },
    ),
    "response-policy-rule": (
        "gcp:dns/responsePolicyRule:ResponsePolicyRule",
        {
            "responsePolicy": "sealed",
            "ruleName": "everything",
            "dnsName": "*.",
            "localData": {"localDatas": [{"name": "*.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.1"]}]},
            **PROJECT,
        },
    ),
    "account-member": (
        "gcp:serviceaccount/iAMMember:IAMMember",
        {
            "serviceAccountId": "projects/inner/serviceAccounts/sync@inner.iam.gserviceaccount.com",
            "role": "roles/iam.serviceAccountTokenCreator",
            "member": "user:Operator@Example.com",
        },
    ),
    "key-member": (
        "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
        {
            "cryptoKeyId": f"{KEY_RING}/cryptoKeys/sign",
            "role": "roles/cloudkms.signer",
            "member": VM,
        },
    ),
    "service": (
        "gcp:projects/service:Service",
        {"service": "compute.googleapis.com", "disableOnDestroy": True, **PROJECT},
    ),
}
"""Types that the recording does not have."""


def inputs(case: str, endpoint: str) -> tuple[str, Props]:
    """A case's type and inputs, for a server at an address."""
    kind, given = (CASES | MORE)[case]

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolved(item) for item in value]
        return value.replace("{endpoint}", endpoint) if isinstance(value, str) else value

    return kind, resolved(given)
