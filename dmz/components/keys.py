"""The key that releases are signed with.

Owns: a key ring, the key in it, and who may use it. Leaves alone: its versions, which whoever administers
Cloud KMS makes, disables and destroys; `dmz:attestationKeyVersion` says which one signs and is trusted, so
that a change of key is a reviewed change.

Only the attestor has a role on the key. A role on the whole project can still reach it: owners of the project
may sign (`roles/owner` has `cloudkms.cryptoKeyVersions.useToSign`, `roles/editor` has not), which
docs/google-cloud.md tells how to avoid.
"""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component

ALGORITHM: Final = "EC_SIGN_P256_SHA256"
"""ECDSA on NIST P-256 with SHA-256: every OpenSSL verifies it."""
PROTECTION_LEVEL: Final = "SOFTWARE"
"""`HSM` keeps the key in hardware, for more money and no change elsewhere; it can't be changed later."""

_VERSION: Final = "gcp:kms/getKMSCryptoKeyVersion:getKMSCryptoKeyVersion"


class AttestationKey(Component):
    """An asymmetric key; its private half never leaves Cloud KMS."""

    version: pulumi.Output[str]
    """Resource name of the version that signs."""
    public_key: pulumi.Output[str]
    """PEM (RFC 7468) of its public half."""

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        version: int,
        attestor: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`attestor` is the one member who may sign; `version` is the number of the version."""
        super().__init__(name, opts)
        # Neither can be deleted in Cloud KMS: a key that goes from the state loses its versions, and with
        # them every release that it attested, while its name stays taken.
        kept = pulumi.ResourceOptions.merge(self.held, pulumi.ResourceOptions(protect=True))
        ring = gcp.kms.KeyRing("dmz", name="dmz", project=project, location=location, opts=kept)
        key = gcp.kms.CryptoKey(
            "attestation",
            name="attestation",
            key_ring=ring.id,
            purpose="ASYMMETRIC_SIGN",
            version_template=gcp.kms.CryptoKeyVersionTemplateArgs(
                algorithm=ALGORITHM, protection_level=PROTECTION_LEVEL
            ),
            deletion_policy="PREVENT",
            opts=kept,
        )
        gcp.kms.CryptoKeyIAMMember(
            "attestor-signs",
            crypto_key_id=key.id,
            role="roles/cloudkms.signer",
            member=attestor,
            opts=self.held,
        )
        found: pulumi.Output[tuple[str, str]] = key.id.apply(lambda key_id: self._read(key_id, version))
        self.version = found.apply(lambda half: half[0])
        self.public_key = found.apply(lambda half: half[1])
        self.register_outputs({})

    async def _read(self, key: str, version: int) -> tuple[str, str]:
        """The version's resource name and public half; what is in the way ends the program in one line.

        The function that the SDK has for this would end it with a traceback.
        """
        try:
            found = await pulumi.runtime.invoke_async(
                _VERSION, {"cryptoKey": key, "version": version}, pulumi.InvokeOptions(parent=self)
            )
        except Exception as error:
            raise pulumi.RunError(
                f"dmz:attestationKeyVersion: version {version} of {key} gives no public key: "
                f"{' '.join(str(error).split())}; it has to be enabled, and whoever deploys needs "
                "roles/cloudkms.publicKeyViewer"
            ) from None
        return found["name"], found["publicKeys"][0]["pem"]
