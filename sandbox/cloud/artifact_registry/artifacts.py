"""What the data planes and the REST methods of one cloud share."""

from __future__ import annotations

from sandbox.cloud.artifact_registry.catalog import Catalog
from sandbox.cloud.artifact_registry.upstream import Upstream
from sandbox.cloud.context import Cloud


class Artifacts:
    """The files of all repositories, and the way to their upstreams."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.catalog = Catalog(cloud)
        self.upstream = Upstream(self.catalog.fetched)
