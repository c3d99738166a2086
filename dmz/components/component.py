"""What all components share: the form of their type names, and the options for what they hold."""

from __future__ import annotations

import pulumi


class Component(pulumi.ComponentResource):
    """A group of resources with one concern, of the type `dmz:components:<class>`."""

    held: pulumi.ResourceOptions
    """Options for every resource that this component holds."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"dmz:components:{type(self).__name__}", name, None, opts)
        self.held = pulumi.ResourceOptions(parent=self)
