"""How one resource names another: full addresses, relative paths and short names, brought into one form."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from sandbox.cloud.errors import invalid

_FULL: Final = re.compile(r"projects/[^/]+/(?:global|regions/[^/]+|zones/[^/]+|locations/[^/]+)/[^/]+/[^/]+$")
_RELATIVE: Final = re.compile(r"^(?:global|regions/[^/]+|zones/[^/]+)/[^/]+/[^/]+$")


def resource_path(reference: str, project: str) -> str:
    """`projects/P/global/networks/N` for any form in which Google takes it.

    These are a full address (`https://www.googleapis.com/compute/v1/projects/…`), the path from `projects/`,
    and the path within `project`. Raises 400 for anything else.
    """
    found = _FULL.search(reference)
    if found:
        return found.group()
    if _RELATIVE.match(reference):
        return f"projects/{project}/{reference}"
    raise invalid(f"Invalid value '{reference}': the URL is malformed. Use 'projects/PROJECT/…/NAME'.")


def project_number(project: str) -> int:
    """The number of a project, twelve digits derived from its id."""
    return 10**11 + int(hashlib.sha256(project.encode()).hexdigest()[:12], 16) % (9 * 10**11)
