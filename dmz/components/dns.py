"""Names inside: Google's restricted services, Compute's own, and nothing else.

Owns: the private zones, the response policy and the logging of queries. Leaves alone: forwarding, peering and
alternative name servers, because each carries names out (and alternative name servers go before the policy).

A firewall does not see DNS through 169.254.169.254, so without the policy every name would be a message out.
"""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_gcp as gcp

from dmz.components.component import Component
from dmz.components.ranges import RANGES

_TTL: Final = 300
"""Seconds."""

_ZONES: Final = {
    "googleapis.com.": "restricted.googleapis.com.",
    "pkg.dev.": "pkg.dev.",
    "gcr.io.": "gcr.io.",
}
"""Each private zone and the name in it that has the restricted addresses; all others point to that name
(https://cloud.google.com/vpc-service-controls/docs/set-up-private-connectivity)."""

_COMPUTE: Final = "internal."
"""Where Compute Engine's own names live, `metadata.google.internal` among them. Response policies come before
them (https://cloud.google.com/dns/docs/vpc-name-res-order), so they have to be let through."""

_LOCALLY: Final = {"A": "0.0.0.0", "AAAA": "::"}  # noqa: S104  the address that means "none", not a listener
"""The answer to every other name: an address on which a connection fails at once.

The documentation has local data override "any other DNS behavior for the matched name"; that this holds for
types without data too (TXT …) is not said in so many words, so the probe `dns-txt` tries it on each machine.
"""


def _label(dns_name: str) -> str:
    return dns_name.rstrip(".").replace(".", "-")


class InnerDns(Component):
    """Private zones that lead to the restricted addresses, and a policy that keeps all other names inside."""

    def __init__(
        self,
        name: str,
        *,
        project: str,
        network: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts)
        self._project = project
        for dns_name, target in _ZONES.items():
            self._zone(dns_name, target, network)
        self._policy(network)
        gcp.dns.Policy(
            "query-log",
            name="dmz-query-log",
            project=project,
            description="Logs every query",
            enable_logging=True,
            enable_inbound_forwarding=False,
            networks=[gcp.dns.PolicyNetworkArgs(network_url=network)],
            opts=self.held,
        )
        self.register_outputs({})

    def _zone(self, dns_name: str, target: str, network: pulumi.Input[str]) -> None:
        label = _label(dns_name)
        zone = gcp.dns.ManagedZone(
            label,
            name=f"dmz-{label}",
            project=self._project,
            dns_name=dns_name,
            description=f"{dns_name} at restricted.googleapis.com",
            visibility="private",
            private_visibility_config=gcp.dns.ManagedZonePrivateVisibilityConfigArgs(
                networks=[gcp.dns.ManagedZonePrivateVisibilityConfigNetworkArgs(network_url=network)]
            ),
            opts=self.held,
        )
        records = {
            "a": (target, "A", [str(address) for address in RANGES.restricted]),
            "cname": (f"*.{dns_name}", "CNAME", [target]),
        }
        for kind, (record, type_, data) in records.items():
            gcp.dns.RecordSet(
                f"{label}-{kind}",
                project=self._project,
                managed_zone=zone.name,
                name=record,
                type=type_,
                ttl=_TTL,
                rrdatas=data,
                opts=self.held,
            )

    def _policy(self, network: pulumi.Input[str]) -> None:
        policy = gcp.dns.ResponsePolicy(
            "names",
            response_policy_name="dmz-names",
            project=self._project,
            description="Answers every name locally that has no private zone",
            networks=[gcp.dns.ResponsePolicyNetworkArgs(network_url=network)],
            opts=self.held,
        )
        gcp.dns.ResponsePolicyRule(
            "everything-else",
            rule_name="everything-else",
            project=self._project,
            response_policy=policy.response_policy_name,
            dns_name="*.",
            local_data=gcp.dns.ResponsePolicyRuleLocalDataArgs(
                local_datas=[
                    gcp.dns.ResponsePolicyRuleLocalDataLocalDataArgs(
                        name="*.", type=type_, ttl=_TTL, rrdatas=[data]
                    )
                    for type_, data in _LOCALLY.items()
                ]
            ),
            opts=self.held,
        )
        for dns_name in (*_ZONES, _COMPUTE):
            for selector, label in (
                (dns_name, _label(dns_name)),
                (f"*.{dns_name}", f"in-{_label(dns_name)}"),
            ):
                gcp.dns.ResponsePolicyRule(
                    f"pass-{label}",
                    rule_name=f"pass-{label}",
                    project=self._project,
                    response_policy=policy.response_policy_name,
                    dns_name=selector,
                    behavior="bypassResponsePolicy",
                    opts=self.held,
                )
