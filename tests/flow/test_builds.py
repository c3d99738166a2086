"""An sdist that no wheel stands in for is built once, in isolation, and published by another identity."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dmz.errors import DmzError, RefusedError
from dmz.promotion import build
from dmz.promotion.evidence import Evidence
from dmz.promotion.inventory import Inventory
from dmz.promotion.inventory import Wheel as Claimed
from dmz.registries.bucket import Bucket
from dmz.registries.google import Google, connect
from dmz.registries.python import PythonRegistry
from dmz.threads import in_thread
from dmz.workflow.discover import discover
from dmz.workflow.outer import Outer
from tests.flow.conftest import BASE, World

pytestmark = pytest.mark.sandbox

BACKEND = '''
"""A build backend that tries what it should not reach, and builds a wheel that tells."""
import base64, hashlib, json, os, socket, urllib.request, zipfile
import toolmaker  # the static requirement

tried = {}


def attempt(name, what):
    try:
        tried[name] = "REACHED " + repr(what())[:200]
    except BaseException as error:
        tried[name] = type(error).__name__


def token():
    address = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
    request = urllib.request.Request(address, headers={"Metadata-Flavor": "Google"})
    return urllib.request.urlopen(request, timeout=5).read()


def try_everything():
    attempt("token", token)
    attempt("name", lambda: socket.getaddrinfo("us-central1-python.pkg.dev", 443))
    attempt("network", lambda: socket.create_connection(("203.0.113.1", 7), timeout=5))
    attempt("netrc", lambda: open("/opt/dmz/netrc").read())
    attempt("agent", lambda: os.listdir("/opt/dmz"))
    attempt("auth", lambda: open("/opt/dmz/apt/auth.conf").read())
    attempt("etc", lambda: open("/etc/built-here", "w").write("x"))
    attempt("venv", lambda: open("/opt/dmz/venv/bin/python", "w").write("x"))
    attempt("inputs", lambda: open("/mnt/in/built-here", "w").write("x"))
    attempt("environment", lambda: [key for key in os.environ if "GOOGLE" in key][0])
    # This one goes well: it is a place of its own, and goes away.
    open("/tmp/built-here", "w").write("x")


def get_requires_for_build_wheel(config_settings=None):
    return ["stamper<2"]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    import stamper  # the dynamic requirement
    try_everything()
    files = {
        "omega/__init__.py": "version = '1.0'\\ntried = " + repr(json.dumps(tried)) + "\\n",
        "omega-1.0.dist-info/METADATA": "Metadata-Version: 2.4\\nName: omega\\nVersion: 1.0\\n"
        "License-Expression: MIT\\nRequires-Dist: beta\\n",
        "omega-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\\n"
    files["omega-1.0.dist-info/RECORD"] = record + "omega-1.0.dist-info/RECORD,,\\n"
    name = "omega-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
'''
PROJECT = """
[build-system]
requires = ["toolmaker>=1"]
build-backend = "backend"
backend-path = ["."]
"""


def sdist(name: str, version: str, **files: str) -> tuple[str, bytes]:
    """File name and bytes of a source distribution."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"{name}-{version}.tar.gz", out.getvalue()


@pytest.fixture(scope="module")
def built(world: World) -> Iterator[World]:
    """A workload whose omega has no wheel."""
    world.touch()
    for name in ("toolmaker", "stamper"):
        world.upstream.add(name, "1.0")
    files = {"pyproject.toml": PROJECT, "backend.py": BACKEND}
    world.upstream.put("omega", *sdist("omega", "1.0", **files))
    world.want(*BASE, "omega")
    yield world
    world.touch()


def discovered(world: World) -> Inventory:
    estate, began = world.estate, datetime.now(UTC)
    estate.outer.up(lambda line: None)
    return asyncio.run(discover(estate, lambda line: None, within=300, since=began))


def outer(world: World, ask: Callable[[Outer], Any]) -> Any:
    async def connected() -> Any:
        estate = world.estate
        async with connect("us-central1") as google:
            return await ask(Outer(google, estate.outer_outputs(), estate.base_image))

    return asyncio.run(connected())


def google(ask: Callable[[Google], Any]) -> Any:
    async def connected() -> Any:
        async with connect("us-central1") as connection:
            return await ask(connection)

    return asyncio.run(connected())


def claim(inventory: Inventory, name: str) -> Claimed:
    return next(each for each in inventory.pypi if each.name == name)


def body(world: World, evidence: Evidence) -> bytes:
    """The bytes that the repository of what was built has."""

    async def read(connection: Google) -> bytes:
        artifact = evidence.entry.artifact
        registry = PythonRegistry(connection, "dmz-outer", "us-central1", "python-built")
        async with registry.open(artifact) as chunks:
            return await in_thread(lambda: b"".join(chunks))

    found: bytes = google(read)
    return found


@pytest.fixture(scope="module")
def inventory(built: World) -> Inventory:
    return discovered(built)


def test_it_is_built_once_in_isolation_and_carries_its_provenance(built: World, inventory: Inventory) -> None:
    claimed = claim(inventory, "omega")
    filename, source = next(iter(built.upstream.files["omega"].items()))
    assert claimed.built
    assert claimed.sdist == hashlib.sha256(source).hexdigest()

    collected: list[Evidence] = outer(built, lambda facts: facts.collect(inventory))
    [omega] = [each for each in collected if each.entry.artifact.name == "omega"]
    how = omega.entry.built
    assert how is not None
    assert (how.sdist, how.sha256) == (filename, claimed.sdist)
    assert how.requires == ("stamper==1.0", "toolmaker==1.0")
    assert omega.entry.artifact.origin == "python-built"
    assert omega.licence == "MIT"
    assert omega.published == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "the sdist's"
    assert omega.upstreams == ("python-remote", "python-built")
    assert omega.entry.artifact.why == ("requested",)
    [beta] = [each for each in collected if each.entry.artifact.name == "beta"]
    assert "omega" in beta.entry.artifact.why, "the built wheel's own requirements count"

    # What the foreign code tried.
    with zipfile.ZipFile(io.BytesIO(body(built, omega))) as archive:
        assert archive.testzip() is None
        text = archive.read("omega/__init__.py").decode()
        assert b"Build: 1d" in archive.read("omega-1.0.dist-info/WHEEL")
    tried = json.loads(ast.literal_eval(text.split("tried = ", 1)[1]))
    assert len(tried) == 10
    assert not {key: value for key, value in tried.items() if value.startswith("REACHED")}

    # Nobody but the publisher wrote there, and the machine did not even try.
    wrote = [
        entry
        for entry in built.requests()
        if entry["method"] == "POST" and "/python-built/" in entry["path"] and "pkg.dev" in json.dumps(entry)
    ]
    assert wrote
    assert all("dmz-publisher@dmz-outer" in entry["identity"] for entry in wrote)

    [jq] = [each for each in collected if each.entry.artifact.name == "jq"]
    assert jq.upstreams
    assert jq.published is None, "no mirror says when a version entered its suite"

    # Entries of a lock have the same facts.
    again: list[Evidence] = outer(built, lambda facts: facts.gather([each.entry for each in collected]))
    assert again == collected


def objects() -> list[str]:
    async def listed(connection: Google) -> list[str]:
        return [each.name for each in await Bucket(connection, "dmz-outer-builds").list()]

    found: list[str] = google(listed)
    return found


def test_a_second_discovery_does_not_build_again(built: World, inventory: Inventory) -> None:
    first = claim(inventory, "omega")
    before = objects()
    assert len(before) == 2
    # Another workload: the machine starts anew, with nothing of the last one.
    built.want(*BASE, "omega", check="true # another")
    began = len(built.requests())
    second = claim(discovered(built), "omega")
    assert (second.filename, second.sdist) == (first.filename, first.sdist)
    assert objects() == before
    after = built.requests()[began:]
    assert not [entry for entry in after if "toolmaker" in entry["path"]], (
        "no build requirement was asked for"
    )
    [console] = built.daemon.root.glob("machines/*outer*/console.log")
    said = console.read_text()
    assert said.count("building omega-1.0.tar.gz in isolation") == 1
    assert "taking omega-1.0-1d" in said


def test_an_sdist_with_another_hash_than_upstreams_is_refused(built: World, inventory: Inventory) -> None:
    filename = next(iter(built.upstream.files["omega"]))
    announced = built.upstream.announced[filename]
    built.upstream.announced[filename] = "0" * 64
    try:
        with pytest.raises(
            RefusedError, match=rf"built from {filename} of sha256:{announced}, and upstream has"
        ) as no:
            outer(built, lambda facts: facts.collect(inventory))
        assert len(str(no.value).splitlines()) == 1
    finally:
        built.upstream.announced[filename] = announced


def test_a_build_requirement_with_another_hash_than_upstreams_is_refused(
    built: World, inventory: Inventory
) -> None:
    filename, announced = (
        "toolmaker-1.0-py3-none-any.whl",
        built.upstream.announced["toolmaker-1.0-py3-none-any.whl"],
    )
    built.upstream.announced[filename] = "0" * 64
    try:
        with pytest.raises(
            RefusedError, match=rf"and with {filename} of sha256:{announced}, and upstream has"
        ):
            outer(built, lambda facts: facts.collect(inventory))
    finally:
        built.upstream.announced[filename] = announced


def test_other_bytes_than_the_provenance_says_are_not_published(built: World, inventory: Inventory) -> None:
    """Somebody who may write there changes the wheel behind its provenance: nothing of it gets on."""
    claimed = claim(inventory, "omega")
    name = build.provenance_object(claimed.sdist, inventory.base_image.dpkg_digest)

    async def change(connection: Google) -> bytes:
        bucket = Bucket(connection, "dmz-outer-builds")
        original = await bucket.read(name)
        assert original is not None
        document = json.loads(original)
        document["subject"][0]["digest"]["sha256"] = "0" * 64
        await bucket.write(name, json.dumps(document).encode())
        return original

    async def restore(connection: Google) -> None:
        await Bucket(connection, "dmz-outer-builds").write(name, original)

    original: bytes = google(change)
    try:
        with pytest.raises(DmzError, match="is not there, though its provenance is"):
            outer(built, lambda facts: facts.collect(inventory))
    finally:
        google(restore)


def test_a_build_that_needs_the_network_fails_and_says_so(built: World) -> None:
    files = {
        "pyproject.toml": PROJECT.replace("toolmaker>=1", "toolmaker"),
        "backend.py": "import urllib.request\n\n\ndef build_wheel(*_):\n"
        "    urllib.request.urlopen('http://203.0.113.1/', timeout=5)\n",
    }
    built.upstream.put("needy", *sdist("needy", "1.0", **files))
    built.want(*BASE, "needy")
    try:
        with pytest.raises(
            DmzError, match=r"needy-1\.0\.tar\.gz could not be built in isolation: .*unreachable"
        ):
            discovered(built)
    finally:
        built.want(*BASE, "omega")
