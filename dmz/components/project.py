"""The project's enabled services.

Owns: that the services which a side uses are enabled. Leaves alone: the project itself, its billing and its
organization policies, because whoever deploys this may rightly have no say in those; and services that are
enabled already or that this no longer needs, because something else in the project may use them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component


class Project(Component):
    """Enables services and makes everything that depends on it wait for them."""

    def __init__(
        self,
        name: str,
        *,
        project: str,
        services: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        for service in services:
            gcp.projects.Service(
                service,
                project=project,
                service=f"{service}.googleapis.com",
                disable_on_destroy=False,
                opts=self.held,
            )
        self.register_outputs({})
