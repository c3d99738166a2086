import gcp  # type: ignore[import-not-found]
import pulumi
from pkg.sync import Sync  # type: ignore[import-not-found]

cfg = pulumi.Config()


class Net(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dmz:components:Network", name, None, opts)
        self.net = gcp.Network(
            name,
            name="vpc-inner",
            autoCreateSubnetworks=False,
            project="inner",
            opts=pulumi.ResourceOptions(parent=self, protect=False),
        )
        self.sub = gcp.Subnetwork(
            name,
            name=cfg.get("subnet") or "subnet-inner",
            network=self.net.link,
            ipCidrRange="10.0.1.0/24",
            region="us-central1",
            project="inner",
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.register_outputs({"network": self.net.link})


n = Net("inner")
pk = {"pkg:pypi/jax@0.10.2": {"sha256": "ab", "size": 3}}
if cfg.get_bool("more"):
    pk["pkg:pypi/flax@0.12.12"] = {"sha256": "cd", "size": 4}
if not cfg.get_bool("noextra"):
    gcp.Route(
        "extra",
        name="extra",
        network=n.net.link,
        destRange="199.36.153.4/30",
        nextHopGateway="default-internet-gateway",
        project="inner",
    )
s = Sync("packages", pk, n.sub.link, opts=pulumi.ResourceOptions(depends_on=[n]))
pulumi.export("copied", s.copied)
pulumi.export("network", n.net.link)
pulumi.export("token", cfg.get_secret("token"))
