"""The three resources that the recorded program uses, without the weight of the whole SDK."""

from typing import Any

import pulumi


class Gcp(pulumi.CustomResource):
    self_link: pulumi.Output[str]
    type_: str

    def __init__(self, resource: str, /, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        defaults = pulumi.ResourceOptions(version="10.2.0")
        super().__init__(
            self.type_, resource, {**inputs, "selfLink": None}, pulumi.ResourceOptions.merge(defaults, opts)
        )

    @property
    def link(self) -> pulumi.Output[str]:
        return self.selfLink  # type: ignore[attr-defined,no-any-return]


class Network(Gcp):
    type_ = "gcp:compute/network:Network"
    selfLink: pulumi.Output[str]  # noqa: N815


class Subnetwork(Gcp):
    type_ = "gcp:compute/subnetwork:Subnetwork"
    selfLink: pulumi.Output[str]  # noqa: N815


class Route(Gcp):
    type_ = "gcp:compute/route:Route"
    selfLink: pulumi.Output[str]  # noqa: N815
