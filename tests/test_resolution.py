"""A new resolution with uv against a real index, for another machine than this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dmz.artifact import Artifact, Kind
from dmz.errors import InputError, TransferError
from dmz.promotion.base_image import BaseImage
from dmz.registries.google import Google
from dmz.registries.index import IndexFile, PythonIndex
from dmz.registries.python import PythonRegistry
from dmz.resolution import UnsatisfiableError, choose_wheel, platform, resolve, supported_tags
from tests.registries.conftest import as_sync
from tests.registries.counterpart import Counterpart, Fault, running, wheel
from tests.registries.support import artifact

IMAGE = BaseImage.model_validate(
    {
        "runtime": "sandbox-debian-12",
        "distribution": "debian",
        "release": "bookworm",
        "suites": [{"name": "bookworm", "base": "DEBIAN", "path": "debian/dists/bookworm"}],
        "components": ["main"],
        "python": "3.11",
        "architecture": "amd64",
        "glibc": "2.36",
    }
)


@pytest.fixture
def outer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counterpart]:
    counterpart = Counterpart()
    counterpart.add(
        "outer/python-remote",
        "PYTHON",
        dict(
            [
                wheel("app", "1.0", requires=("lib>=1", 'winonly; sys_platform == "win32"')),
                wheel("lib", "1.0"),
                wheel("lib", "2.0", requires=("leaf",)),
                wheel("lib", "3.0", requires=("leaf>=9",)),
                wheel("leaf", "1.0"),
                wheel("native", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"),
                wheel("native", "1.0", tag="cp311-cp311-manylinux_2_34_x86_64"),
                wheel("native", "1.0", tag="cp311-cp311-manylinux_2_38_x86_64"),
                wheel("native", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64"),
                wheel("native", "2.0", tag="cp312-cp312-manylinux_2_17_x86_64"),
            ]
        ),
    )
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with running(counterpart):
        for name, value in counterpart.environment().items():
            monkeypatch.setenv(name, value)
        yield counterpart


def resolved(*requirements: str, **options: object) -> list[Artifact]:
    async def work(google: Google) -> list[Artifact]:
        index = PythonIndex(google, "outer", "us-central1", "python-remote")
        return await resolve(google, index, "python-remote", IMAGE, requirements, **options)  # type: ignore[arg-type]

    return as_sync(work)


def pins(found: list[Artifact]) -> dict[str, str]:
    return {one.name: one.version for one in found}


class TestResolve:
    def test_newest_that_fits_with_digest_and_reasons(self, outer: Counterpart) -> None:
        found = resolved("App")
        assert pins(found) == {"app": "1.0", "leaf": "1.0", "lib": "2.0"}
        assert {one.name: one.why for one in found} == {
            "app": ("requested",),
            "lib": ("app",),
            "leaf": ("lib",),
        }
        kept = outer.repositories["outer/python-remote"]
        for one in found:
            assert one.sha256 == kept[f"{one.name}/{one.filename}"].sha256
            assert one.size == len(kept[f"{one.name}/{one.filename}"].data)
            assert (one.kind, one.origin) == (Kind.PYPI, "python-remote")

    def test_refused_versions_are_left_out(self, outer: Counterpart) -> None:
        assert pins(resolved("app", exclude=["lib!=2.0"])) == {"app": "1.0", "lib": "1.0"}

    def test_the_change_is_the_smallest(self, outer: Counterpart) -> None:
        keep = {"app": "1.0", "lib": "1.0"}
        assert pins(resolved("app", keep=keep)) == keep
        assert pins(resolved("app", keep=keep, exclude=["lib!=1.0"]))["lib"] == "2.0"

    def test_overrides(self, outer: Counterpart) -> None:
        assert pins(resolved("lib==3.0", overrides=["leaf==1.0"])) == {"leaf": "1.0", "lib": "3.0"}

    def test_no_way_out(self, outer: Counterpart) -> None:
        with pytest.raises(UnsatisfiableError, match=r"no versions fit together: .*lib") as caught:
            resolved("app", exclude=["lib!=1.0", "lib!=2.0"])
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500

    def test_the_file_that_the_machine_would_take(self, outer: Counterpart) -> None:
        [found] = resolved("native")
        assert (found.version, found.filename) == ("1.0", "native-1.0-cp311-cp311-manylinux_2_34_x86_64.whl")

    def test_built_wheels_take_part(self, outer: Counterpart) -> None:
        name, data = wheel("sdist-only", "1.0", requires=("leaf",))
        outer.add("outer/python-built", "PYTHON", {name: data})
        built = artifact(Kind.PYPI, "sdist-only", "1.0", name, data, origin="python-built")

        async def work(google: Google) -> list[Artifact]:
            index = PythonIndex(google, "outer", "us-central1", "python-remote")
            return await resolve(
                google,
                index,
                "python-remote",
                IMAGE,
                ["sdist-only"],
                built=[built],
                built_from=PythonRegistry(google, "outer", "us-central1", "python-built"),
            )

        found = {one.name: one for one in as_sync(work)}
        assert found["sdist-only"] == built
        assert found["leaf"].why == ("sdist-only",)

    def test_a_built_wheel_that_changed(self, outer: Counterpart) -> None:
        name, data = wheel("sdist-only", "1.0")
        outer.add("outer/python-built", "PYTHON", {name: data})
        built = artifact(Kind.PYPI, "sdist-only", "1.0", name, data + b"x", origin="python-built")

        async def work(google: Google) -> list[Artifact]:
            index = PythonIndex(google, "outer", "us-central1", "python-remote")
            registry = PythonRegistry(google, "outer", "us-central1", "python-built")
            return await resolve(
                google, index, "python-remote", IMAGE, ["leaf"], built=[built], built_from=registry
            )

        with pytest.raises(TransferError, match=r"sdist_only-1\.0.*expected"):
            as_sync(work)

    def test_an_index_that_refuses(self, outer: Counterpart) -> None:
        outer.faults.append(Fault("GET", "/simple/", status=403, times=99))
        with pytest.raises((TransferError, UnsatisfiableError)) as caught:
            resolved("app")
        assert "token-of" not in str(caught.value)

    def test_the_users_own_settings_do_not_count(
        self, outer: Counterpart, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("UV_NO_INDEX", "1")
        monkeypatch.setenv("UV_OVERRIDE", "/nowhere")
        assert pins(resolved("leaf")) == {"leaf": "1.0"}


class TestPlatform:
    def test_as_uv_knows_it(self) -> None:
        assert platform(IMAGE) == "x86_64-manylinux_2_36"

    @pytest.mark.parametrize(("glibc", "known"), [("2.27", "2_17"), ("2.30", "2_28"), ("2.99", "2_40")])
    def test_the_nearest_older_one(self, glibc: str, known: str) -> None:
        image = IMAGE.model_copy(update={"glibc": glibc, "architecture": "arm64"})
        assert platform(image) == f"aarch64-manylinux_{known}"

    def test_too_old(self) -> None:
        with pytest.raises(InputError, match="too old"):
            platform(IMAGE.model_copy(update={"glibc": "2.12"}))


class TestTags:
    def test_what_pip_on_debian_12_supports(self) -> None:
        tags = [str(tag) for tag in supported_tags(IMAGE)]
        assert tags[0] == "cp311-cp311-manylinux_2_36_x86_64"
        for tag in (
            "cp311-cp311-manylinux_2_17_x86_64",
            "cp311-cp311-manylinux2014_x86_64",
            "cp311-cp311-manylinux1_x86_64",
            "cp311-abi3-manylinux_2_28_x86_64",
            "cp38-abi3-linux_x86_64",
            "py3-none-any",
            "py311-none-manylinux_2_12_x86_64",
        ):
            assert tag in tags
        assert not [tag for tag in tags if "_2_37" in tag or "musllinux" in tag or "cp312" in tag]

    def test_build_numbers_decide_between_equals(self) -> None:
        files = [
            IndexFile(name, "", None, None, False)
            for name in ("a-1.0-py3-none-any.whl", "a-1.0-2-py3-none-any.whl", "a-1.0-10-py3-none-any.whl")
        ]
        chosen = choose_wheel(files, "1.0", supported_tags(IMAGE))
        assert chosen is not None
        assert chosen.filename == "a-1.0-10-py3-none-any.whl"

    def test_none_fits(self) -> None:
        files = [IndexFile("a-1.0-cp312-cp312-win_amd64.whl", "", None, None, False)]
        assert choose_wheel(files, "1.0", supported_tags(IMAGE)) is None
