"""Who signs attestations, and puts them where the sync and the machines look for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dmz.attestations import Place
from dmz.errors import TransferError
from dmz.promotion.attestation import verify
from dmz.promotion.dsse import Envelope, Signature, pae
from dmz.promotion.lockfiles import names
from dmz.promotion.release import Release
from dmz.promotion.statement import PAYLOAD_TYPE, Attestation, Input, Role
from dmz.registries.bucket import Bucket
from dmz.registries.kms import SigningKey


@dataclass(frozen=True)
class Signer:
    """What one identity has: the key, and the bucket that it may create in."""

    key: SigningKey
    bucket: Bucket
    place: Place

    async def sign(self, policy: str, release: Release, inputs: Sequence[Input]) -> tuple[Attestation, bytes]:
        """Attest a release that was judged: what is said, and the envelope that holds it.

        Args:
            policy: path of the policy, as the attestation names it.
            release: what was judged.
            inputs: what the verdict rests on besides the locks.

        Raises:
            RefusedError: the sync and the machines would not believe it; nothing was written.
            TransferError: the key or the bucket did not answer, or another attestation has its name.
        """
        now, place = datetime.now(UTC), self.place
        expected = place.expected(release, now)
        locks = [Input(Role.LOCK, name, digest) for name, digest in expected.locks.items()]
        made = Attestation(
            subject=names(release.workload)[-1],
            release_digest=release.digest,
            verifier=place.trust.verifier,
            time_verified=now,
            resource_uri=expected.resource_uri,
            policy=policy,
            policy_digest=place.trust.policy_digest,
            inputs=(*locks, *inputs),
        )
        payload = made.statement()
        signature = Signature(self.key.name, await self.key.sign(pae(PAYLOAD_TYPE, payload)))
        envelope = Envelope(PAYLOAD_TYPE, payload, (signature,)).render()
        verify(envelope, expected)
        name = place.new_name(release, now)
        if not await self.bucket.write(name, envelope, if_generation_match=0):
            raise TransferError(f"gs://{self.bucket.name}/{name} is there already; run dmz attest again")
        return made, envelope
