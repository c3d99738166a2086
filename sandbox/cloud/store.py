"""The declared resources, kept in one journal under the sandbox's root."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.cloud.lines import Lines


class Store:
    """All declared resources by name; for use from the event loop only.

    A name is the service and the resource's own path without the API's version:
    `compute/projects/P/global/networks/N`, `artifactregistry/projects/P/locations/L/repositories/R`,
    `storage/b/BUCKET`, `dns/projects/P/managedZones/Z/rrsets/NAME/TYPE`.

    Each change is one line appended to the journal, so that a crash loses at most the line being written;
    opening the store replays the journal and writes it anew without what was overwritten.
    """

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, or begin one."""
        self._records = {name: _compact(resource) for name, resource in read_records(path).items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(_line(name, text) for name, text in self._records.items())
        fresh.replace(path)
        self._journal = Lines(path)

    def get(self, name: str) -> dict[str, Any] | None:
        """A copy of the resource, or None."""
        text = self._records.get(name)
        return None if text is None else json.loads(text)

    def put(self, name: str, resource: dict[str, Any]) -> None:
        """Declare or replace a resource."""
        text = _compact(resource)
        if self._records.get(name) != text:
            self._journal.append(_line(name, text))
            self._records[name] = text

    def delete(self, name: str) -> None:
        """Forget a resource; one that is not there is fine."""
        if name in self._records:
            self._journal.append(_line(name, "null"))
            del self._records[name]

    def list(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Copies of all resources whose name starts with `prefix`, sorted by name."""
        names = sorted(name for name in self._records if name.startswith(prefix))
        return {name: json.loads(self._records[name]) for name in names}

    def names(self, prefix: str) -> Iterator[str]:
        """The names that start with `prefix`, in no order."""
        return (name for name in self._records if name.startswith(prefix))

    def close(self) -> None:
        """Close the journal; the store can't be changed any more."""
        self._journal.close()


def read_records(path: Path) -> dict[str, dict[str, Any]]:
    """The resources in the journal at `path`, which is only read; none when there is no journal."""
    records: dict[str, dict[str, Any]] = {}
    if path.exists():
        # What follows the last line feed is what a killed process left of a line.
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            name, resource = json.loads(line)
            records.pop(name, None)
            if resource is not None:
                records[name] = resource
    return records


def _compact(resource: dict[str, Any]) -> str:
    return json.dumps(resource, separators=(",", ":"))


def _line(name: str, text: str) -> str:
    return f"[{json.dumps(name)},{text}]\n"
