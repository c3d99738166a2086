"""Package URLs."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from dmz.artifact import Artifact, Kind
from dmz.promotion.base_image import BaseImage

_SAFE: Final = ".-_~:"


def purl(artifact: Artifact, image: BaseImage) -> str:
    """The package URL (https://github.com/package-url/purl-spec): `pkg:pypi/protobuf@6.31.0`."""
    name, version = quote(artifact.name, safe=_SAFE), quote(artifact.version, safe=_SAFE)
    match artifact.kind:
        case Kind.PYPI:
            return f"pkg:pypi/{name}@{version}"
        case Kind.APT:
            qualifiers = f"arch={artifact.architecture}&distro={image.release}"
            return f"pkg:deb/{image.distribution}/{name}@{version}?{qualifiers}"
        case Kind.FILE:
            return f"pkg:generic/{name}?checksum=sha256:{artifact.sha256}"
