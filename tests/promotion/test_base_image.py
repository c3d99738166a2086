from __future__ import annotations

from typing import Any

import pytest

from dmz.errors import InputError
from dmz.promotion.base_image import base_image, base_images
from tests.promotion.builders import DEBIAN, image

SUITE = {"name": "bookworm", "base": "DEBIAN", "path": "debian/dists/bookworm"}


def test_a_configured_image() -> None:
    assert image().ecosystem == "Debian:12"
    assert image().platform == "x86_64-manylinux_2_36"
    assert [suite.repository for suite in image().suites] == ["apt-bookworm", "apt-bookworm-security"]
    assert image().suites[1].base == "DEBIAN"
    assert image().suites[1].path == "debian-security/dists/bookworm-security"


def test_the_tpu_image_is_known() -> None:
    found = base_image("tpu-ubuntu2204-base", base_images())
    assert (found.python, found.glibc, found.ecosystem) == ("3.10", "2.35", "Ubuntu:22.04:LTS")
    assert [suite.name for suite in found.suites] == ["jammy", "jammy-updates", "jammy-security"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"runtime": "tpu-ubuntu2204-base"}, "described already"),
        ({"distribution": "arch"}, "distribution"),
        ({"release": "sid"}, "no advisories are known for debian sid"),
        ({"suites": []}, "suites"),
        ({"suites": [SUITE] * 2}, "stands twice"),
        ({"suites": [{"name": "x", "base": "DEBIAN", "path": "x"}]}, "'x' does not fit"),
        ({"suites": [{"name": "xx", "base": "CENTOS", "path": "x"}]}, "suites.0.base"),
        ({"suites": [{"name": "xx", "base": "DEBIAN", "path": "../x"}]}, "suites.0.path"),
        ({"python": "3"}, "'3' does not fit"),
        ({"python": 3.11}, "python"),
        ({"architecture": "mips"}, "not supported"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_bad_image_is_refused_with_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refusal:
        base_images([DEBIAN | change])
    assert str(refusal.value).startswith("dmz:baseImages[0]: ")
    assert said in str(refusal.value)


def test_an_unknown_runtime_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'v9' is not known .*tpu-ubuntu2204-base"):
        base_image("v9", base_images())
