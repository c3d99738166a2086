"""The service accounts, and who may act as one.

Owns: the accounts and what they may do in the project at large, which is next to nothing. What an account may
do with a repository or a bucket stands next to that repository or bucket. Leaves alone: the default service
accounts, because other things in the project may use them (docs/google-cloud.md says how to disarm them), and
keys: no account here ever gets one.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component


class MachineIdentity(Component):
    """The machine's own account; in the project it may write logs."""

    account: gcp.serviceaccount.Account

    def __init__(self, name: str, *, project: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.account = gcp.serviceaccount.Account(
            "dmz-machine",
            account_id="dmz-machine",
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


class SyncIdentity(Component):
    """The account that carries packages in: it reads outside, writes inside, and people borrow it."""

    account: gcp.serviceaccount.Account

    def __init__(
        self,
        name: str,
        *,
        project: str,
        operators: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`operators` are the members who may act as it, such as `user:you@example.com`."""
        super().__init__(name, opts)
        self.account = gcp.serviceaccount.Account(
            "dmz-sync",
            account_id="dmz-sync",
            project=project,
            display_name="Package DMZ: the sync",
            opts=self.held,
        )
        for operator in operators:
            gcp.serviceaccount.IAMMember(
                f"dmz-sync-lent-to-{operator}",
                service_account_id=self.account.name,
                role="roles/iam.serviceAccountTokenCreator",
                member=operator,
                opts=self.held,
            )
        self.register_outputs({})
