"""What nobody offers any more is to be had from the archive, if the attestor once let it in; only then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from dmz.artifact import Artifact, Kind
from dmz.errors import DmzError, RefusedError, TransferError
from dmz.promotion.entry import Build, Entry
from dmz.promotion.evidence import Evidence
from dmz.promotion.release import Release
from dmz.promotion.retention import Stack, name_of, render
from dmz.promotion.verification import Held
from dmz.registries.google import connect
from dmz.workflow.holdings import Outside, held_outside
from dmz.workflow.outer import Outer
from tests.attestations import ATTESTOR, attest, pem, place
from tests.promotion.builders import image
from tests.registries.conftest import FAST
from tests.registries.counterpart import Counterpart, Fault, deb, running, serving, wheel
from tests.registries.support import artifact
from tests.test_outer import OUTPUTS, Upstream

T = TypeVar("T")

OURS: dict[str, Any] = {
    **OUTPUTS,
    "archiveBucket": "outer-archive",
    "attestationsBucket": "outer-attestations",
    "attestationPublicKey": pem(),
    "attestorServiceAccount": ATTESTOR,
}
ALPHA, JQ, CORPUS = wheel("alpha", "1.1"), deb("jq", "1.6-2.1"), b"to be or not to be"
WHEEL = Entry(artifact(Kind.PYPI, "alpha", "1.1", *ALPHA))
DEB = Entry(
    artifact(
        Kind.APT, "jq", "1.6-2.1", "jq_1.6-2.1_amd64.deb", JQ, architecture="amd64", origin="apt-bookworm"
    ),
    "src-jq",
    "1.6-2.1",
)
_FILE = artifact(Kind.FILE, "corpus.txt", "", "corpus.txt", CORPUS, origin="files")
FILE = Entry(replace(_FILE, version=_FILE.sha256))
ENTRIES = (WHEEL, DEB, FILE)
BODIES = {WHEEL.artifact.sha256: ALPHA[1], DEB.artifact.sha256: JQ, FILE.artifact.sha256: CORPUS}
ADMITTED = datetime(2026, 11, 22, tzinfo=UTC)
"""When the counterpart says that its first object came."""


def release(*entries: Entry) -> Release:
    return Release("small", "0" * 64, "sandbox-debian-12", "1" * 64, "3.11", entries or ENTRIES)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """An index that knows nothing."""
    found = Upstream()
    with serving(found.routes()) as url:
        found.url = url
        yield found


@pytest.fixture
def cloud(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counterpart]:
    """An outer side that offers nothing any more, and has an empty archive."""
    with running(Counterpart()) as counterpart:
        for name, value in counterpart.environment().items():
            monkeypatch.setenv(name, value)
        counterpart.remote = {"pythonRepository": {"customRepository": {"uri": "http://127.0.0.1:9"}}}
        counterpart.add("outer/python-remote", "PYTHON")
        counterpart.add("outer/python-built", "PYTHON")
        counterpart.add("outer/apt-bookworm", "APT")
        for name in ("files", "builds", "outer-archive", "outer-attestations"):
            counterpart.buckets[name] = {}
        yield counterpart


def admitted(cloud: Counterpart, made: Release | None = None, project: str = "inner", **said: Any) -> None:
    """What is there after a sync: the files, the record, and before both the attestation."""
    made = made or release()
    box = cloud.buckets["outer-archive"]
    for each in made.artifacts:
        if each.sha256 in BODIES:
            box[f"sha256/{each.sha256}"] = BODIES[each.sha256]
    stack = Stack(project, "us-central1", made.workload)
    box[name_of(stack, made.digest, datetime(2026, 11, 1, tzinfo=UTC))] = render(made)
    attest(cloud.buckets["outer-attestations"], made, replace(place(), project=project), **said)


def ask(work: Callable[[Outer], Awaitable[T]], outputs: dict[str, Any] | None = None) -> T:
    async def connected() -> T:
        async with connect("us-central1", retry=FAST) as google:
            return await work(Outer(google, OURS if outputs is None else outputs, image()))

    return asyncio.run(connected())


def gathered(*entries: Entry) -> list[Evidence]:
    return ask(lambda outer: outer.gather(entries or ENTRIES))


def refused(*entries: Entry, error: type[DmzError] = RefusedError) -> str:
    with pytest.raises(error) as caught:
        gathered(*entries)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestKept:
    def test_what_was_once_let_in(self, cloud: Counterpart) -> None:
        admitted(cloud)
        found = gathered()
        assert [each.entry.artifact for each in found] == [each.artifact for each in ENTRIES]

    def test_without_an_archive_it_is_refused(self, cloud: Counterpart) -> None:
        admitted(cloud)
        with pytest.raises(RefusedError, match=r"does not offer .* any more"):
            ask(lambda outer: outer.gather(ENTRIES), OUTPUTS)

    def test_another_inner_projects_will_do(self, cloud: Counterpart) -> None:
        admitted(cloud, project="another")
        assert len(gathered()) == 3

    def test_so_will_another_release_with_the_same_file(self, cloud: Counterpart) -> None:
        admitted(cloud, release(DEB))
        admitted(cloud, release(WHEEL), project="another")
        assert len(gathered(WHEEL, DEB)) == 2

    def test_how_long_ago_that_was_is_of_no_account(self, cloud: Counterpart) -> None:
        admitted(cloud, time_verified=datetime.now(UTC) - timedelta(days=2000), policy_digest="9" * 64)
        assert len(gathered()) == 3

    def test_it_is_asked_only_for_what_is_gone(self, cloud: Counterpart) -> None:
        cloud.keep("outer/python-remote", *ALPHA)
        cloud.requests.clear()
        gathered(WHEEL)
        assert not [path for _, path, _ in cloud.requests if "outer-archive" in path]

    def test_what_outer_has_with_other_bytes_is_refused_all_the_same(self, cloud: Counterpart) -> None:
        admitted(cloud)
        cloud.keep("outer/apt-bookworm", "jq_1.6-2.1_amd64.deb", deb("jq", "1.6-2.1", payload=b"Other"))
        assert "find out who changed it" in refused(DEB)


class TestNotKept:
    """Whoever can write into the archive does not come by a signature that way."""

    def test_nobody_attested_it(self, cloud: Counterpart) -> None:
        admitted(cloud)
        cloud.buckets["outer-attestations"].clear()
        assert "any more" in refused(DEB)

    @pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"x" * (2 << 20)])
    def test_what_is_no_attestation(self, cloud: Counterpart, body: bytes) -> None:
        admitted(cloud)
        bucket = cloud.buckets["outer-attestations"]
        bucket.update(dict.fromkeys(bucket, body))
        assert "any more" in refused(DEB)

    @pytest.mark.parametrize(
        "said",
        [
            {"verifier": "https://example.com/somebody"},
            {"resource_uri": "https://example.com/elsewhere"},
            {"release_digest": "2" * 64},
            {"inputs": ()},
        ],
        ids=lambda said: next(iter(said)),
    )
    def test_it_attests_something_else(self, cloud: Counterpart, said: dict[str, Any]) -> None:
        admitted(cloud, **said)
        assert "any more" in refused(DEB)

    def test_another_key_signed_it(self, cloud: Counterpart) -> None:
        admitted(cloud)
        with pytest.raises(RefusedError, match="any more"):
            ask(lambda outer: outer.gather([DEB]), {**OURS, "attestationPublicKey": pem("somebody's")})

    def test_the_record_is_of_another_release_than_was_attested(self, cloud: Counterpart) -> None:
        """Named by the attested digest, with lock files of which one more file is a part."""
        admitted(cloud, release(WHEEL))
        box = cloud.buckets["outer-archive"]
        [name] = [each for each in box if each.startswith("releases/")]
        box[name] = render(release(WHEEL, DEB))
        box[f"sha256/{DEB.artifact.sha256}"] = JQ
        assert "any more" in refused(DEB)

    def test_the_bytes_are_not_there(self, cloud: Counterpart) -> None:
        admitted(cloud)
        del cloud.buckets["outer-archive"][f"sha256/{DEB.artifact.sha256}"]
        assert "any more" in refused(DEB)

    def test_they_have_another_size(self, cloud: Counterpart) -> None:
        admitted(cloud)
        cloud.buckets["outer-archive"][f"sha256/{DEB.artifact.sha256}"] += b"?"
        assert "any more" in refused(DEB)

    @pytest.mark.parametrize(
        "other",
        [{"name": "jq-other"}, {"version": "1.6-2.2"}, {"filename": "jq_other.deb"}, {"architecture": "all"}],
        ids=lambda other: next(iter(other)),
    )
    def test_the_same_bytes_under_another_name(self, cloud: Counterpart, other: dict[str, Any]) -> None:
        admitted(cloud)
        posing = replace(DEB, artifact=replace(DEB.artifact, **other))
        assert "any more" in refused(posing)

    def test_a_record_that_can_not_be_read_names_nothing(self, cloud: Counterpart) -> None:
        admitted(cloud)
        box = cloud.buckets["outer-archive"]
        [name] = [each for each in box if each.startswith("releases/")]
        box[name] = box[name][:-2]
        box["releases/notes.txt"] = b"x"
        assert "any more" in refused(DEB)


class TestNobodyAnswers:
    """Outer's repositories are there and what is behind them is not."""

    @pytest.fixture(autouse=True)
    def silent(self, cloud: Counterpart) -> None:
        for path in ("outer/python-remote/simple", "outer/dists/apt-bookworm", "apt-bookworm"):
            cloud.faults += [Fault("GET", path, status=503) for _ in range(60)]

    @pytest.mark.parametrize("entry", [WHEEL, DEB], ids=["wheel", "deb"])
    def test_what_is_kept_will_do(self, cloud: Counterpart, entry: Entry) -> None:
        admitted(cloud)
        assert [each.entry.artifact for each in gathered(entry)] == [entry.artifact]

    @pytest.mark.parametrize("entry", [WHEEL, DEB], ids=["wheel", "deb"])
    def test_what_is_not_kept_has_their_word(self, cloud: Counterpart, entry: Entry) -> None:
        assert "503" in refused(entry, error=TransferError)


class TestFacts:
    def test_its_metadata_are_read_from_the_archive(self, cloud: Counterpart) -> None:
        admitted(cloud)
        cloud.requests.clear()
        gathered(WHEEL)
        [path] = {path for _, path, _ in cloud.requests if WHEEL.artifact.sha256 in path and "/o/" in path}
        assert "outer-archive" in path

    def test_metadata_of_something_else_are_refused(self, cloud: Counterpart) -> None:
        _, body = wheel("beta", "1.1")
        posing = artifact(Kind.PYPI, "alpha", "1.1", "alpha-1.1-py3-none-any.whl", body)
        admitted(cloud, release(Entry(posing)))
        cloud.buckets["outer-archive"][f"sha256/{posing.sha256}"] = body
        assert "its metadata are of 'beta 1.1'" in refused(Entry(posing))

    def test_it_is_at_least_as_old_as_the_archive_has_it(self, cloud: Counterpart) -> None:
        admitted(cloud)
        [found] = gathered(WHEEL)
        assert found.published is not None
        assert ADMITTED <= found.published < ADMITTED + timedelta(minutes=1)
        assert found.entry.uploaded is None, "a lock has upstream's word alone"

    def test_upstreams_word_comes_first(self, cloud: Counterpart, upstream: Upstream) -> None:
        admitted(cloud)
        cloud.remote = {"pythonRepository": {"customRepository": {"uri": upstream.url}}}
        upstream.offer(*ALPHA, when="2025-01-02T03:04:05Z")
        [found] = gathered(WHEEL)
        assert found.published == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert found.yanked is None

    def test_what_upstream_deleted_is_known_as_deleted(self, cloud: Counterpart, upstream: Upstream) -> None:
        admitted(cloud)
        cloud.remote = {"pythonRepository": {"customRepository": {"uri": upstream.url}}}
        [found] = gathered(WHEEL)
        assert found.deleted
        assert found.yanked is None

    def test_who_asks_is_told(self, cloud: Counterpart) -> None:
        admitted(cloud)

        async def kept(outer: Outer) -> set[Artifact]:
            await outer.gather(ENTRIES)
            return set(outer.kept)

        assert ask(kept) == {each.artifact for each in ENTRIES}


class TestVerify:
    """`dmz verify`: in outer may mean in its archive."""

    def outside(self) -> Outside:
        artifacts = [each.artifact for each in ENTRIES]
        return ask(lambda outer: held_outside(outer.google, OURS, image(), artifacts))

    def test_what_is_offered_is_not_looked_for_in_the_archive(self, cloud: Counterpart) -> None:
        cloud.keep("outer/python-remote", *ALPHA)
        cloud.keep("outer/apt-bookworm", DEB.artifact.filename, JQ)
        cloud.buckets["files"][f"files/{FILE.artifact.sha256}/corpus.txt"] = CORPUS
        cloud.requests.clear()
        assert self.outside() == Outside(sorted(Held.of(each.artifact) for each in ENTRIES), 0)
        assert not [path for _, path, _ in cloud.requests if "outer-archive" in path]

    def test_what_is_gone_is(self, cloud: Counterpart) -> None:
        cloud.keep("outer/python-remote", *ALPHA)
        admitted(cloud)
        assert self.outside() == Outside(sorted(Held.of(each.artifact) for each in ENTRIES), 2)

    def test_what_is_nowhere_is_missing(self, cloud: Counterpart) -> None:
        admitted(cloud, release(WHEEL))
        assert self.outside() == Outside([Held.of(WHEEL.artifact)], 1)

    def test_other_bytes_are_told_and_not_covered_up(self, cloud: Counterpart) -> None:
        admitted(cloud)
        cloud.keep("outer/apt-bookworm", DEB.artifact.filename, deb("jq", "1.6-2.1", payload=b"Other"))
        held = self.outside().held
        assert Held.of(DEB.artifact) not in held
        assert Held.of(DEB.artifact).slot in {each.slot for each in held}

    def test_who_does_not_answer_is_covered_by_the_archive_or_told(self, cloud: Counterpart) -> None:
        for path in ("outer/python-remote/simple", "outer/dists/apt-bookworm"):
            cloud.faults += [Fault("GET", path, status=503) for _ in range(60)]
        with pytest.raises(TransferError, match="503"):
            self.outside()
        admitted(cloud)
        assert self.outside().archived == 3


class TestBuilt:
    """What a wheel was built from is not kept; that it was upstream's was seen when it was attested."""

    BUILT = replace(
        WHEEL,
        artifact=replace(WHEEL.artifact, origin="python-built"),
        built=Build("alpha-1.1.tar.gz", "a" * 64, "b" * 64),
    )

    def test_only_of_the_very_release(self, cloud: Counterpart) -> None:
        admitted(cloud, release(self.BUILT))

        async def had(outer: Outer, digest: str) -> bool:
            assert outer._kept is not None
            return await outer._kept.had(digest)

        assert ask(lambda outer: had(outer, release(self.BUILT).digest))
        assert not ask(lambda outer: had(outer, release(self.BUILT, DEB).digest))
        cloud.buckets["outer-attestations"].clear()
        assert not ask(lambda outer: had(outer, release(self.BUILT).digest))
