"""Google's predefined roles, as far as the sandbox knows them: what each may do.

From Google's published roles as of August 2026 (https://cloud.google.com/iam/docs/roles-permissions), cut
down to the permissions that something in the sandbox asks for. A role that is not here is refused where it is
granted, so that nothing is granted that is then not checked.

What surprises is true: an owner of a project may sign with its keys, may not take a service account's token,
and reaches the objects of a bucket only by the roles that the bucket was born with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_TABLE: Final = {
    "roles/owner": """
        artifactregistry.aptartifacts: create
        artifactregistry.files: delete download get list
        artifactregistry.packages: delete get list
        artifactregistry.projectsettings: get update
        artifactregistry.repositories: create delete deleteArtifacts downloadArtifacts get getIamPolicy
            list setIamPolicy update uploadArtifacts
        artifactregistry.versions: delete get list
        artifactregistry.vpcscconfigs: get update
        cloudkms.cryptoKeyVersions: create delete destroy get list restore update useToSign useToVerify
            viewPublicKey
        cloudkms.cryptoKeys: create delete get getIamPolicy list setIamPolicy update
        cloudkms.keyRings: create delete get getIamPolicy list setIamPolicy
        cloudkms.operations: get
        compute.firewalls: create delete get list update
        compute.globalOperations: get
        compute.networks: create delete get list update updatePolicy
        compute.projects: get
        compute.regionOperations: get
        compute.routers: create delete get list update
        compute.routes: create delete get list
        compute.subnetworks: create delete get getIamPolicy list setIamPolicy update
        compute.zoneOperations: get
        dns.changes: create get
        dns.managedZoneOperations: get
        dns.managedZones: create delete get getIamPolicy list setIamPolicy update
        dns.policies: create delete get list update
        dns.resourceRecordSets: create delete get list update
        dns.responsePolicies: create delete get list update
        dns.responsePolicyRules: create delete get list update
        iam.serviceAccounts: actAs create delete get getIamPolicy list setIamPolicy update
        logging.logEntries: create
        resourcemanager.projects: get getIamPolicy setIamPolicy
        serviceusage.services: disable enable get list
        storage.buckets: create delete list
        tpu.nodes: create delete get list update
        tpu.operations: get
    """,
    "roles/editor": """
        artifactregistry.aptartifacts: create
        artifactregistry.files: delete download get list
        artifactregistry.packages: delete get list
        artifactregistry.projectsettings: get update
        artifactregistry.repositories: create delete deleteArtifacts downloadArtifacts get getIamPolicy
            list update uploadArtifacts
        artifactregistry.versions: delete get list
        artifactregistry.vpcscconfigs: get update
        cloudkms.cryptoKeyVersions: create delete get list update
        cloudkms.cryptoKeys: create delete get getIamPolicy list update
        cloudkms.keyRings: create delete get getIamPolicy list
        cloudkms.operations: get
        compute.firewalls: create delete get list update
        compute.globalOperations: get
        compute.networks: create delete get list update updatePolicy
        compute.projects: get
        compute.regionOperations: get
        compute.routers: create delete get list update
        compute.routes: create delete get list
        compute.subnetworks: create delete get getIamPolicy list update
        compute.zoneOperations: get
        dns.changes: create get
        dns.managedZoneOperations: get
        dns.managedZones: create delete get getIamPolicy list update
        dns.policies: create delete get list update
        dns.resourceRecordSets: create delete get list update
        dns.responsePolicies: create delete get list update
        dns.responsePolicyRules: create delete get list update
        iam.serviceAccounts: actAs create delete get getIamPolicy list update
        logging.logEntries: create
        resourcemanager.projects: get getIamPolicy
        serviceusage.services: disable enable get list
        storage.buckets: create delete list
        tpu.nodes: create delete get list update
        tpu.operations: get
    """,
    "roles/viewer": """
        artifactregistry.files: download get list
        artifactregistry.packages: get list
        artifactregistry.projectsettings: get
        artifactregistry.repositories: downloadArtifacts get getIamPolicy list
        artifactregistry.versions: get list
        artifactregistry.vpcscconfigs: get
        cloudkms.cryptoKeyVersions: get list
        cloudkms.cryptoKeys: get getIamPolicy list
        cloudkms.keyRings: get getIamPolicy list
        cloudkms.operations: get
        compute.firewalls: get list
        compute.globalOperations: get
        compute.networks: get list
        compute.projects: get
        compute.regionOperations: get
        compute.routers: get list
        compute.routes: get list
        compute.subnetworks: get getIamPolicy list
        compute.zoneOperations: get
        dns.changes: get
        dns.managedZoneOperations: get
        dns.managedZones: get getIamPolicy list
        dns.policies: get list
        dns.resourceRecordSets: get list
        dns.responsePolicies: get list
        dns.responsePolicyRules: get list
        iam.serviceAccounts: get getIamPolicy list
        resourcemanager.projects: get getIamPolicy
        serviceusage.services: get list
        storage.buckets: list
        tpu.nodes: get list
        tpu.operations: get
    """,
    "roles/artifactregistry.admin": """
        artifactregistry.aptartifacts: create
        artifactregistry.files: delete download get list
        artifactregistry.packages: delete get list
        artifactregistry.projectsettings: get update
        artifactregistry.repositories: create delete deleteArtifacts downloadArtifacts get getIamPolicy
            list setIamPolicy update uploadArtifacts
        artifactregistry.versions: delete get list
        artifactregistry.vpcscconfigs: get update
        cloudkms.operations: get
        resourcemanager.projects: get
    """,
    "roles/artifactregistry.reader": """
        artifactregistry.files: download get list
        artifactregistry.packages: get list
        artifactregistry.projectsettings: get
        artifactregistry.repositories: downloadArtifacts get list
        artifactregistry.versions: get list
        artifactregistry.vpcscconfigs: get
        resourcemanager.projects: get
    """,
    "roles/artifactregistry.repoAdmin": """
        artifactregistry.aptartifacts: create
        artifactregistry.files: delete download get list
        artifactregistry.packages: delete get list
        artifactregistry.projectsettings: get
        artifactregistry.repositories: deleteArtifacts downloadArtifacts get list uploadArtifacts
        artifactregistry.versions: delete get list
        artifactregistry.vpcscconfigs: get
        resourcemanager.projects: get
    """,
    "roles/artifactregistry.writer": """
        artifactregistry.aptartifacts: create
        artifactregistry.files: download get list
        artifactregistry.packages: get list
        artifactregistry.projectsettings: get
        artifactregistry.repositories: downloadArtifacts get list uploadArtifacts
        artifactregistry.versions: get list
        artifactregistry.vpcscconfigs: get
        resourcemanager.projects: get
    """,
    "roles/cloudkms.admin": """
        cloudkms.cryptoKeyVersions: create delete destroy get list restore update
        cloudkms.cryptoKeys: create delete get getIamPolicy list setIamPolicy update
        cloudkms.keyRings: create delete get getIamPolicy list setIamPolicy
        cloudkms.operations: get
        resourcemanager.projects: get
    """,
    "roles/cloudkms.publicKeyViewer": """
        cloudkms.cryptoKeyVersions: viewPublicKey
        resourcemanager.projects: get
    """,
    "roles/cloudkms.signer": """
        cloudkms.cryptoKeyVersions: useToSign
        resourcemanager.projects: get
    """,
    "roles/cloudkms.signerVerifier": """
        cloudkms.cryptoKeyVersions: useToSign useToVerify viewPublicKey
        resourcemanager.projects: get
    """,
    "roles/cloudkms.verifier": """
        cloudkms.cryptoKeyVersions: useToVerify viewPublicKey
        resourcemanager.projects: get
    """,
    "roles/cloudkms.viewer": """
        cloudkms.cryptoKeyVersions: get list
        cloudkms.cryptoKeys: get list
        cloudkms.keyRings: get list
        cloudkms.operations: get
        resourcemanager.projects: get
    """,
    "roles/compute.networkAdmin": """
        compute.firewalls: get list
        compute.globalOperations: get
        compute.networks: create delete get list update updatePolicy
        compute.projects: get
        compute.regionOperations: get
        compute.routers: create delete get list update
        compute.routes: create delete get list
        compute.subnetworks: create delete get getIamPolicy list setIamPolicy update
        compute.zoneOperations: get
        resourcemanager.projects: get
        serviceusage.services: get list
    """,
    "roles/compute.securityAdmin": """
        compute.firewalls: create delete get list update
        compute.globalOperations: get
        compute.networks: get list updatePolicy
        compute.projects: get
        compute.regionOperations: get
        compute.routers: get list
        compute.routes: get list
        compute.subnetworks: get list
        compute.zoneOperations: get
        resourcemanager.projects: get
        serviceusage.services: get list
    """,
    "roles/dns.admin": """
        compute.networks: get list
        dns.changes: create get
        dns.managedZoneOperations: get
        dns.managedZones: create delete get getIamPolicy list update
        dns.policies: create delete get list update
        dns.resourceRecordSets: create delete get list update
        dns.responsePolicies: create delete get list update
        dns.responsePolicyRules: create delete get list update
        resourcemanager.projects: get
    """,
    "roles/iam.serviceAccountAdmin": """
        iam.serviceAccounts: create delete get getIamPolicy list setIamPolicy update
        resourcemanager.projects: get
    """,
    "roles/iam.serviceAccountTokenCreator": """
        iam.serviceAccounts: get getAccessToken list
        resourcemanager.projects: get
    """,
    "roles/iam.serviceAccountUser": """
        iam.serviceAccounts: actAs get list
        resourcemanager.projects: get
    """,
    "roles/iam.serviceAccountViewer": """
        iam.serviceAccounts: get getIamPolicy list
        resourcemanager.projects: get
    """,
    "roles/logging.logWriter": """
        logging.logEntries: create
    """,
    "roles/resourcemanager.projectIamAdmin": """
        resourcemanager.projects: get getIamPolicy setIamPolicy
    """,
    "roles/serviceusage.serviceUsageAdmin": """
        serviceusage.services: disable enable get list
    """,
    "roles/storage.admin": """
        cloudkms.operations: get
        resourcemanager.projects: get
        storage.buckets: create delete get getIamPolicy list setIamPolicy update
        storage.objects: create delete get list update
    """,
    "roles/storage.legacyBucketOwner": """
        storage.buckets: get getIamPolicy setIamPolicy update
        storage.objects: create delete list
    """,
    "roles/storage.legacyBucketReader": """
        storage.buckets: get
        storage.objects: list
    """,
    "roles/storage.legacyBucketWriter": """
        storage.buckets: get
        storage.objects: create delete list
    """,
    "roles/storage.legacyObjectOwner": """
        storage.objects: get update
    """,
    "roles/storage.legacyObjectReader": """
        storage.objects: get
    """,
    "roles/storage.objectAdmin": """
        resourcemanager.projects: get
        storage.objects: create delete get list update
    """,
    "roles/storage.objectCreator": """
        resourcemanager.projects: get
        storage.objects: create
    """,
    "roles/storage.objectUser": """
        resourcemanager.projects: get
        storage.objects: create delete get list update
    """,
    "roles/storage.objectViewer": """
        resourcemanager.projects: get
        storage.objects: get list
    """,
    "roles/tpu.admin": """
        resourcemanager.projects: get
        tpu.nodes: create delete get list update
        tpu.operations: get
    """,
}


def _read(text: str) -> frozenset[str]:
    """The permissions of `compute.routes: create get` and so on, one resource after the other."""
    permissions, resource = set(), ""
    for word in text.split():
        if word.endswith(":"):
            resource = word.removesuffix(":")
        else:
            permissions.add(f"{resource}.{word}")
    return frozenset(permissions)


ROLES: Final[Mapping[str, frozenset[str]]] = {role: _read(text) for role, text in _TABLE.items()}
"""Permissions by role."""

BASIC: Final = {
    "projectOwner": "roles/owner",
    "projectEditor": "roles/editor",
    "projectViewer": "roles/viewer",
}
"""The role of whoever a convenience value such as `projectOwner:PROJECT` stands for
(https://cloud.google.com/storage/docs/access-control/iam#convenience-values)."""
