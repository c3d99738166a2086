"""Discovery without a machine: the inventory that real uv and apt foresee, and what it says is open."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError, RefusedError
from dmz.promotion import inventory as inventories
from dmz.promotion.installed import Installed, digest, parse_status, read_status, status
from dmz.promotion.inventory import Inventory
from dmz.promotion.workload import Workload
from dmz.resolution import UnsatisfiableError
from dmz.workflow.base_packages import base_packages, status_file
from dmz.workflow.foresee import resolved
from dmz.workflow.outer import Outer
from tests.outer import (
    BASE,
    IMAGE,
    OUTPUTS,
    offer_deb,
    offer_wheel,
    offering,
    served,
    silent,
    with_facts,
    workload,
)
from tests.registries.counterpart import Counterpart

apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this machine has no apt-get")


@pytest.fixture
def outer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counterpart]:
    counterpart = offering()
    offer_wheel(counterpart, "app", "1.0", "lib>=1")
    offer_wheel(counterpart, "lib", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    offer_wheel(counterpart, "lib", "2.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    offer_deb(counterpart, "tool", "1.0", "Depends: libtool1, libc6, awk\n")
    offer_deb(counterpart, "libtool1", "2.0", architecture="all")
    offer_deb(counterpart, "libtool1", "2.0+deb12u1", architecture="all", suite="bookworm-security")
    offer_deb(counterpart, "libc6", "2.36-9+deb12u9")
    offer_deb(counterpart, "greedy", "1.0", "Depends: libc6 (>= 2.36-9+deb12u9)\n")
    with served(counterpart, monkeypatch, str(tmp_path)):
        yield counterpart


TEXT = "Package: a1\nVersion: 1\nArchitecture: all\n"


def foreseen(wanted: Workload, base: Sequence[Installed] = BASE) -> Inventory:
    async def work(facts: Outer) -> Inventory:
        return await resolved(facts.google, OUTPUTS, IMAGE, wanted, base, silent)

    return with_facts(work)


@apt
def test_the_inventory_is_one_that_screening_takes(outer: Counterpart) -> None:
    wanted = workload("app", apt=["tool", "mawk"])
    found = foreseen(wanted)
    assert [(each.name, each.version, each.requested) for each in found.apt] == [
        ("libtool1", "2.0+deb12u1", False),
        ("tool", "1.0", True),
    ]
    assert [(each.name, each.version, each.requested, each.required_by) for each in found.pypi] == [
        ("app", "1.0", True, ()),
        ("lib", "1.0", False, ("app",)),
    ]
    assert found.base_image.dpkg_digest == digest(BASE)
    body = json.dumps(found.model_dump(mode="json", by_alias=True)).encode()
    again = inventories.parse(body, "it")
    assert again == found
    inventories.check(found, wanted, IMAGE, "it")


@apt
def test_what_only_an_installation_could_show_is_said(outer: Counterpart) -> None:
    said = foreseen(workload("app", apt=["tool"])).open
    for words in ("check: it was not run", "scripts of 2 Debian packages", "native code of 1 wheels"):
        assert any(words in each for each in said)


def test_a_newer_version_without_a_wheel_is_said(outer: Counterpart) -> None:
    outer.keep("outer/python-remote", "lib-3.0.tar.gz", b"an sdist")
    found = foreseen(workload("app"))
    assert {each.name: each.version for each in found.pypi}["lib"] == "1.0"
    assert any(each.startswith("lib 3.0: it has no wheel that fits") for each in found.open)


def test_a_file_that_nobody_fetched_is_said(outer: Counterpart) -> None:
    address = '[[file]]\nname = "data.bin"\naddress = "https://example.com/data.bin"\nsha256 = "' + "a" * 64
    wanted = workload("app")
    from dmz.promotion import workload as workloads

    wanted = workloads.parse(
        f'name = "small"\nsummary = "x"\nbase-image = "sandbox-debian-12"\ncheck = "true"\n{address}"\n', "w"
    )
    found = foreseen(wanted)
    assert found.files[0].sha256 == "a" * 64
    assert any(each.startswith("data.bin: the outer bucket does not have it yet") for each in found.open)


def test_nothing_that_fits(outer: Counterpart) -> None:
    with pytest.raises(UnsatisfiableError, match="lib"):
        foreseen(workload("lib>=2"))


@apt
class TestDebian:
    def test_an_unknown_package(self, outer: Counterpart) -> None:
        with pytest.raises(RefusedError, match="nothing is called nosuch"):
            foreseen(workload(apt=["nosuch"]))

    def test_the_base_image_is_not_changed(self, outer: Counterpart) -> None:
        with pytest.raises(RefusedError, match=r"put libc6 2\.36-9\+deb12u9 in place of .* 2\.36-9;"):
            foreseen(workload(apt=["greedy"]))


class TestBasePackages:
    def find(self, folder: Path, dpkg_digest: str = "") -> tuple[Installed, ...]:
        async def work(facts: Outer) -> tuple[Installed, ...]:
            return await base_packages(facts.google, OUTPUTS, folder, IMAGE, dpkg_digest)

        return with_facts(work)

    def test_from_the_checkout(self, outer: Counterpart, tmp_path: Path) -> None:
        file = status_file(tmp_path, IMAGE.runtime)
        file.parent.mkdir()
        file.write_text(status(BASE))
        assert self.find(tmp_path, digest(BASE)) == BASE
        with pytest.raises(InputError, match="not the packages of the image"):
            self.find(tmp_path, "0" * 64)

    def test_from_an_inventory_of_the_image(self, outer: Counterpart, tmp_path: Path) -> None:
        assert self.find(tmp_path) == ()
        found = foreseen(workload("app"))
        bucket = outer.buckets["outer-inventories"]
        bucket["inventories/small/x/1.json"] = json.dumps(
            found.model_dump(mode="json", by_alias=True)
        ).encode()
        bucket["inventories/small/x/2.json"] = b"\xff"
        assert self.find(tmp_path) == BASE
        assert self.find(tmp_path, "0" * 64) == ()

    def test_nobody_knows(self, outer: Counterpart) -> None:
        """Then the inventory says so, and no release can be made of it."""
        found = foreseen(workload("app"), base=())
        assert found.base_image.dpkg_digest == ""
        assert any("base-images/sandbox-debian-12.status" in each for each in found.open)
        with pytest.raises(InputError, match="base-images/sandbox-debian-12"):
            inventories.check(found, workload("app"), IMAGE, "it")


class TestStatus:
    def test_round_trip(self) -> None:
        assert parse_status(status(BASE), "it") == BASE

    def test_a_real_one(self) -> None:
        path = Path("/var/lib/dpkg/status")
        if not path.exists():
            pytest.skip("this machine has no dpkg")
        found = read_status(path)
        assert parse_status(status(found), "it") == found

    def test_what_is_not_installed_does_not_count(self) -> None:
        text = "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n"
        assert parse_status(text + status(BASE), "it") == BASE

    def test_packages_that_contradict_the_digest(self) -> None:
        base = {"runtime": "a", "python": "3.11", "architecture": "amd64", "glibc": "2.36"}
        document = {
            **{"schema": 1, "workload": "small", "workload_digest": "a" * 64, "machine": "m"},
            **{"created": "2026-11-22T10:29:00Z", "base_image": {**base, "dpkg_digest": "b" * 64}},
            **{"apt": [], "pypi": [], "files": [], "probes": []},
            "base_packages": [{"name": "mawk", "version": "1", "architecture": "amd64"}],
        }
        with pytest.raises(InputError, match="others than its dpkg digest says"):
            inventories.parse(json.dumps(document).encode(), "it")

    def test_no_stanza_can_be_slipped_in(self) -> None:
        with pytest.raises(ValueError, match="no single line"):
            Installed(
                name="a1", version="1", architecture="all", relations={"Depends": "x\n\nPackage: forged"}
            )
        with pytest.raises(ValueError, match="no relation"):
            Installed(
                name="a1", version="1", architecture="all", relations={"Status": "install ok installed"}
            )

    @given(st.text() | st.text(alphabet="PackgeVrsionAtu: \n.1-").map(TEXT.__add__))
    def test_any_text(self, text: str) -> None:
        said = ""
        try:
            parse_status(text, "it")
        except InputError as error:
            said = str(error)
        assert "\n" not in said
