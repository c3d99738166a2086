"""Who published a file, by the provenance that an index has for it (PEP 740).

See https://peps.python.org/pep-0740/ and https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md

The index's word is taken for it. A provenance has signatures with certificates of Sigstore's, and they are
not verified here (docs/adr/0009-builds-and-facts.md says what that would take). What is verified is that the
statements in it are about this file: its name and its SHA-256. So a wrong publisher needs an index that lies,
and no forged signature.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from dmz.errors import RefusedError
from dmz.promotion.evidence import Publisher
from dmz.promotion.wording import printable

_STATEMENT: Final = "https://in-toto.io/Statement/v1"
# What tells one publisher from another, by the kind of publisher. Of GitHub and GitLab it is where the code
# is and which file ran; branch and commit change with each release.
_IDENTITY: Final[Mapping[str, tuple[str, ...]]] = {
    "GitHub": ("repository", "workflow"),
    "GitLab": ("repository", "workflow_filepath"),
    "Google": ("email",),
    "ActiveState": ("organization", "project"),
}


def publisher(data: bytes, filename: str, sha256: str) -> Publisher | None:
    """The publisher of a file; None if the provenance is of a form that is not known.

    Args:
        data: the provenance object, as the index sent it.
        filename: the file that it should be about.
        sha256: of that file.

    Raises:
        RefusedError: it is about another file, or other bytes.
    """
    try:
        document = json.loads(data)
        bundles = list(document["attestation_bundles"])
        found: Publisher | None = None
        for bundle in bundles:
            said = _publisher(bundle["publisher"])
            for attestation in bundle["attestations"]:
                statement = json.loads(base64.b64decode(attestation["envelope"]["statement"], validate=True))
                _check(statement, filename, sha256)
                found = found or said
        return found
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        return None


def _check(statement: Mapping[str, Any], filename: str, sha256: str) -> None:
    if statement["_type"] != _STATEMENT:
        raise ValueError(statement["_type"])
    subjects = [(each["name"], each["digest"]["sha256"]) for each in statement["subject"]]
    if (filename, sha256) not in subjects:
        shown = ", ".join(
            f"{printable(str(name), 100)} sha256:{printable(str(d), 64)}" for name, d in subjects
        )
        raise RefusedError(
            f"{filename}: its provenance is about {shown or 'nothing'}, not about sha256:{sha256}; "
            "ask who runs the index"
        )


def _publisher(said: Mapping[str, Any]) -> Publisher:
    kind = str(said["kind"])
    if kind in _IDENTITY:
        parts = [str(said[key]) for key in _IDENTITY[kind]]
    else:
        # A kind that is not known here: all that it says, so that a change shows.
        parts = [f"{key}={said[key]}" for key in sorted(said) if key not in {"kind", "claims", "environment"}]
    return Publisher(printable(kind, 40), printable(" ".join(parts), 300))
