"""Which base images there are, and what is in them."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from sandbox import aptsources
from sandbox.cloud.errors import ApiError
from sandbox.machines.images import RUNTIMES, Images, recipe


def test_another_recipe_is_another_image() -> None:
    known = recipe("sandbox-debian-12")
    assert dataclasses.replace(known, include=(*known.include, "git")).digest != known.digest


@pytest.mark.parametrize("runtime", ["", "tpu-ubuntu2204-base", "sandbox-debian-13", "../../etc"])
def test_an_unknown_runtime_is_refused(tmp_path: Path, runtime: str) -> None:
    with pytest.raises(ApiError, match="can't be made by the sandbox, which offers: sandbox-debian-12"):
        Images(tmp_path, lambda line: None).path(runtime)


@pytest.mark.sandbox
def test_nothing_of_the_host_is_in_the_image(cache: Path) -> None:
    """Neither the mirror that it came from, nor the host's name and name servers."""
    root = asyncio.run(Images(cache, lambda line: None).root("sandbox-debian-12"))
    assert list(RUNTIMES) == ["sandbox-debian-12"]
    assert (root / "etc/apt/sources.list").read_text() == ""
    assert list((root / "etc/apt/sources.list.d").iterdir()) == []
    for name in ("etc/hostname", "etc/resolv.conf"):
        assert not (root / name).exists()
    host = aptsources.archive("debian", "debian").uri.split("/")[2].encode()
    files = [file for folder in ("etc", "var") for file in (root / folder).rglob("*") if file.is_file()]
    assert files
    assert [file for file in files if not file.is_symlink() and host in file.read_bytes()] == []
