"""What was let in once comes in again without any upstream: into a second inner project, and going back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmz.artifact import Artifact
from dmz.errors import InputError
from dmz.promotion.release import Release
from dmz.promotion.statement import resource_uri
from dmz.sync import PackageSyncProvider
from tests.attestations import attest
from tests.registries.counterpart import Counterpart, running
from tests.test_sync import ALL, APT, BUILT, FILE, FLAX, HELLO, JAX, MODEL, PYTHON, inputs, write

Synced = Callable[..., dict[str, Any]]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counterpart]:
    """Outer with all that releases name, and two inner projects that hold nothing."""
    made = Counterpart()
    made.add("outer/python-remote", "PYTHON", dict([JAX, FLAX]))
    made.add("outer/python-built", "PYTHON", dict([BUILT]))
    made.add("outer/apt-bookworm", "APT", {APT.filename: HELLO})
    made.buckets = {
        "outer-files": {f"files/{FILE.sha256}/model.bin": MODEL},
        "outer-attestations": {},
        "outer-archive": {},
    }
    for project in ("inner", "second"):
        made.add(f"{project}/python", "PYTHON")
        made.add(f"{project}/apt", "APT")
        made.buckets |= {f"{project}-release": {}, f"{project}-staging": {}}
    monkeypatch.chdir(tmp_path)
    with running(made):
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


def of(project: str, *artifacts: Artifact) -> dict[str, Any]:
    """The inputs of a release for one of the inner projects."""
    return {
        **inputs(write(*artifacts)),
        "project": project,
        "releaseBucket": f"{project}-release",
        "stagingBucket": f"{project}-staging",
    }


def attested(cloud: Counterpart, project: str, release: Release) -> None:
    uri = resource_uri(project, "us-central1", release.workload)
    bucket: dict[str, bytes] = {}
    [body] = [attest(bucket, release, resource_uri=uri)]
    folder = f"attestations/{project}/{release.workload}/{release.digest}/"
    cloud.buckets["outer-attestations"][f"{folder}20261122T120000.000000Z.dsse.json"] = body


def created(cloud: Counterpart, project: str, *artifacts: Artifact) -> dict[str, Any]:
    attested(cloud, project, write(*artifacts))
    return PackageSyncProvider().create(of(project, *artifacts)).outs or {}


def forget(cloud: Counterpart) -> None:
    """Outer's repositories and its bucket of files lose everything."""
    for name in ("outer/python-remote", "outer/python-built", "outer/apt-bookworm"):
        cloud.repositories[name].clear()
    cloud.buckets["outer-files"].clear()
    cloud.requests.clear()


def asked_outer(cloud: Counterpart) -> list[str]:
    """What was asked of outer, apart from its archive and the attestations."""
    return [
        path
        for _, path, _ in cloud.requests
        if ("outer" in path and "outer-archive" not in path and "outer-attestations" not in path)
        and "/iam/" not in path
    ]


def held(cloud: Counterpart, project: str) -> set[str]:
    kept = {
        file.sha256 for name in ("python", "apt") for file in cloud.repositories[f"{project}/{name}"].values()
    }
    return kept | {
        name.split("/")[1] for name in cloud.buckets[f"{project}-release"] if name.startswith("files/")
    }


def test_what_is_let_in_is_kept_under_a_record(cloud: Counterpart) -> None:
    created(cloud, "inner", *ALL)
    box = cloud.buckets["outer-archive"]
    assert {name for name in box if name.startswith("sha256/")} == {f"sha256/{each.sha256}" for each in ALL}
    [record] = [name for name in box if name.startswith("releases/inner/us-central1/small/")]
    assert next(iter(box)) == record, "before any file"


def test_a_second_project_needs_no_upstream(cloud: Counterpart) -> None:
    created(cloud, "inner", *ALL)
    forget(cloud)
    outs = created(cloud, "second", *ALL)
    assert outs["copied"] == len(ALL)
    assert held(cloud, "second") == {each.sha256 for each in ALL}
    assert asked_outer(cloud) == []
    assert len([name for name in cloud.buckets["outer-archive"] if name.startswith("releases/second/")]) == 1


def test_going_back_needs_none_either(cloud: Counterpart) -> None:
    outs = created(cloud, "inner", *ALL)
    attested(cloud, "inner", write(PYTHON["flax"]))
    olds = {**of("inner", *ALL), **outs}
    news = of("inner", PYTHON["flax"])
    outs = PackageSyncProvider().update("id", olds, news).outs or {}
    assert held(cloud, "inner") == {PYTHON["flax"].sha256}
    forget(cloud)
    back = PackageSyncProvider().update("id", {**news, **outs}, of("inner", *ALL)).outs or {}
    assert back["copied"] == len(ALL) - 1
    assert held(cloud, "inner") == {each.sha256 for each in ALL}
    assert asked_outer(cloud) == []
    assert len([name for name in cloud.buckets["outer-archive"] if name.startswith("releases/inner/")]) == 3


def test_what_inner_held_before_there_was_an_archive_is_kept_from_there(cloud: Counterpart) -> None:
    outs = created(cloud, "inner", *ALL)
    cloud.buckets["outer-archive"].clear()
    forget(cloud)
    props = of("inner", *ALL)
    assert PackageSyncProvider().update("id", {**props, **outs}, props).outs is not None
    assert {name for name in cloud.buckets["outer-archive"] if name.startswith("sha256/")} == {
        f"sha256/{each.sha256}" for each in ALL
    }
    created(cloud, "second", *ALL)
    assert held(cloud, "second") == {each.sha256 for each in ALL}


def test_without_upstream_and_archive_nothing_is_copied(cloud: Counterpart) -> None:
    created(cloud, "inner", *ALL)
    forget(cloud)
    box = cloud.buckets["outer-archive"]
    del box[f"sha256/{PYTHON['jax'].sha256}"]
    with pytest.raises(Exception, match=PYTHON["jax"].filename):
        created(cloud, "second", *ALL)
    assert PYTHON["jax"].sha256 not in held(cloud, "second")


def test_what_is_not_attested_leaves_no_record(cloud: Counterpart) -> None:
    with pytest.raises(Exception, match="not attested"):
        PackageSyncProvider().create(of("inner", *ALL))
    assert cloud.buckets["outer-archive"] == {}


def test_a_state_of_an_earlier_version_says_what_to_do(cloud: Counterpart) -> None:
    attested(cloud, "inner", write(*ALL))
    props = of("inner", *ALL)
    del props["archiveBucket"]
    with pytest.raises(InputError, match=r"archiveBucket: .* run `pulumi up` again"):
        PackageSyncProvider().create(props)
