"""What the outer repositories and their upstream say, and what is refused when they don't agree."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from aiohttp import web

from dmz.artifact import Artifact, Kind
from dmz.errors import DmzError, InputError, RefusedError
from dmz.promotion import build
from dmz.promotion.entry import Build, Entry
from dmz.promotion.evidence import Evidence, Publisher, Status
from dmz.promotion.inventory import Deb, File, Inventory, Wheel
from dmz.promotion.release import Release
from dmz.promotion.retention import Stack, name_of, render
from dmz.registries.google import connect
from dmz.workflow.outer import Outer
from tests.attestations import attest, pem
from tests.promotion.builders import image
from tests.promotion.test_build import STATEMENT
from tests.promotion.test_publisher import provenance, statement
from tests.registries.conftest import FAST
from tests.registries.counterpart import ATTESTOR, Counterpart, deb, running, serving, wheel

T = TypeVar("T")
JSON = "application/vnd.pypi.simple.v1+json"
OUTPUTS: dict[str, Any] = {
    "project": "outer",
    "location": "us-central1",
    "pythonRepository": "python-remote",
    "pythonBuiltRepository": "python-built",
    "filesBucket": "files",
    "buildsBucket": "builds",
    "publisherServiceAccount": "dmz-publisher@outer.iam.gserviceaccount.com",
    "aptRepositories": [{"repository": "apt-bookworm", "suite": "bookworm"}],
}
OLD, NEW, LATEST = wheel("alpha", "1.0"), wheel("alpha", "1.1"), wheel("alpha", "2.0")
DEB = deb("jq", "1.6-2.1")
FILE = b"to be or not to be"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Upstream:
    """The index behind the remote repository."""

    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def offer(self, filename: str, data: bytes, when: str = "2026-01-02T03:04:05Z", **more: Any) -> None:
        page = self.pages.setdefault(filename.split("-")[0], {"meta": {"api-version": "1.4"}, "files": []})
        page["files"] = [file for file in page["files"] if file["filename"] != filename]
        page["files"].append(
            {
                "filename": filename,
                "url": f"../../files/{filename}",
                "hashes": {"sha256": sha(data)},
                "size": len(data),
                "upload-time": when,
                **more,
            }
        )

    def routes(self) -> list[web.RouteDef]:
        async def page(request: web.Request) -> web.Response:
            self.asked.append(request.path)
            if request.match_info["name"] not in self.pages:
                raise web.HTTPNotFound
            return web.json_response(self.pages[request.match_info["name"]], content_type=JSON)

        async def document(request: web.Request) -> web.Response:
            self.asked.append(request.path)
            if request.path not in self.documents:
                raise web.HTTPNotFound
            return web.Response(body=self.documents[request.path])

        return [web.get("/simple/{name}/", page), web.get("/{path:.*}", document)]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    found = Upstream()
    with serving(found.routes()) as url:
        found.url = url
        yield found


@pytest.fixture
def cloud(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counterpart]:
    """Outer repositories that have alpha 1.1, jq and a file."""
    with running(Counterpart()) as counterpart:
        for name, value in counterpart.environment().items():
            monkeypatch.setenv(name, value)
        counterpart.remote = {"pythonRepository": {"customRepository": {"uri": upstream.url}}}
        counterpart.add("outer/python-remote", "PYTHON", dict([OLD, NEW]))
        counterpart.add("outer/python-built", "PYTHON")
        counterpart.add("outer/apt-bookworm", "APT", {"jq_1.6-2.1_amd64.deb": DEB})
        counterpart.buckets = {"files": {f"files/{sha(FILE)}/corpus.txt": FILE}, "builds": {}}
        upstream.offer(*OLD, when="2025-01-02T03:04:05Z")
        upstream.offer(*NEW)
        yield counterpart


def ask(work: Callable[[Outer], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with connect("us-central1", retry=FAST) as google:
            return await work(Outer(google, OUTPUTS, image()))

    return asyncio.run(connected())


def claimed(filename: str = NEW[0], **more: Any) -> Wheel:
    name, version = filename.split("-")[:2]
    values: dict[str, Any] = {
        "name": name,
        "version": version,
        "filename": filename,
        "requested": True,
        "required_by": (),
        "built": False,
        "sha256": "",
    }
    return Wheel(**(values | more))


def inventory(*wheels: Wheel, debs: tuple[Deb, ...] = (), files: tuple[File, ...] = ()) -> Inventory:
    facts = {
        "runtime": "sandbox-debian-12",
        "dpkg_digest": "b" * 64,
        "python": "3.11.2",
        "architecture": "amd64",
        "glibc": "2.36",
    }
    return Inventory.model_validate(
        {
            "schema": 1,
            "workload": "small",
            "workload_digest": "a" * 64,
            "machine": "dmz-outer",
            "created": "2026-11-22T10:29:00Z",
            "base_image": facts,
            "apt": debs,
            "pypi": wheels,
            "files": files,
            "probes": (),
        },
        strict=False,
    )


def collect(*wheels: Wheel, **more: Any) -> list[Evidence]:
    return ask(lambda outer: outer.collect(inventory(*wheels, **more)))


def one(*wheels: Wheel) -> Evidence:
    [found] = collect(*wheels)
    return found


def entry(filename: str = NEW[0], data: bytes = NEW[1], **more: Any) -> Entry:
    name, version = filename.split("-")[:2]
    values: dict[str, Any] = {"sha256": sha(data), "size": len(data), "origin": "python-remote"}
    return Entry(Artifact(Kind.PYPI, name, "", version, filename, why=("requested",), **(values | more)))


def locked(entry: Entry) -> Release:
    return Release("small", "a" * 64, "sandbox-debian-12", "b" * 64, "3.11", (entry,))


def refusal(work: Callable[[], object], error: type[DmzError] = RefusedError) -> str:
    with pytest.raises(error) as refused:
        work()
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


class TestFacts:
    def test_of_each_kind(self, cloud: Counterpart, upstream: Upstream) -> None:
        jq = Deb(
            name="jq",
            version="1.6-2.1",
            architecture="amd64",
            source="anything",
            source_version="9",
            requested=True,
        )
        corpus = File(name="corpus.txt", sha256=sha(FILE), size=1)
        package, file, distribution = collect(claimed(), debs=(jq,), files=(corpus,))
        assert package.entry.source == "src-jq", "of the index, not of the claim"
        assert (package.entry.artifact.sha256, package.entry.artifact.size) == (sha(DEB), len(DEB))
        assert package.upstreams == ("apt-bookworm",)
        assert package.published is None
        assert (file.entry.artifact.size, file.upstreams) == (len(FILE), ("files",))
        assert distribution.entry == replace(entry(), uploaded=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        assert distribution.published == distribution.entry.uploaded
        assert distribution.status is Status.ACTIVE
        assert distribution.yanked is None
        assert distribution.upstreams == ("python-remote",)
        assert distribution.last_upload == distribution.published

    def test_the_project_is_looked_at_as_a_whole(self, cloud: Counterpart, upstream: Upstream) -> None:
        upstream.offer(*LATEST, when="2026-06-01T00:00:00+02:00")
        upstream.pages["alpha"]["project-status"] = {"status": "archived"}
        found = one(claimed())
        assert found.last_upload == datetime(2026, 5, 31, 22, tzinfo=UTC)
        assert found.status is Status.ARCHIVED

    @pytest.mark.parametrize(("said", "meant"), [("broken wheel", "broken wheel"), (True, ""), (False, None)])
    def test_yanked(self, cloud: Counterpart, upstream: Upstream, said: object, meant: str | None) -> None:
        upstream.offer(*NEW, yanked=said)
        found = one(claimed())
        assert (found.yanked, found.deleted) == (meant, False)

    def test_what_upstream_deleted_is_told_apart_from_what_its_publisher_took_back(
        self, cloud: Counterpart, upstream: Upstream
    ) -> None:
        upstream.pages["alpha"]["files"].pop()
        found = one(claimed())
        assert (found.yanked, found.deleted, found.published) == (None, True, None)
        del upstream.pages["alpha"]
        assert one(claimed()).deleted

    def test_a_silent_upstream_leaves_facts_unknown(
        self, cloud: Counterpart, caplog: pytest.LogCaptureFixture
    ) -> None:
        cloud.remote = {"pythonRepository": {"customRepository": {"uri": "http://127.0.0.1:9"}}}
        found = one(claimed())
        assert (found.published, found.status, found.yanked, found.publisher, found.last_upload) == (
            None,
        ) * 5
        assert found.upstreams == ("python-remote",)
        assert "unknown" in caplog.text
        # What the lock knows already stays known.
        when = datetime(2026, 1, 2, tzinfo=UTC)
        [again] = ask(lambda outer: outer.gather([replace(entry(), uploaded=when)]))
        assert (again.published, again.entry.uploaded) == (when, when)

    def test_a_status_that_is_not_known_is_no_status(self, cloud: Counterpart, upstream: Upstream) -> None:
        upstream.pages["alpha"]["project-status"] = {"status": "sleeping"}
        assert one(claimed()).status is None

    def test_every_repository_that_offers_the_name(self, cloud: Counterpart) -> None:
        cloud.keep("outer/python-built", *wheel("alpha", "0.9"))
        assert one(claimed()).upstreams == ("python-remote", "python-built")


class TestLicence:
    METADATA = b"Metadata-Version: 2.4\nName: alpha\nVersion: 1.1\nLicense-Expression: mit\n"

    def announced(self, upstream: Upstream, data: bytes, digest: str = "") -> None:
        more: dict[str, Any] = {"core-metadata": {"sha256": digest or sha(data)}}
        upstream.offer(*NEW, **more)
        upstream.documents[f"/files/{NEW[0]}.metadata"] = data

    def test_from_announced_metadata(self, cloud: Counterpart, upstream: Upstream) -> None:
        self.announced(upstream, self.METADATA)
        assert one(claimed()).licence == "MIT"
        assert not [path for _, path, _ in cloud.requests if path.endswith(".whl")], (
            "the wheel was not needed"
        )

    def test_announced_metadata_with_other_bytes_are_refused(
        self, cloud: Counterpart, upstream: Upstream
    ) -> None:
        self.announced(upstream, self.METADATA, "0" * 64)
        assert refusal(lambda: one(claimed())).startswith(f"{NEW[0]}: the upstream index sends metadata")

    def test_from_the_wheel_that_outer_has(self, cloud: Counterpart, upstream: Upstream) -> None:
        upstream.documents[f"/files/{NEW[0]}.metadata"] = self.METADATA  # there, but nobody vouches for it
        assert one(claimed()).licence is None, "the wheel says nothing of it"
        assert [path for _, path, _ in cloud.requests if path.endswith(f"/alpha/{NEW[0]}")]
        assert not [path for path in upstream.asked if path.endswith(".metadata")]

    def test_metadata_of_something_else_are_refused(self, cloud: Counterpart, upstream: Upstream) -> None:
        self.announced(upstream, self.METADATA.replace(b"1.1", b"1.2"))
        assert "its metadata are of 'alpha 1.2'" in refusal(lambda: one(claimed()))


class TestPublisher:
    def offer(self, upstream: Upstream, file: tuple[str, bytes], who: str, digest: str = "") -> None:
        upstream.offer(*file, provenance=f"/provenance/{file[0]}")
        by = {"kind": "GitHub", "repository": who, "workflow": "release.yml"}
        upstream.documents[f"/provenance/{file[0]}"] = provenance(
            statement(file[0], digest or sha(file[1])), by=by
        )

    def test_now_and_before(self, cloud: Counterpart, upstream: Upstream) -> None:
        self.offer(upstream, OLD, "old/alpha")
        self.offer(upstream, NEW, "new/alpha")
        self.offer(upstream, LATEST, "later/alpha")
        found = one(claimed())
        assert found.publisher == Publisher("GitHub", "new/alpha release.yml")
        assert found.former_publisher == Publisher("GitHub", "old/alpha release.yml")

    def test_one_that_is_gone_is_told(self, cloud: Counterpart, upstream: Upstream) -> None:
        self.offer(upstream, OLD, "old/alpha")
        found = one(claimed())
        assert found.publisher is None
        assert found.former_publisher == Publisher("GitHub", "old/alpha release.yml")

    def test_a_provenance_of_other_bytes_is_refused(self, cloud: Counterpart, upstream: Upstream) -> None:
        self.offer(upstream, NEW, "new/alpha", "0" * 64)
        assert "its provenance is about" in refusal(lambda: one(claimed()))


class TestTwoHashesUnderOneName:
    def test_claim_and_repository(self, cloud: Counterpart) -> None:
        said = refusal(lambda: one(claimed(sha256="0" * 64)))
        assert said.startswith(f"{NEW[0]}: the outer machine installed sha256:000")

    def test_repository_and_upstream(self, cloud: Counterpart, upstream: Upstream) -> None:
        upstream.offer(NEW[0], b"other" + NEW[1])
        said = refusal(lambda: one(claimed()))
        assert said.startswith(f"{NEW[0]}: python-remote has sha256:{sha(NEW[1])}, its upstream has sha256:")

    def test_size_at_repository_and_upstream(self, cloud: Counterpart, upstream: Upstream) -> None:
        upstream.offer(*NEW, size=1)
        assert "its upstream says 1" in refusal(lambda: one(claimed()))

    def test_two_outer_repositories(self, cloud: Counterpart) -> None:
        cloud.keep("outer/python-built", NEW[0], wheel("alpha", "1.1", requires=("x",))[1])
        said = refusal(lambda: one(claimed()))
        assert f"{NEW[0]}: python-remote has sha256:{sha(NEW[1])}, python-built has sha256:" in said

    def test_the_same_in_two_outer_repositories_is_fine(self, cloud: Counterpart) -> None:
        cloud.keep("outer/python-built", *NEW)
        assert one(claimed()).upstreams == ("python-remote", "python-built")

    def test_within_one_index(self, cloud: Counterpart, upstream: Upstream) -> None:
        page = upstream.pages["alpha"]["files"]
        page.append({**page[-1], "hashes": {"sha256": "0" * 64}})
        said = refusal(lambda: one(claimed()), DmzError)
        assert f"{NEW[0]} is offered with two contents" in said

    def test_index_and_record_of_one_repository(self, cloud: Counterpart) -> None:
        cloud.index_digests[NEW[0]] = "0" * 64
        assert f"{NEW[0]}: keeps sha256:" in refusal(lambda: one(claimed()), DmzError)

    def test_lock_and_repository(self, cloud: Counterpart) -> None:
        changed = entry(sha256="0" * 64)
        said = refusal(lambda: ask(lambda outer: outer.gather([changed])))
        assert said.startswith(f"{NEW[0]}: approved is sha256:000")

    def test_inventory_with_one_name_twice(self) -> None:
        with pytest.raises(ValueError, match="stands twice"):
            inventory(claimed(), claimed())


class TestLock:
    def entries(self) -> list[Entry]:
        package = Artifact(
            *(Kind.APT, "jq", "amd64", "1.6-2.1", "jq_1.6-2.1_amd64.deb", sha(DEB), len(DEB)),
            *("apt-bookworm", ("requested",)),
        )
        file = Artifact(
            *(Kind.FILE, "corpus.txt", "", sha(FILE), "corpus.txt", sha(FILE), len(FILE)),
            *("files", ("requested",)),
        )
        return [Entry(package, "src-jq", "1"), Entry(file), entry()]

    def test_has_the_facts_that_the_inventory_had(self, cloud: Counterpart) -> None:
        found = ask(lambda outer: outer.gather(self.entries()))
        assert [each.entry.artifact for each in found] == [each.artifact for each in self.entries()]
        assert found[2] == one(claimed())

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_another_size_is_refused(self, cloud: Counterpart, place: int) -> None:
        entries = self.entries()
        entries[place] = replace(entries[place], artifact=replace(entries[place].artifact, size=1))
        assert "of 1 bytes" in refusal(lambda: ask(lambda outer: outer.gather(entries)))

    def test_other_bytes_of_a_deb_are_refused(self, cloud: Counterpart) -> None:
        entries = self.entries()
        entries[0] = replace(entries[0], artifact=replace(entries[0].artifact, sha256="0" * 64))
        assert "approved is sha256:000" in refusal(lambda: ask(lambda outer: outer.gather(entries)))

    @pytest.mark.parametrize(
        ("repository", "key"),
        [
            ("outer/python-remote", "pypi/alpha"),
            ("outer/apt-bookworm", "apt/jq:amd64"),
            ("", "files/corpus.txt"),
        ],
    )
    def test_what_is_gone_is_refused(self, cloud: Counterpart, repository: str, key: str) -> None:
        cloud.buckets["files"].clear() if not repository else cloud.repositories[repository].clear()
        said = refusal(lambda: ask(lambda outer: outer.gather(self.entries())))
        assert said.startswith(key)
        assert "any more" in said

    def test_an_origin_that_outer_does_not_have_is_refused(self, cloud: Counterpart) -> None:
        assert "elsewhere does not offer" in refusal(
            lambda: ask(lambda outer: outer.gather([entry(origin="elsewhere")]))
        )

    def test_what_was_built_says_from_what_and_nothing_else_does(self, cloud: Counterpart) -> None:
        cloud.keep("outer/python-built", *NEW)
        unknown = entry(origin="python-built")
        assert "does not say what it was built from" in refusal(
            lambda: ask(lambda outer: outer.gather([unknown]))
        )
        posing = replace(entry(), built=Build("alpha-1.1.tar.gz", "a" * 64, "b" * 64))
        assert "says that it was built" in refusal(lambda: ask(lambda outer: outer.gather([posing])))

    def test_nothing_is_asked_of_upstream_for_debs(self, cloud: Counterpart, upstream: Upstream) -> None:
        ask(lambda outer: outer.gather(self.entries()[:2]))
        assert upstream.asked == []


class TestOffered:
    def test_versions_with_their_age(self, cloud: Counterpart, upstream: Upstream) -> None:
        cloud.keep("outer/python-remote", *LATEST)
        upstream.offer(*LATEST, yanked="bad")
        found = ask(lambda outer: outer.offered("Alpha"))
        assert [(each.version, each.published, each.yanked) for each in found] == [
            ("1.0", datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC), False),
            ("1.1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), False),
            ("2.0", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), True),
        ]

    def test_one_page_of_each_however_often(self, cloud: Counterpart, upstream: Upstream) -> None:
        async def twice(outer: Outer) -> None:
            await outer.offered("alpha")
            await outer.offered("alpha")

        ask(twice)
        assert upstream.asked == ["/simple/alpha/"]
        assert len([path for _, path, _ in cloud.requests if "/simple/" in path]) == 1

    def test_upstream_alone_offers_nothing(self, cloud: Counterpart, upstream: Upstream) -> None:
        upstream.offer(*LATEST)
        assert [each.version for each in ask(lambda outer: outer.offered("alpha"))] == ["1.0", "1.1"]

    def test_a_silent_upstream_leaves_the_age_unknown(self, cloud: Counterpart) -> None:
        cloud.remote = {"pythonRepository": {"customRepository": {"uri": "http://127.0.0.1:9"}}}
        assert {each.published for each in ask(lambda outer: outer.offered("alpha"))} == {None}


SDIST = ("omega-1.0.tar.gz", b"sources")
MADE = wheel("omega", "1.0")[1]
MADE_NAME = "omega-1.0-1dabc-py3-none-any.whl"
TOOL = wheel("setuptools", "80.9.0")
UPLOAD = ("POST", "/python/outer/python-built/")


@pytest.fixture
def built(cloud: Counterpart, upstream: Upstream) -> dict[str, Any]:
    """A build in its bucket; returns its provenance, for tests to change and to store."""
    document: dict[str, Any] = json.loads(json.dumps(STATEMENT))
    document["subject"][0]["digest"]["sha256"] = sha(MADE)
    document["predicate"]["buildDefinition"]["resolvedDependencies"] = [
        {"name": name, "digest": {"sha256": sha(data)}} for name, data in (SDIST, TOOL)
    ]
    for name, data in (SDIST, TOOL):
        upstream.offer(name, data)
        cloud.keep("outer/python-remote", name, data)
    store(cloud, document)
    return document


def store(cloud: Counterpart, document: dict[str, Any]) -> None:
    folder = build.folder(sha(SDIST[1]), "b" * 64)
    cloud.buckets["builds"][f"{folder}provenance.json"] = json.dumps(document).encode()
    cloud.buckets["builds"][f"{folder}{sha(MADE)}/{MADE_NAME}"] = MADE


def omega(**more: Any) -> Wheel:
    values: dict[str, Any] = {"filename": MADE_NAME, "built": True, "sdist": sha(SDIST[1])}
    return claimed(**(values | more))


class TestBuilt:
    def test_is_published_with_its_provenance(
        self, cloud: Counterpart, upstream: Upstream, built: dict[str, Any]
    ) -> None:
        found = one(omega())
        how = found.entry.built
        assert how is not None
        assert (how.sdist, how.sha256, how.requires) == (SDIST[0], sha(SDIST[1]), ("setuptools==80.9.0",))
        assert found.entry.artifact.origin == "python-built"
        assert found.entry.artifact.sha256 == sha(MADE)
        assert found.published == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "of the sdist"
        assert found.entry.uploaded is None
        assert cloud.repositories["outer/python-built"][f"omega/{MADE_NAME}"].data == MADE
        uploads = [identity for method, path, identity in cloud.requests if (method, path) == UPLOAD]
        assert uploads == ["publisher"]

    def test_a_second_time_nothing_is_published(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        first = one(omega())
        assert one(omega()) == first
        assert len([1 for method, path, _ in cloud.requests if (method, path) == UPLOAD]) == 1

    def test_facts_of_a_lock_are_the_same(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        first = one(omega())
        [again] = ask(lambda outer: outer.gather([first.entry]))
        assert again == first

    @pytest.mark.parametrize(
        ("name", "what"), [(SDIST[0], "was built from"), (TOOL[0], "was built from and with")]
    )
    def test_what_went_in_must_be_upstreams(
        self, cloud: Counterpart, upstream: Upstream, built: dict[str, Any], name: str, what: str
    ) -> None:
        upstream.offer(name, b"other")
        said = refusal(lambda: one(omega()))
        assert said.startswith(f"{MADE_NAME} {what} {name} of sha256:")
        assert f"and upstream has sha256:{sha(b'other')}" in said
        assert not cloud.repositories["outer/python-built"]

    @pytest.mark.parametrize("name", [SDIST[0], TOOL[0]])
    def test_what_went_in_must_be_what_outer_has(
        self, cloud: Counterpart, built: dict[str, Any], name: str
    ) -> None:
        cloud.index_digests[name] = "0" * 64
        assert f"and python-remote has sha256:{'0' * 64}" in refusal(lambda: one(omega()))
        assert not cloud.repositories["outer/python-built"]

    @pytest.mark.parametrize("name", [SDIST[0], TOOL[0]])
    def test_what_upstream_does_not_know_went_in(
        self, cloud: Counterpart, upstream: Upstream, built: dict[str, Any], name: str
    ) -> None:
        del upstream.pages[name.split("-")[0]]
        assert "upstream does not say what that file is" in refusal(lambda: one(omega()))

    def test_a_silent_upstream_vouches_for_nothing(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        cloud.remote = {"pythonRepository": {"customRepository": {"uri": "http://127.0.0.1:9"}}}
        assert "upstream does not say what that file is" in refusal(lambda: one(omega()))

    def test_no_provenance(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        cloud.buckets["builds"].clear()
        assert refusal(lambda: one(omega())).startswith(f"{MADE_NAME} has no provenance at gs://builds/")

    def test_a_provenance_that_is_none(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        store(cloud, {"_type": "x"})
        assert refusal(lambda: one(omega()), InputError).startswith("gs://builds/builds/")

    @pytest.mark.parametrize(
        "more",
        [
            {"sha256": "0" * 64},
            {"filename": "omega-1.0-2-py3-none-any.whl"},
        ],
    )
    def test_a_claim_of_another_wheel(
        self, cloud: Counterpart, built: dict[str, Any], more: dict[str, Any]
    ) -> None:
        assert "not about what the outer machine installed" in refusal(lambda: one(omega(**more)))

    def test_a_provenance_for_another_image(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        built["predicate"]["buildDefinition"]["internalParameters"]["dpkgDigest"] = "c" * 64
        store(cloud, built)
        assert "not about what the outer machine installed" in refusal(lambda: one(omega()))

    def test_other_bytes_than_the_provenance_says(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        folder = build.folder(sha(SDIST[1]), "b" * 64)
        cloud.buckets["builds"][f"{folder}{sha(MADE)}/{MADE_NAME}"] = MADE[:-1] + b"x"
        assert sha(MADE) in refusal(lambda: one(omega()), DmzError)
        assert not cloud.repositories["outer/python-built"]

    def test_a_wheel_that_is_not_there(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        folder = build.folder(sha(SDIST[1]), "b" * 64)
        del cloud.buckets["builds"][f"{folder}{sha(MADE)}/{MADE_NAME}"]
        assert "is not there, though its provenance is" in refusal(lambda: one(omega()))

    def test_other_bytes_in_the_repository_already(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        cloud.keep("outer/python-built", MADE_NAME, b"other")
        assert "delete version 1.0 of omega there" in refusal(lambda: one(omega()), DmzError)

    def test_without_leave_to_act_as_the_publisher(self, cloud: Counterpart, built: dict[str, Any]) -> None:
        cloud.may_impersonate = False
        assert "may not act as dmz-publisher@outer" in refusal(lambda: one(omega()), InputError)

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"requires": ()},
            {"environment": "0" * 64},
            {"sdist": "omega-1.0.0.tar.gz"},
            {"sha256": "0" * 64},
        ],
        ids=str,
    )
    def test_what_a_lock_says_of_a_build_is_what_its_provenance_says(
        self, cloud: Counterpart, built: dict[str, Any], said: dict[str, Any]
    ) -> None:
        entry = one(omega()).entry
        assert entry.built is not None
        edited = replace(entry, built=replace(entry.built, **said))
        if not said:
            ask(lambda outer: outer.confirm_builds(locked(edited)))
            return
        line = refusal(lambda: ask(lambda outer: outer.confirm_builds(locked(edited))))
        assert line.startswith(f"{MADE_NAME}")
        assert "provenance.json" in line

    def test_a_wheel_that_somebody_else_published_is_not_what_was_built(
        self, cloud: Counterpart, built: dict[str, Any]
    ) -> None:
        entry = one(omega()).entry
        other = replace(entry, artifact=replace(entry.artifact, sha256="0" * 64))
        line = refusal(lambda: ask(lambda outer: outer.confirm_builds(locked(other))))
        assert "the lock does not say of its build what gs://builds/" in line

    def test_a_lock_of_what_upstream_has_otherwise_since(
        self, cloud: Counterpart, upstream: Upstream, built: dict[str, Any]
    ) -> None:
        entry = one(omega()).entry
        upstream.offer(TOOL[0], b"other")
        line = refusal(lambda: ask(lambda outer: outer.confirm_builds(locked(entry))))
        assert line.startswith(f"{MADE_NAME} was built from and with {TOOL[0]} of sha256:")

    @pytest.mark.parametrize("silent", [False, True], ids=["forgotten", "silent"])
    def test_what_upstream_forgot_was_seen_when_the_very_release_was_attested(
        self,
        cloud: Counterpart,
        upstream: Upstream,
        built: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        silent: bool,
    ) -> None:
        monkeypatch.setitem(OUTPUTS, "archiveBucket", "archive")
        monkeypatch.setitem(OUTPUTS, "attestationsBucket", "attestations")
        monkeypatch.setitem(OUTPUTS, "attestationPublicKey", pem())
        monkeypatch.setitem(OUTPUTS, "attestorServiceAccount", ATTESTOR)
        cloud.buckets |= {"archive": {}, "attestations": {}}
        release = locked(one(omega()).entry)
        upstream.pages.clear()
        cloud.repositories["outer/python-remote"].clear()
        if silent:
            cloud.remote = {"pythonRepository": {"customRepository": {"uri": "http://127.0.0.1:9"}}}
        refusal(lambda: ask(lambda outer: outer.confirm_builds(release)))
        stack = Stack("inner", "us-central1", "small")
        cloud.buckets["archive"][name_of(stack, release.digest, datetime.now(UTC))] = render(release)
        refusal(lambda: ask(lambda outer: outer.confirm_builds(release)))
        attest(cloud.buckets["attestations"], release)
        ask(lambda outer: outer.confirm_builds(release))
        # What it has with other bytes is another matter.
        cloud.keep("outer/python-remote", TOOL[0], b"other")
        assert TOOL[0] in refusal(lambda: ask(lambda outer: outer.confirm_builds(release)))

    def test_who_publishes_is_not_asked_for_when_nothing_was_built(self, cloud: Counterpart) -> None:
        cloud.may_impersonate = False
        assert one(claimed()).entry.built is None


def test_the_statements_of_the_tests_are_whole() -> None:
    document = json.loads(provenance(statement()))
    [bundle] = document["attestation_bundles"]
    assert json.loads(base64.b64decode(bundle["attestations"][0]["envelope"]["statement"])) == statement()
