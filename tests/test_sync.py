"""PackageSync's provider against a real server: what it copies, refuses, withdraws and reports."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dill  # type: ignore[import-untyped]
import pytest
from pulumi.output import UNKNOWN
from pulumi.runtime.proto import provider_pb2

from dmz.artifact import Artifact, Kind
from dmz.errors import DmzError, InputError, RefusedError, TransferError
from dmz.promotion import lines
from dmz.promotion import release as releases
from dmz.promotion.entry import Entry
from dmz.promotion.release import Release
from dmz.sync import PackageSyncProvider
from tests.registries.counterpart import SYNC, Counterpart, Fault, deb, running, wheel
from tests.registries.support import artifact

JAX = wheel("jax", "0.10.2")
FLAX = wheel("flax", "0.12.8")
BUILT = wheel("made-here", "1.0")
HELLO = deb("hello", "1:2.10-3")
MODEL = b"weights"

PYTHON = {
    "jax": artifact(Kind.PYPI, "jax", "0.10.2", *JAX),
    "flax": artifact(Kind.PYPI, "flax", "0.12.8", *FLAX),
    "built": artifact(Kind.PYPI, "made-here", "1.0", *BUILT, origin="python-built"),
}
APT = artifact(
    Kind.APT,
    "hello",
    "1:2.10-3",
    "hello_2.10-3_amd64.deb",
    HELLO,
    architecture="amd64",
    origin="apt-bookworm",
)
FILE = artifact(Kind.FILE, "model.bin", hashlib.sha256(MODEL).hexdigest(), "model.bin", MODEL, origin="files")
ALL = (*PYTHON.values(), APT, FILE)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counterpart]:
    """The outer project with everything that releases name, an empty inner one, and a checkout."""
    counterpart = Counterpart()
    counterpart.add("outer/python-remote", "PYTHON", dict([JAX, FLAX]))
    counterpart.add("outer/python-built", "PYTHON", dict([BUILT]))
    counterpart.add("outer/apt-bookworm", "APT", {APT.filename: HELLO})
    counterpart.add("inner/python", "PYTHON")
    counterpart.add("inner/apt", "APT")
    counterpart.buckets = {"outer-files": {f"files/{FILE.sha256}/model.bin": MODEL}, "inner-release": {}}
    monkeypatch.chdir(tmp_path)
    with running(counterpart):
        for name, value in counterpart.environment().items():
            monkeypatch.setenv(name, value)
        yield counterpart


def released(*artifacts: Artifact, workload: str = "small") -> dict[str, Any]:
    """Write a release into the checkout; the inputs that a program makes from it."""
    entries = tuple(
        Entry(one, "src-hello", one.version) if one.kind is Kind.APT else Entry(one) for one in artifacts
    )
    release = Release(workload, "0" * 64, "sandbox-debian-12", "1" * 64, "3.11", entries)
    releases.write(release, Path("releases"))
    return {
        "packages": lines.render(releases.union([release])),
        "releases": {workload: release.digest},
        "releaseFolder": "releases",
        "project": "inner",
        "location": "us-central1",
        "aptRepository": "apt",
        "pythonRepository": "python",
        "releaseBucket": "inner-release",
        "outerProject": "outer",
        "filesBucket": "outer-files",
        "syncServiceAccount": SYNC,
        "adopt": False,
        "withdrawOnDelete": False,
        "providerVersion": "1",
        "__provider": "opaque",
    }


def create(props: dict[str, Any]) -> dict[str, Any]:
    outs = PackageSyncProvider().create(props).outs
    assert outs is not None
    return {**outs, "__provider": "opaque"}


def update(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    outs = PackageSyncProvider().update("id", olds, news).outs
    assert outs is not None
    return {**outs, "__provider": "opaque"}


def held(cloud: Counterpart) -> set[str]:
    """SHA-256 of everything that can be read in inner but for the releases themselves."""
    kept = {
        one.sha256
        for name, files in cloud.repositories.items()
        if name.startswith("inner/")
        for one in files.values()
    }
    return kept | {
        hashlib.sha256(data).hexdigest()
        for name, data in cloud.buckets["inner-release"].items()
        if name.startswith("files/")
    }


def digests(*artifacts: Artifact) -> set[str]:
    return {one.sha256 for one in artifacts}


class TestCreate:
    def test_inner_holds_the_release(self, cloud: Counterpart) -> None:
        outs = create(released(*ALL))
        assert held(cloud) == digests(*ALL)
        assert (outs["copied"], outs["kept"], outs["withdrawn"]) == (5, 0, 0)
        assert outs["bytes"] == sum(one.size for one in ALL)

    def test_machines_find_the_release(self, cloud: Counterpart) -> None:
        props = released(*ALL)
        create(props)
        box = cloud.buckets["inner-release"]
        digest = props["releases"]["small"]
        assert json.loads(box["current/small.json"]) == {"workload": "small", "digest": digest}
        for file in Path("releases").iterdir():
            assert box[f"releases/{digest}/{file.name}"] == file.read_bytes()

    def test_everything_is_done_as_the_sync(self, cloud: Counterpart) -> None:
        create(released(*ALL))
        assert {identity for _, path, identity in cloud.requests if not path.startswith("/iam/")} == {"sync"}

    def test_a_second_time_copies_nothing(self, cloud: Counterpart) -> None:
        create(released(*ALL))
        before = len([1 for method, path, _ in cloud.requests if method == "POST"])
        outs = create(released(*ALL))
        assert (outs["copied"], outs["kept"], outs["withdrawn"]) == (0, 5, 0)
        posts = [path for method, path, _ in cloud.requests if method == "POST"][before:]
        assert all("generateAccessToken" in path for path in posts)

    def test_what_is_there_and_right_is_adopted(self, cloud: Counterpart) -> None:
        cloud.keep("inner/python", *JAX)
        outs = create(released(*ALL))
        assert (outs["copied"], outs["kept"]) == (4, 1)

    def test_what_was_there_before_is_named_and_stays(self, cloud: Counterpart) -> None:
        name, data = wheel("theirs", "3.0")
        cloud.keep("inner/python", name, data)
        with pytest.raises(RefusedError, match=rf"{name}.*dmz:adopt"):
            create(released(*ALL))
        assert held(cloud) == {hashlib.sha256(data).hexdigest()}

    def test_what_was_there_before_goes_when_told(self, cloud: Counterpart) -> None:
        cloud.keep("inner/python", *wheel("theirs", "3.0"))
        outs = create({**released(*ALL), "adopt": True})
        assert outs["withdrawn"] == 1
        assert held(cloud) == digests(*ALL)

    def test_it_waits_for_the_apt_index(self, cloud: Counterpart) -> None:
        cloud.index_delay["inner/apt"] = 4
        create(released(*ALL))
        assert cloud.index_delay["inner/apt"] == 0

    def test_a_service_that_stumbles(self, cloud: Counterpart) -> None:
        cloud.faults += [
            Fault("POST", "/python/inner", status=500),
            Fault("GET", "/files", status=503, headers={"Retry-After": "0"}),
            Fault("GET", JAX[0], truncate=True),
        ]
        create(released(*ALL))
        assert held(cloud) == digests(*ALL)


class TestRefusals:
    @pytest.mark.parametrize("name", [JAX[0], "hello_2.10-3_amd64", "model.bin"])
    def test_one_byte_changed_on_the_way(self, cloud: Counterpart, name: str) -> None:
        cloud.faults.append(Fault("GET", name, other_bytes=True, times=99))
        with pytest.raises(TransferError) as caught:
            create(released(*ALL))
        [wanted] = [one for one in ALL if one.filename.startswith(name)]
        [data] = [data for data in (JAX[1], HELLO, MODEL) if len(data) == wanted.size]
        served = hashlib.sha256(bytes(byte ^ 1 for byte in data)).hexdigest()
        for part in (wanted.filename, wanted.sha256, served):
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)
        assert held(cloud) <= digests(*ALL) - {wanted.sha256}
        assert not [
            name for name in cloud.buckets["inner-release"] if name.startswith(("current", "releases"))
        ]

    def test_one_byte_changed_in_outers_apt_index(self, cloud: Counterpart) -> None:
        changed = deb("hello", "1:2.10-3", payload=b"Payload")
        cloud.repositories["outer/apt-bookworm"].clear()
        cloud.keep("outer/apt-bookworm", APT.filename, changed)
        with pytest.raises(RefusedError) as caught:
            create(released(APT))
        for part in (APT.filename, APT.sha256, hashlib.sha256(changed).hexdigest()):
            assert part in str(caught.value)
        assert held(cloud) == set()

    def test_other_bytes_in_inner(self, cloud: Counterpart) -> None:
        cloud.keep("inner/python", JAX[0], JAX[1][:-1] + b"?")
        with pytest.raises(DmzError, match=JAX[0]):
            create(released(*ALL))
        assert not cloud.repositories["inner/apt"], "something was copied before the conflict was seen"

    def test_the_checkout_changed(self, cloud: Counterpart) -> None:
        props = released(PYTHON["jax"])
        released(PYTHON["jax"], PYTHON["flax"])
        with pytest.raises(InputError, match="changed meanwhile"):
            create(props)
        assert held(cloud) == set()

    def test_packages_that_no_release_has(self, cloud: Counterpart) -> None:
        props = released(PYTHON["jax"])
        props["packages"] = lines.render([PYTHON["jax"], PYTHON["flax"]])
        with pytest.raises(InputError, match="not what the releases"):
            create(props)
        assert held(cloud) == set()

    def test_nobody_may_impersonate(self, cloud: Counterpart) -> None:
        cloud.may_impersonate = False
        with pytest.raises(InputError, match="may not act as"):
            create(released(*ALL))


class TestUpdate:
    def test_copies_what_is_new_and_withdraws_what_is_gone(self, cloud: Counterpart) -> None:
        olds = create(released(PYTHON["jax"], APT, FILE))
        outs = update(olds, released(PYTHON["jax"], PYTHON["flax"]))
        assert (outs["copied"], outs["kept"], outs["withdrawn"]) == (1, 1, 2)
        assert held(cloud) == digests(PYTHON["jax"], PYTHON["flax"])

    def test_copies_before_it_withdraws(self, cloud: Counterpart) -> None:
        olds = create(released(PYTHON["jax"]))
        cloud.faults.append(Fault("GET", FLAX[0], other_bytes=True, times=99))
        with pytest.raises(TransferError):
            update(olds, released(PYTHON["flax"]))
        assert held(cloud) == digests(PYTHON["jax"])

    def test_what_came_behind_our_back_goes(self, cloud: Counterpart) -> None:
        olds = create(released(*ALL))
        cloud.keep("inner/python", *wheel("intruder", "6.6.6"))
        outs = update(olds, released(*ALL))
        assert outs["withdrawn"] == 1
        assert held(cloud) == digests(*ALL)

    def test_an_empty_release_withdraws_everything(self, cloud: Counterpart) -> None:
        olds = create(released(*ALL))
        assert update(olds, released())["withdrawn"] == 5
        assert held(cloud) == set()

    def test_a_workload_that_left_is_no_longer_current(self, cloud: Counterpart) -> None:
        olds = create(released(PYTHON["jax"], workload="old"))
        update(olds, released(PYTHON["jax"], workload="new"))
        current = [name for name in cloud.buckets["inner-release"] if name.startswith("current/")]
        assert current == ["current/new.json"]

    def test_a_file_that_shares_its_version_lingers(self, cloud: Counterpart) -> None:
        olds = create(released(PYTHON["jax"]))
        other, data = wheel("jax", "0.10.2", tag="py2-none-any")
        cloud.keep("inner/python", other, data)
        outs = update(olds, released(PYTHON["jax"]))
        assert outs["lingering"] == [other]
        assert outs["withdrawn"] == 0


class TestRead:
    def test_nothing_changed(self, cloud: Counterpart) -> None:
        props = released(*ALL)
        outs = create(props)
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert found.outs == outs
        assert {**found.inputs, "__provider": "opaque"} == props

    def test_drift_is_shown_by_package(self, cloud: Counterpart) -> None:
        props = released(*ALL)
        outs = create(props)
        name, data = wheel("intruder", "6.6.6")
        cloud.keep("inner/python", name, data)
        cloud.repositories["inner/apt"].clear()
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        packages = found.inputs["packages"]
        assert packages.keys() - props["packages"].keys() == {"pypi/intruder"}
        assert name in packages["pypi/intruder"]
        assert hashlib.sha256(data).hexdigest() in packages["pypi/intruder"]
        assert props["packages"].keys() - packages.keys() == {"apt/hello:amd64"}
        assert PackageSyncProvider().diff("id", found.outs or {}, props).changes

    def test_after_drift_an_update_mends(self, cloud: Counterpart) -> None:
        props = released(*ALL)
        outs = create(props)
        cloud.keep("inner/python", *wheel("intruder", "6.6.6"))
        cloud.repositories["inner/apt"].clear()
        found = PackageSyncProvider().read("id", outs)
        assert update(found.outs or {}, props)["withdrawn"] == 1
        assert held(cloud) == digests(*ALL)

    def test_a_tampered_release_is_drift(self, cloud: Counterpart) -> None:
        props = released(*ALL)
        outs = create(props)
        digest = props["releases"]["small"]
        cloud.buckets["inner-release"][f"releases/{digest}/apt.small.lock"] += b" "
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert found.inputs["releases"] == {}
        update(found.outs or {}, props)
        again = PackageSyncProvider().read("id", outs)
        assert again.inputs is not None
        assert again.inputs["releases"] == props["releases"]

    def test_an_object_put_among_the_files(self, cloud: Counterpart) -> None:
        props = released(*ALL)
        outs = create(props)
        cloud.buckets["inner-release"]["files/notes"] = b"hidden"
        found = PackageSyncProvider().read("id", outs)
        assert found.inputs is not None
        assert hashlib.sha256(b"hidden").hexdigest() in found.inputs["packages"]["files/notes"]
        update(found.outs or {}, props)
        assert "files/notes" not in cloud.buckets["inner-release"]

    def test_a_repository_that_is_gone(self, cloud: Counterpart) -> None:
        outs = create(released(*ALL))
        del cloud.repositories["inner/python"]
        assert PackageSyncProvider().read("id", outs).id == ""


class TestDelete:
    def test_nothing_is_withdrawn(self, cloud: Counterpart) -> None:
        PackageSyncProvider().delete("id", create(released(*ALL)))
        assert held(cloud) == digests(*ALL)

    def test_unless_told(self, cloud: Counterpart) -> None:
        outs = create({**released(*ALL), "withdrawOnDelete": True})
        name, data = wheel("theirs", "3.0")
        cloud.keep("inner/python", name, data)
        PackageSyncProvider().delete("id", outs)
        assert held(cloud) == {hashlib.sha256(data).hexdigest()}


class TestCheck:
    def failures(self, **changed: Any) -> list[tuple[str, str]]:
        found = PackageSyncProvider().check({}, {**released(*ALL), **changed}).failures
        return [(failure.property, failure.reason) for failure in found]

    @pytest.fixture(autouse=True)
    def checkout(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)

    def test_good_inputs_pass_as_they_are(self) -> None:
        props = released(*ALL)
        result = PackageSyncProvider().check({}, props)
        assert (result.inputs, result.failures) == (props, [])

    @pytest.mark.parametrize(
        ("changed", "where"),
        [
            ({"packages": {"pypi/jax": "0.10.2"}}, "packages"),
            ({"packages": {"npm/left-pad": "1.0 a.tgz sha256:" + "0" * 64 + " 1 from x; y"}}, "packages"),
            ({"packages": None}, "packages"),
            ({"releases": {"small": "latest"}}, "releases"),
            ({"releaseFolder": "../elsewhere"}, "releaseFolder"),
            ({"releaseFolder": "/elsewhere"}, "releaseFolder"),
            ({"project": ""}, "project"),
            ({"syncServiceAccount": None}, "syncServiceAccount"),
            ({"adopt": "yes"}, "adopt"),
        ],
    )
    def test_bad_inputs_are_named(self, changed: dict[str, Any], where: str) -> None:
        [(property_, reason)] = self.failures(**changed)
        assert property_ == where
        assert "\n" not in reason

    def test_what_a_preview_does_not_know_passes(self) -> None:
        assert self.failures(project=UNKNOWN, packages=UNKNOWN, aptRepository=UNKNOWN) == []
        assert self.failures(packages={"pypi/jax": UNKNOWN}) == []


class TestDiff:
    @pytest.fixture(autouse=True)
    def checkout(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)

    def diff(self, **changed: Any) -> tuple[bool | None, list[str] | None]:
        olds = {**released(*ALL), "copied": 5, "seconds": 1.5, "lingering": []}
        result = PackageSyncProvider().diff("id", olds, {**released(*ALL), **changed})
        return result.changes, result.replaces

    def test_outputs_make_no_difference(self) -> None:
        assert self.diff() == (False, [])

    @pytest.mark.parametrize(
        "key", ["project", "location", "aptRepository", "pythonRepository", "releaseBucket"]
    )
    def test_another_target_replaces(self, key: str) -> None:
        assert self.diff(**{key: "another"}) == (True, [key])

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("packages", {}),
            ("releases", {}),
            ("outerProject", "x"),
            ("filesBucket", "x"),
            ("providerVersion", "2"),
            ("adopt", True),
            ("withdrawOnDelete", True),
        ],
    )
    def test_any_other_input_updates(self, key: str, value: Any) -> None:
        assert self.diff(**{key: value}) == (True, [])

    def test_an_unknown_target_does_not_replace(self) -> None:
        assert self.diff(aptRepository=UNKNOWN) == (True, [])


class TestProvider:
    def test_is_kept_by_reference(self) -> None:
        assert len(dill.dumps(PackageSyncProvider(), protocol=pickle.DEFAULT_PROTOCOL, recurse=True)) < 200
        assert PackageSyncProvider.serialize_as_secret_always is False

    def test_outputs_hold_no_token(self, cloud: Counterpart) -> None:
        assert "token-of" not in json.dumps(create(released(*ALL)))


class TestOneLine:
    """The SDK's own server for dynamic resources, with our provider in it."""

    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        import pulumi.dynamic

        path = Path(pulumi.dynamic.__path__[0]) / "__main__.py"
        module = types.ModuleType("__main__")
        # All of it but the last line, which would start to serve.
        source = path.read_text().rstrip().removesuffix("main()")
        exec(compile(source, str(path), "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, "__main__", module)
        return module

    def call(self, server: types.ModuleType, props: dict[str, Any]) -> str:
        import base64

        from google.protobuf import struct_pb2

        class Context:
            details = ""

            def abort(self, _code: object, details: str) -> None:
                self.details = details

        context = Context()
        fields = struct_pb2.Struct()
        provider = base64.b64encode(dill.dumps(PackageSyncProvider(), recurse=True)).decode()
        fields.update({**props, "__provider": provider})
        request = provider_pb2.CreateRequest(properties=fields)
        server.DynamicResourceProviderServicer().Create(request, context)
        return context.details

    def test_a_refusal_has_no_traceback(self, cloud: Counterpart, server: types.ModuleType) -> None:
        cloud.keep("inner/python", *wheel("theirs", "3.0"))
        details = self.call(server, released(*ALL))
        assert "dmz:adopt" in details
        assert "\n" not in details
        assert "Traceback" not in details

    def test_a_fault_of_ours_keeps_it(self, server: types.ModuleType, tmp_path: Path) -> None:
        details = self.call(server, {})
        assert "\n" not in details, "a missing input is for people"
        server.__dict__["get_provider"] = None
        assert "Traceback" in self.call(server, {})
