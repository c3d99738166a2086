"""What is measured on our side: `plan` and `carry_out` with the real registries. A process of its own.

It is what `PackageSync` runs once the release is read and its attestation holds: list the destination, plan,
copy (every byte hashed on the way), admit, compare with the destination's listing, wait for the index. It
prints the seconds of that, and the memory of the process at its peak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from pathlib import Path

from bench.material import ORIGIN, read
from dmz.artifact import Kind
from dmz.promotion.copying import Places
from dmz.promotion.plan import plan
from dmz.promotion.transfer import carry_out
from dmz.registries.apt import AptRegistry
from dmz.registries.archive import BucketArchive
from dmz.registries.google import Google, connect
from dmz.registries.interface import Registry
from dmz.registries.python import PythonRegistry

_WHERE = ("p", "us-central1")


async def main() -> None:
    """Copy the artifacts of a file into a repository."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("repository")
    parser.add_argument("--archive", help="the bucket of the archive")
    parser.add_argument("--staging", help="the bucket through which debs come")
    options = parser.parse_args()
    approved = read(options.file)
    async with connect(_WHERE[1]) as google:
        started = time.perf_counter()
        kind = approved[0].kind
        outer, inner = (
            registry(google, kind, ORIGIN),
            registry(google, kind, options.repository, options.staging),
        )
        archive = BucketArchive(google, options.archive) if options.archive else None
        todo = plan(approved, await inner.list())
        done = await carry_out(todo, Places({ORIGIN: outer}, {kind: inner}, archive))
        seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "copied": done.copied, "memory": memory}))


def registry(google: Google, kind: Kind, repository: str, staging: str | None = None) -> Registry:
    """A repository as the sync makes it; `staging` is the bucket through which debs come."""
    if kind is Kind.PYPI:
        return PythonRegistry(google, *_WHERE, repository)
    return AptRegistry(google, *_WHERE, repository, staging=staging)


if __name__ == "__main__":
    asyncio.run(main())
