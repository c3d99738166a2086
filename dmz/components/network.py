"""The two networks: one with a guarded way out, one without any.

Owns: the VPC, its subnet, routes, firewall and, outside, Cloud NAT. Leaves alone: peerings, VPNs and Shared
VPC, because each would be one more way out; a policy at the folder should forbid them (docs/google-cloud.md).

Firewall rules do not apply to DNS and metadata through 169.254.169.254: `dns.py` closes the names.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Final

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component
from dmz.components.ranges import RANGES

_LAST: Final = 65534
"""The lowest priority above that of the rules which every network implies, 65535."""
_LOG: Final = gcp.compute.FirewallLogConfigArgs(metadata="INCLUDE_ALL_METADATA")


class _Network(Component):
    """What both sides have: a VPC, one subnet that reaches Google without an external address, SSH by IAP."""

    network: gcp.compute.Network
    subnetwork: gcp.compute.Subnetwork

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        subnet: IPv4Network,
        default_routes: bool,
        external_ipv6: bool,
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        super().__init__(name, opts)
        self.network = gcp.compute.Network(
            "network",
            name="dmz",
            project=project,
            auto_create_subnetworks=False,
            delete_default_routes_on_create=not default_routes,
            routing_mode="REGIONAL",
            opts=self.held,
        )
        self.subnetwork = gcp.compute.Subnetwork(
            "subnet",
            name="dmz",
            project=project,
            region=location,
            network=self.network.id,
            ip_cidr_range=str(subnet),
            private_ip_google_access=True,
            stack_type="IPV4_IPV6" if external_ipv6 else "IPV4_ONLY",
            ipv6_access_type="EXTERNAL" if external_ipv6 else None,
            log_config=gcp.compute.SubnetworkLogConfigArgs(
                aggregation_interval="INTERVAL_5_SEC", flow_sampling=1.0, metadata="INCLUDE_ALL_METADATA"
            ),
            opts=self.held,
        )
        gcp.compute.Firewall(
            "allow-ssh-from-iap",
            name="dmz-allow-ssh-from-iap",
            project=project,
            network=self.network.id,
            description="SSH through Identity-Aware Proxy only; every other ingress is denied by default",
            direction="INGRESS",
            priority=1000,
            source_ranges=[str(RANGES.iap)],
            allows=[gcp.compute.FirewallAllowArgs(protocol="tcp", ports=["22"])],
            log_config=_LOG,
            opts=self.held,
        )


class OuterNetwork(_Network):
    """A network whose machines reach the internet by Cloud NAT, which is logged, and are not reached."""

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        subnet: IPv4Network,
        external_ipv6: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            name,
            project=project,
            location=location,
            subnet=subnet,
            default_routes=True,
            external_ipv6=external_ipv6,
            opts=opts,
        )
        router = gcp.compute.Router(
            "router",
            name="dmz",
            project=project,
            region=location,
            network=self.network.id,
            opts=self.held,
        )
        gcp.compute.RouterNat(
            "nat",
            name="dmz",
            project=project,
            region=location,
            router=router.name,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            log_config=gcp.compute.RouterNatLogConfigArgs(enable=True, filter="ALL"),
            opts=self.held,
        )
        self.register_outputs({})


class InnerNetwork(_Network):
    """A network without a way out: one route, to Google's restricted addresses, and nothing else allowed."""

    def __init__(
        self,
        name: str,
        *,
        project: str,
        location: str,
        subnet: IPv4Network,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            name,
            project=project,
            location=location,
            subnet=subnet,
            default_routes=False,
            external_ipv6=False,
            opts=opts,
        )
        gcp.compute.Route(
            "restricted",
            name="dmz-restricted",
            project=project,
            network=self.network.id,
            description="restricted.googleapis.com; the next hop's name is Google's, the packets stay there",
            dest_range=str(RANGES.restricted),
            next_hop_gateway="default-internet-gateway",
            priority=1000,
            opts=self.held,
        )
        gcp.compute.Firewall(
            "allow-restricted",
            name="dmz-allow-restricted",
            project=project,
            network=self.network.id,
            description="The one thing that may leave: HTTPS to restricted.googleapis.com",
            direction="EGRESS",
            priority=1000,
            destination_ranges=[str(RANGES.restricted)],
            allows=[gcp.compute.FirewallAllowArgs(protocol="tcp", ports=["443"])],
            log_config=_LOG,
            opts=self.held,
        )
        # A rule has one address family, so it takes two.
        for family, everywhere in (("ipv4", "0.0.0.0/0"), ("ipv6", "::/0")):
            gcp.compute.Firewall(
                f"deny-egress-{family}",
                name=f"dmz-deny-egress-{family}",
                project=project,
                network=self.network.id,
                description="Nothing leaves; each try is logged",
                direction="EGRESS",
                priority=_LAST,
                destination_ranges=[everywhere],
                denies=[gcp.compute.FirewallDenyArgs(protocol="all")],
                log_config=_LOG,
                opts=self.held,
            )
        self.register_outputs({})
