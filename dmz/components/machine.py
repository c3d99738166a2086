"""The TPU VM of a side.

Owns: the node and what its metadata tells it. Leaves alone: its disk, its queue position and its life: a spot
machine that Google takes away comes back with the next `pulumi up --refresh`.

The provider updates metadata in place and replaces the node for nearly everything else. A startup script that
changed does not run again on a living machine, only at its next boot; what changes from day to day is
therefore in `dmz-settings`, and the agent that the script starts looks for changes by itself: outside for
changed settings, inside for those and for another release in the release bucket.
"""

from __future__ import annotations

from typing import Any, Literal

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component
from dmz.machine import startup_script


class Machine(Component):
    """One TPU VM, internal addresses only, that runs the side's agent.

    Network, account and accelerator have no default here: left out, Google takes the project's default
    network, its default compute account and a v2-8.
    """

    node: gcp.tpu.V2Vm

    def __init__(
        self,
        name: str,
        *,
        side: Literal["outer", "inner"],
        project: str,
        zone: str,
        runtime: str,
        accelerator_type: str,
        spot: bool,
        network: pulumi.Input[str],
        subnetwork: pulumi.Input[str],
        service_account: pulumi.Input[str],
        settings: pulumi.Input[dict[str, Any]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`service_account` is an email address; `settings` is what the agent reads as `dmz-settings`."""
        super().__init__(name, opts)
        self.node = gcp.tpu.V2Vm(
            f"dmz-{side}",
            name=f"dmz-{side}",
            project=project,
            zone=zone,
            runtime_version=runtime,
            accelerator_type=accelerator_type,
            network_config=gcp.tpu.V2VmNetworkConfigArgs(
                network=network, subnetwork=subnetwork, enable_external_ips=False, can_ip_forward=False
            ),
            service_account=gcp.tpu.V2VmServiceAccountArgs(
                email=service_account, scopes=["https://www.googleapis.com/auth/cloud-platform"]
            ),
            scheduling_config=gcp.tpu.V2VmSchedulingConfigArgs(spot=spot),
            shielded_instance_config=gcp.tpu.V2VmShieldedInstanceConfigArgs(enable_secure_boot=True),
            metadata={
                "startup-script": startup_script(side),
                "dmz-settings": pulumi.Output.json_dumps(settings, sort_keys=True),
                "enable-oslogin": "TRUE",
            },
            # Pulumi doesn't hand down what a component depends on, and a destroy goes by what a resource
            # says: without this it could take away what the machine still works with.
            opts=pulumi.ResourceOptions.merge(
                self.held, pulumi.ResourceOptions(depends_on=opts.depends_on if opts else None)
            ),
        )
        self.register_outputs({})
