"""Uploads one deb with Google's own API client for Python. A process of its own, as `gcloud` would be one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from google.oauth2.credentials import Credentials
from googleapiclient import discovery_cache
from googleapiclient.discovery import build_from_document
from googleapiclient.http import MediaFileUpload


def main(root: str, repository: str, deb: str) -> None:
    """Upload a deb to a repository of the service that is at `root`."""
    shipped = Path(discovery_cache.__file__).with_name("documents") / "artifactregistry.v1.json"
    document = {**json.loads(shipped.read_text()), "rootUrl": root}
    credentials = Credentials(os.environ["TOKEN"])  # type: ignore[no-untyped-call]
    service = build_from_document(document, credentials=credentials)
    media = MediaFileUpload(deb, mimetype="application/vnd.debian.binary-package")
    artifacts = service.projects().locations().repositories().aptArtifacts()
    answer = artifacts.upload(parent=repository, media_body=media).execute()
    if "error" in answer["operation"]:
        sys.exit(f"{deb}: {answer['operation']['error']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
