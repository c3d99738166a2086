"""What has to be true when all is over, whatever went wrong before."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import Counter
from urllib.parse import quote

from dmz.artifact import Kind
from dmz.promotion import lines
from dmz.promotion import release as releases
from dmz.promotion.plan import Plan, plan
from dmz.registries.apt import AptRegistry
from dmz.registries.files import BucketRegistry
from dmz.registries.google import connect
from dmz.registries.python import PythonRegistry
from tests.faults.proxy import Exchange
from tests.faults.reader import Reader
from tests.faults.record import nothing_is_missing
from tests.faults.steps import UNKNOWN
from tests.faults.syncing import FAST
from tests.faults.world import LOCATION, SYNC, WORKLOAD, Inner


def everything_is_right(inner: Inner) -> None:
    """Inner holds exactly the later release, whole, and the machines are told so; nothing is left to do."""
    reader = Reader(inner)
    try:
        assert reader.look() == inner.wanted
        assert reader.complaints == []
    finally:
        reader.close()
    assert _recorded(inner) == Counter((one.kind, one.sha256) for one in lines.parse(inner.later.packages))
    _published(inner)
    assert staged(inner) == [], "something was left in the staging bucket"
    _archived(inner)
    _nothing_half_written(inner)
    assert asyncio.run(_todo(inner)).empty
    nothing_is_missing(inner)


def _recorded(inner: Inner) -> Counter[tuple[Kind, str]]:
    """What the cloud's own record has, also what no index shows."""
    box = inner.world.box
    found: Counter[tuple[Kind, str]] = Counter()
    for kind, repository in ((Kind.PYPI, "python"), (Kind.APT, "apt")):
        parent = f"v1/projects/{inner.project}/locations/{LOCATION}/repositories/{repository}"
        for file in box.call("GET", "artifactregistry", f"{parent}/files").get("files", []):
            (digest,) = (each["value"] for each in file["hashes"] if each["type"] == "SHA256")
            found[kind, base64.b64decode(digest).hex()] += 1
    for name in objects(inner, inner.bucket):
        if name.startswith("files/"):
            found[Kind.FILE, name.split("/")[1]] += 1
    return found


def _published(inner: Inner) -> None:
    (digest,) = inner.later.releases.values()
    names = objects(inner, inner.bucket)
    assert [name for name in names if name.startswith("current/")] == [f"current/{WORKLOAD}.json"]
    assert json.loads(read(inner, f"current/{WORKLOAD}.json")) == {"workload": WORKLOAD, "digest": digest}
    release = releases.read(inner.later.release_folder, WORKLOAD)
    for name, body in release.files.items():
        assert read(inner, f"releases/{digest}/{name}") == body
    assert f"releases/{digest}/attestation.dsse.json" in names


def _archived(inner: Inner) -> None:
    bucket = f"{inner.project}-archive"
    base = f"storage/v1/b/{bucket}/o"
    for digest in inner.wanted:
        answer = inner.world.box.send("GET", "storage", f"{base}/sha256%2F{digest}", alt="media")
        assert hashlib.sha256(answer.content).hexdigest() == digest, f"the archive lacks {digest}"
    (release,) = inner.later.releases.values()
    assert any(f"-{release}" in name for name in objects(inner, bucket)), "no record names the release"


def _nothing_half_written(inner: Inner) -> None:
    cloud = inner.world.box.cloud
    folders = (*cloud.root.rglob("incoming"), *cloud.cache.rglob("incoming"))
    assert [path for folder in folders for path in folder.iterdir()] == []


async def _todo(inner: Inner) -> Plan:
    async with connect(LOCATION, impersonate=SYNC, retry=FAST) as google:
        project = inner.project
        held = [
            *await PythonRegistry(google, project, LOCATION, "python").list(),
            *await AptRegistry(google, project, LOCATION, "apt").list(),
            *await BucketRegistry(google, inner.bucket).list(),
        ]
    return plan(lines.parse(inner.later.packages), held, inner.before)


def objects(inner: Inner, bucket: str) -> list[str]:
    """The names of what is in a bucket."""
    page = inner.world.box.call("GET", "storage", f"storage/v1/b/{bucket}/o")
    return [item["name"] for item in page.get("items", [])]


def read(inner: Inner, name: str) -> bytes:
    """An object of inner's release bucket."""
    path = f"storage/v1/b/{inner.bucket}/o/{quote(name, safe='')}"
    answer = inner.world.box.send("GET", "storage", path, alt="media")
    assert answer.is_success, answer.text
    return answer.content


def staged(inner: Inner) -> list[str]:
    """The objects that wait for an import."""
    return objects(inner, f"{inner.project}-staging")


def unknown(exchanges: list[Exchange]) -> list[str]:
    """Requests of a kind that the matrix does not have."""
    return [f"{each.method} {each.path}" for each in exchanges if each.step is UNKNOWN]


def repeated(exchanges: list[Exchange]) -> list[str]:
    """Uploads of which the cloud took the whole, more than once."""
    done = Counter(
        (each.step.name, each.subject) for each in exchanges if "artifact" in each.step.tags and each.done
    )
    return [f"{step} {subject}: {count} times" for (step, subject), count in done.items() if count > 1]
