"""Which sdists are built, and what of them is let near this machine's own pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dmz.machine.agent import builds, python, sdists, storage
from dmz.machine.agent.command import StepError
from tests.flow.upstream import wheel

A, B, C = "a" * 64, "b" * 64, "c" * 64


def page(*files: str, **attributes: str) -> str:
    more = "".join(f' data-{key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return "".join(f'<a href="../../x/{name}#sha256={A}"{more}>x</a>' for name in files)


class TestWhichSdist:
    def test_the_newest_that_is_allowed(self) -> None:
        links = page("x-1.9.tar.gz", "x-1.10.tar.gz", "x-2.0.zip")
        assert sdists.choose(links, "x<2") == {"filename": "x-1.10.tar.gz", "sha256": A}
        assert sdists.choose(links, "x") == {"filename": "x-2.0.zip", "sha256": A}
        assert sdists.choose(links, "x>2") is None

    def test_a_pre_release_only_where_there_is_nothing_else(self) -> None:
        assert sdists.choose(page("x-1.0.tar.gz", "x-2.0rc1.tar.gz"), "x") == {
            "filename": "x-1.0.tar.gz",
            "sha256": A,
        }
        assert sdists.choose(page("x-2.0rc1.tar.gz"), "x") == {"filename": "x-2.0rc1.tar.gz", "sha256": A}

    def test_none_where_a_wheel_fits(self) -> None:
        assert sdists.choose(page("x-1.0.tar.gz", "x-1.0-py3-none-any.whl"), "x") is None

    def test_a_wheel_for_something_else_does_not_fit(self) -> None:
        links = page("x-1.0.tar.gz", "x-1.0-cp27-cp27m-win_amd64.whl")
        assert sdists.choose(links, "x") == {"filename": "x-1.0.tar.gz", "sha256": A}

    def test_a_wheel_of_a_version_that_is_not_allowed_does_not_fit(self) -> None:
        links = page("x-1.0-py3-none-any.whl", "x-2.0.tar.gz")
        assert sdists.choose(links, "x>=2") == {"filename": "x-2.0.tar.gz", "sha256": A}

    @pytest.mark.parametrize(
        "links",
        [
            page("x-1.0.tar.gz", yanked=""),
            page("x-1.0.tar.gz", requires_python="&gt;=99"),
            '<a href="x-1.0.tar.gz">without a digest</a>',
            f'<a href="x-1.0.tar.gz#md5={A}">x</a>',
            page("x.tar.gz", "x-1.0.exe"),
            "<a><a href><!-- <",
            "",
        ],
    )
    def test_none_that_pip_would_not_take_either(self, links: str) -> None:
        assert sdists.choose(links, "x") is None

    def test_what_is_no_requirement_leads_nowhere(self) -> None:
        assert sdists.choose(page("x-1.0.tar.gz"), "x ???") is None

    def test_it_runs_as_a_program_of_its_own(self) -> None:
        chosen = python.choose_sdist(sys.executable, page("x-1.0.tar.gz"), "x>=1")
        assert chosen == {"filename": "x-1.0.tar.gz", "sha256": A}


class TestWhatPipSays:
    """With pip itself, which has no form for programs to read this."""

    def missing(self, folder: Path, *requirements: str) -> list[str]:
        offered = [
            wheel("bar", "1.0", ["foo>=1"]),
            wheel("bar", "2.0", ["foo>=2,<3"]),
            wheel("baz", "1.0", ["qux"]),
        ]
        for name, body in offered:
            (folder / name).write_bytes(body)
        ended = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--dry-run", "--target", str(folder / "t"), "--no-index"]
            + ["--only-binary", ":all:", "--find-links", str(folder), *requirements],
            env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": "/dev/null"},
            capture_output=True,
            text=True,
        )
        assert ended.returncode
        return python.missing(f"{ended.stdout}\n{ended.stderr}")

    def test_what_is_asked_for(self, tmp_path: Path) -> None:
        assert self.missing(tmp_path, "nothing>=3") == ["nothing>=3"]

    def test_what_something_needs(self, tmp_path: Path) -> None:
        assert self.missing(tmp_path, "baz") == ["qux"]

    def test_what_every_version_needs(self, tmp_path: Path) -> None:
        found = self.missing(tmp_path, "bar")
        assert found[:2] == ["foo<3,>=2", "foo>=1"]
        # The one that is built is the first's.
        links = page("foo-1.0.tar.gz", "foo-2.5.tar.gz", "foo-4.0.tar.gz")
        assert sdists.choose(links, found[0]) == {"filename": "foo-2.5.tar.gz", "sha256": A}


PLACE = builds.Place(
    sys.executable,
    "us-central1",
    "p",
    "python-remote",
    "builds",
    "dmz-outer",
    {"runtime": "r", "dpkg_digest": B, "python": "3.11.2", "architecture": "amd64"},
)


class Bucket:
    """Objects that can be created and read, and not replaced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects: dict[str, bytes] = {}
        for name in ("read", "create", "create_json", "download"):
            monkeypatch.setattr(storage, name, getattr(self, name))

    def read(self, _: str, name: str) -> bytes | None:
        return self.objects.get(name)

    def create(self, _: str, name: str, body: bytes) -> bool:
        return self.objects.setdefault(name, body) is body

    def create_json(self, bucket: str, name: str, value: Any) -> bool:
        return self.create(bucket, name, json.dumps(value).encode())

    def download(self, _: str, name: str, to: Path) -> str:
        to.write_bytes(self.objects[name])
        return storage.sha256(to)


def builder(monkeypatch: pytest.MonkeyPatch, body: bytes) -> list[str]:
    """Builds that give these bytes; returns the list of what was built."""
    done: list[str] = []

    def build(
        place: builds.Place, name: str, filename: str, digest: str, into: Path
    ) -> tuple[dict[str, Any], Path]:
        done.append(filename)
        made = into / "x-1.0-1dabc-py3-none-any.whl"
        made.write_bytes(body)
        return builds._provenance(place, filename, digest, made, {"y-1-py3-none-any.whl": C}), made

    monkeypatch.setattr(builds, "_build", build)
    return done


class TestOnce:
    def test_whoever_comes_later_takes_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        bucket, done = Bucket(monkeypatch), builder(monkeypatch, b"one")
        first = builds._wheel(PLACE, "x", "x-1.0.tar.gz", A, tmp_path)
        assert sorted(bucket.objects)[-1] == f"builds/{A}/{B}/provenance.json"
        (tmp_path / first).unlink()
        assert builds._wheel(PLACE, "x", "x-1.0.tar.gz", A, tmp_path) == first
        assert (tmp_path / first).read_bytes() == b"one"
        assert done == ["x-1.0.tar.gz"]

    def test_another_sdist_and_another_image_are_other_builds(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Bucket(monkeypatch)
        done = builder(monkeypatch, b"one")
        other = builds.Place(**{**PLACE.__dict__, "image": {**PLACE.image, "dpkg_digest": C}})
        for place, digest in ((PLACE, A), (PLACE, B), (other, A)):
            builds._wheel(place, "x", "x-1.0.tar.gz", digest, tmp_path)
        assert len(done) == 3

    def test_of_two_at_the_same_time_the_first_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = Bucket(monkeypatch)
        builder(monkeypatch, b"first")
        builds._wheel(PLACE, "x", "x-1.0.tar.gz", A, tmp_path)
        looks: list[bytes | None] = [None]  # the second looked before the first was done
        monkeypatch.setattr(
            storage, "read", lambda where, name: looks.pop() if looks else bucket.read(where, name)
        )
        builder(monkeypatch, b"second")
        name = builds._wheel(PLACE, "x", "x-1.0.tar.gz", A, tmp_path)
        assert (tmp_path / name).read_bytes() == b"first"

    @pytest.mark.parametrize(
        "kept",
        [b"", b"{}", b"5", b'{"subject": []}', b'{"subject": [{"name": "../x", "digest": {"sha256": "a"}}]}'],
    )
    def test_a_provenance_that_is_none_is_not_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bytes
    ) -> None:
        Bucket(monkeypatch).objects[f"builds/{A}/{B}/provenance.json"] = kept
        with pytest.raises(StepError, match="delete it"):
            builds._wheel(PLACE, "x", "x-1.0.tar.gz", A, tmp_path)

    def test_other_bytes_than_the_provenance_says_are_not_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = Bucket(monkeypatch)
        builder(monkeypatch, b"one")
        builds._wheel(PLACE, "x", "x-1.0.tar.gz", A, tmp_path)
        name = next(name for name in bucket.objects if name.endswith(".whl"))
        bucket.objects[name] = b"two"
        with pytest.raises(StepError, match="is not what its provenance says"):
            builds._wheel(PLACE, "x", "x-1.0.tar.gz", A, tmp_path)

    @pytest.mark.parametrize("filename", ["../x-1.0.tar.gz", "-x.tar.gz", "x 1.tar.gz", ""])
    def test_a_name_that_leads_elsewhere_is_not_built(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filename: str
    ) -> None:
        Bucket(monkeypatch)
        done = builder(monkeypatch, b"one")
        with pytest.raises(StepError, match="no plain file name"):
            builds._wheel(PLACE, "x", filename, A, tmp_path)
        assert not done

    def test_a_download_with_other_bytes_is_not_built(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Bucket(monkeypatch)
        monkeypatch.setattr(builds, "_FOLDER", tmp_path / "builds")
        monkeypatch.setattr(python, "fetch", lambda *arguments: arguments[-1].write_bytes(b"other"))
        with pytest.raises(StepError, match=rf"the index says {A}: not built"):
            builds._wheel(PLACE, "x", "x-1.0.tar.gz", A, tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        "x @ http://203.0.113.1/x.whl",
        "--index-url=http://203.0.113.1/",
        "-r/etc/passwd",
        "http://203.0.113.1/x.whl",
        "./x",
        "/x",
        "x\n--index-url=y",
        "",
        5,
        None,
        ["x"],
    ],
)
def test_a_build_requirement_that_is_no_name_is_refused(said: object) -> None:
    with pytest.raises(StepError, match=r"x-1\.0\.tar\.gz wants"):
        builds._requirements("x-1.0.tar.gz", [said])


def test_requirements_that_are_no_list_are_refused() -> None:
    with pytest.raises(StepError, match="wants"):
        builds._requirements("x-1.0.tar.gz", {"x": 1})


@pytest.mark.parametrize(
    "said", ["x", "x>=1,<2", "x[a,b]~=1.0", 'x>=1; python_version < "3.8"', "x ( >= 1 )", "x!=1.*", "x==1+a"]
)
def test_a_build_requirement_by_name_is_taken(said: str) -> None:
    assert builds._requirements("x-1.0.tar.gz", [said]) == [said]
