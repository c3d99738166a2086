"""The service accounts, and who may act as one.

Owns: the accounts and what they may do in the project at large, which is next to nothing. What an account may
do with a repository or a bucket stands next to that repository or bucket. Leaves alone: the default service
accounts, because other things in the project may use them (docs/google-cloud.md says how to disarm them), and
keys: no account here ever gets one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component
from dmz.components.members import ARCHIVIST, ATTESTOR, MACHINE, PUBLISHER, SYNC


class MachineIdentity(Component):
    """The machine's own account; in the project it may write logs."""

    account: gcp.serviceaccount.Account

    def __init__(self, name: str, *, project: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.account = gcp.serviceaccount.Account(
            MACHINE,
            account_id=MACHINE,
            project=project,
            display_name="Package DMZ: the machine",
            opts=self.held,
        )
        gcp.projects.IAMMember(
            "dmz-machine-writes-logs",
            project=project,
            role="roles/logging.logWriter",
            member=self.account.member,
            opts=self.held,
        )
        self.register_outputs({})


class _LentIdentity(Component):
    """An account that nothing runs as: people, and jobs that they trust, borrow it for an hour at a time."""

    account: gcp.serviceaccount.Account

    _account_id: ClassVar[str]
    _purpose: ClassVar[str]

    def __init__(
        self,
        name: str,
        *,
        project: str,
        borrowers: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`borrowers` are the members who may act as it, such as `user:you@example.com`."""
        super().__init__(name, opts)
        self.account = gcp.serviceaccount.Account(
            self._account_id,
            account_id=self._account_id,
            project=project,
            display_name=f"Package DMZ: {self._purpose}",
            opts=self.held,
        )
        for borrower in borrowers:
            gcp.serviceaccount.IAMMember(
                f"{self._account_id}-lent-to-{borrower}",
                service_account_id=self.account.name,
                role="roles/iam.serviceAccountTokenCreator",
                member=borrower,
                opts=self.held,
            )
        self.register_outputs({})


class SyncIdentity(_LentIdentity):
    """The account that carries packages in: it reads outside, writes inside, and people borrow it."""

    _account_id, _purpose = SYNC, "the sync"


class PublisherIdentity(_LentIdentity):
    """The account that publishes what a machine built, once that is compared with upstream."""

    _account_id, _purpose = PUBLISHER, "the publisher"


class ArchivistIdentity(_LentIdentity):
    """The account that prunes the archive: nobody else can delete there, and it can do nothing elsewhere."""

    _account_id, _purpose = ARCHIVIST, "the archivist"


class AttestorIdentity(_LentIdentity):
    """The account that signs releases, after the merge: it has the key and a place for what it signed.

    `members.attestor` says who can not be one of its borrowers.
    """

    _account_id, _purpose = ATTESTOR, "the attestor"
