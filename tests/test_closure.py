"""That a release installs from itself and the base image alone, by real uv and real apt."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError
from dmz.promotion.entry import Entry
from dmz.promotion.installed import Installed, digest
from dmz.promotion.release import Release
from dmz.promotion.workload import Workload, workload_digest
from dmz.resolution.apt import AptMissingError, AptUnsatisfiableError, Planned, simulate
from dmz.workflow.closure import Closure, prove
from dmz.workflow.outer import Outer
from tests.outer import BASE, IMAGE, offer_deb, offer_wheel, offering, served, silent, with_facts, workload
from tests.registries.counterpart import Counterpart

apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this machine has no apt-get")


@pytest.fixture
def outer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counterpart]:
    counterpart = offering()
    offer_wheel(counterpart, "app", "1.0", "lib>=1", 'winonly; sys_platform == "win32"')
    offer_wheel(counterpart, "lib", "1.0")
    offer_wheel(counterpart, "lib", "2.0", "leaf", 'heavy; extra == "all"')
    offer_wheel(counterpart, "leaf", "1.0")
    offer_wheel(counterpart, "native", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    offer_wheel(counterpart, "native", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    offer_wheel(counterpart, "native", "1.0", tag="cp311-cp311-manylinux_2_38_x86_64")
    offer_wheel(counterpart, "native", "1.0", tag="cp311-cp311-manylinux_2_17_aarch64")
    offer_deb(counterpart, "tool", "1.0", "Depends: libtool1 (>= 2), libc6 (>= 2.34), awk\n")
    offer_deb(counterpart, "libtool1", "2.0", architecture="all")
    offer_deb(counterpart, "libtool1", "1.0", architecture="all")
    offer_deb(counterpart, "modern", "1.0", "Depends: libc6 (>= 2.38)\n")
    offer_deb(counterpart, "rival", "1.0", "Conflicts: libc6\n")
    with served(counterpart, monkeypatch, str(tmp_path)):
        yield counterpart


def artifacts(outer: Counterpart, *filenames: str) -> list[Artifact]:
    """What outer offers, by file name; a wheel's, or `NAME_VERSION` of a deb."""
    found = []
    for repository, kept in outer.repositories.items():
        for path, file in kept.items():
            name = path.rsplit("/", 1)[-1]
            wanted = name if name.endswith(".whl") else f"{file.package}_{file.version}"
            if wanted not in filenames:
                continue
            kind = Kind.PYPI if name.endswith(".whl") else Kind.APT
            architecture = "" if kind is Kind.PYPI else ("all" if file.package == "libtool1" else "amd64")
            plain = name if kind is Kind.PYPI else f"{wanted}_{architecture}.deb"
            origin = repository.removeprefix("outer/")
            found.append(
                Artifact(
                    kind, file.package, architecture, file.version, plain, file.sha256, len(file.data), origin
                )
            )
    assert len(found) == len(filenames)
    return found


def closure(
    outer: Counterpart, wanted: Workload, *filenames: str, base: Sequence[Installed] = BASE
) -> Closure:
    entries = [
        Entry(each, each.name, each.version) if each.kind is Kind.APT else Entry(each)
        for each in artifacts(outer, *filenames)
    ]
    release = Release(
        "small", workload_digest(wanted), "sandbox-debian-12", digest(BASE), "3.11", tuple(entries)
    )

    async def work(facts: Outer) -> Closure:
        return await prove(facts, release, IMAGE, wanted, base, silent)

    return with_facts(work)


def refusal(outer: Counterpart, wanted: Workload, *filenames: str, base: Sequence[Installed] = BASE) -> str:
    with pytest.raises(RefusedError) as caught:
        closure(outer, wanted, *filenames, base=base)
    said = str(caught.value)
    assert "\n" not in said
    assert "127.0.0.1" not in said
    return said.removesuffix(". No release was written; run dmz discover, then dmz screen")


APP, LIB, LEAF = "app-1.0-py3-none-any.whl", "lib-2.0-py3-none-any.whl", "leaf-1.0-py3-none-any.whl"
NATIVE = "native-1.0-{}.whl"


class TestPython:
    def test_a_release_that_installs(self, outer: Counterpart) -> None:
        found = closure(outer, workload("app"), APP, LIB, LEAF)
        assert found == Closure(
            ("uv installs 3 distributions for sandbox-debian-12 from the release alone",), ()
        )

    def test_a_dependency_is_lacking(self, outer: Counterpart) -> None:
        assert refusal(outer, workload("app"), APP, LIB) == (
            "the release does not install: lib 2.0 needs leaf, which the release lacks"
        )

    def test_what_the_workload_names_is_lacking(self, outer: Counterpart) -> None:
        assert refusal(outer, workload("app", "native>=1"), APP, LIB, LEAF) == (
            "the release does not install: the workload needs native>=1, which the release lacks"
        )

    def test_a_version_that_another_does_not_take(self, outer: Counterpart) -> None:
        offer_wheel(outer, "picky", "1.0", "lib<2")
        assert refusal(outer, workload("picky"), "picky-1.0-py3-none-any.whl", LIB, LEAF) == (
            "the release does not install: picky 1.0 needs lib<2, the release has 2.0"
        )

    @pytest.mark.parametrize(
        "tag",
        [
            "cp312-cp312-manylinux_2_17_x86_64",
            "cp311-cp311-manylinux_2_38_x86_64",
            "cp311-cp311-manylinux_2_17_aarch64",
        ],
    )
    def test_a_wheel_for_another_machine(self, outer: Counterpart, tag: str) -> None:
        assert refusal(outer, workload("native"), NATIVE.format(tag)) == (
            f"the release does not install: {NATIVE.format(tag)} does not fit sandbox-debian-12 "
            "(Python 3.11, glibc 2.36)"
        )

    def test_a_wheel_for_this_machine(self, outer: Counterpart) -> None:
        closure(outer, workload("native"), NATIVE.format("cp311-cp311-manylinux_2_17_x86_64"))

    def test_an_extra_counts(self, outer: Counterpart) -> None:
        closure(outer, workload("lib"), LIB, LEAF)
        assert "heavy" in refusal(outer, workload("lib[all]"), LIB, LEAF)

    def test_overrides_count(self, outer: Counterpart) -> None:
        offer_wheel(outer, "strict", "1.0", "leaf==9")
        strict = "strict-1.0-py3-none-any.whl"
        assert "strict 1.0 needs leaf==9" in refusal(outer, workload("strict"), strict, LEAF)
        closure(outer, workload("strict", overrides=["leaf>=1"]), strict, LEAF)

    def test_what_nothing_needs(self, outer: Counterpart) -> None:
        assert refusal(outer, workload("leaf"), LEAF, APP, LIB) == (
            "the release has app, lib, which nothing in the workload needs"
        )

    def test_nothing_at_all(self, outer: Counterpart) -> None:
        assert closure(outer, workload()).open == ()


@apt
class TestDebian:
    def test_a_release_that_installs(self, outer: Counterpart) -> None:
        found = closure(outer, workload(apt=["tool"]), "tool_1.0", "libtool1_2.0")
        assert found.proved[1:] == (
            "apt installs 2 Debian packages on sandbox-debian-12 from the release alone",
        )

    def test_a_dependency_is_lacking(self, outer: Counterpart) -> None:
        assert "tool needs libtool1 (>= 2), which neither the release nor the base image has" in refusal(
            outer, workload(apt=["tool"]), "tool_1.0"
        )

    def test_a_dependency_is_too_old(self, outer: Counterpart) -> None:
        assert "tool needs libtool1 (>= 2)" in refusal(
            outer, workload(apt=["tool"]), "tool_1.0", "libtool1_1.0"
        )

    def test_the_base_image_is_too_old(self, outer: Counterpart) -> None:
        assert "modern needs libc6 (>= 2.38)" in refusal(outer, workload(apt=["modern"]), "modern_1.0")

    def test_a_package_that_neither_has(self, outer: Counterpart) -> None:
        """What an inventory lacks: only the base image's own list tells whether that is in order."""
        assert "nothing is called tool" in refusal(outer, workload(apt=["tool", "mawk", "awk"]))
        closure(outer, workload(apt=["mawk", "awk"]))

    def test_what_nothing_needs(self, outer: Counterpart) -> None:
        assert "the release has libtool1 2.0, which nothing" in refusal(
            outer, workload(apt=["mawk"]), "libtool1_2.0"
        )

    def test_one_that_conflicts_with_the_image(self, outer: Counterpart) -> None:
        assert "do not install on sandbox-debian-12" in refusal(outer, workload(apt=["rival"]), "rival_1.0")

    def test_another_base_image(self, outer: Counterpart) -> None:
        assert "others than the release was made for" in refusal(
            outer, workload(apt=["tool"]), "tool_1.0", "libtool1_2.0", base=BASE[:1]
        )

    def test_a_deb_that_its_suite_lost(self, outer: Counterpart) -> None:
        wanted = artifacts(outer, "tool_1.0")
        outer.repositories["outer/apt-bookworm"].clear()

        async def work(facts: Outer) -> list[bytes]:
            return await facts.stanzas(wanted)

        with pytest.raises(RefusedError, match=r"tool 1\.0: apt-bookworm does not offer"):
            with_facts(work)


class TestWhatIsNotProvedIsSaid:
    def test_without_the_base_images_packages(self, outer: Counterpart) -> None:
        [said] = closure(outer, workload(apt=["tool"]), "tool_1.0", base=()).open
        assert said.startswith("NOT PROVED that apt can install the 1 Debian packages: nobody said")

    def test_without_apt(self, outer: Counterpart, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dmz.resolution.apt.shutil.which", lambda name: None)
        [said] = closure(outer, workload(apt=["tool"]), "tool_1.0").open
        assert "this machine has no apt-get" in said
        with pytest.raises(AptMissingError, match="no apt-get"):
            asyncio.run(simulate(["tool"], [], BASE, "amd64"))


@apt
class TestSimulation:
    def plan(self, names: list[str], *stanzas: str, base: Sequence[Installed] = BASE) -> list[Planned]:
        return asyncio.run(simulate(names, [text.encode() for text in stanzas], base, "amd64"))

    def test_what_the_image_has_is_told_when_it_would_be_replaced(self) -> None:
        newer = "Package: mawk\nVersion: 1.3.4-2\nArchitecture: amd64\nFilename: ./mawk.deb\nSize: 1\n"
        assert self.plan(["mawk"], newer) == [Planned("mawk", "amd64", "1.3.4-2", "1.3.4-1")]

    def test_the_same_version_is_no_other_package_whatever_else_an_index_says_of_it(self) -> None:
        # apt keeps packages of one source at one version: what it takes for another one comes along.
        common = Installed(name="common", version="12-1", architecture="amd64", relations={})
        same = (
            "Package: common\nSource: gcc\nVersion: 12-1\nArchitecture: amd64\nInstalled-Size: 100\n"
            "Filename: ./common.deb\nSize: 1\n"
        )
        library = (
            "Package: library\nSource: gcc\nVersion: 12-1\nArchitecture: amd64\n"
            "Depends: common (= 12-1)\nFilename: ./library.deb\nSize: 1\n"
        )
        assert self.plan(["library"], same, library, base=[common]) == [Planned("library", "amd64", "12-1")]

    def test_it_removes_nothing(self) -> None:
        other = (
            "Package: gawk\nVersion: 1\nArchitecture: amd64\nConflicts: mawk\nProvides: awk\n"
            "Filename: ./gawk.deb\nSize: 1\n"
        )
        with pytest.raises(AptUnsatisfiableError, match="remove mawk"):
            self.plan(["gawk"], other)

    def test_this_machines_own_packages_and_settings_do_not_count(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = tmp_path / "apt.conf"
        settings.write_text('Dir::State::status "/var/lib/dpkg/status";\n')
        monkeypatch.setenv("APT_CONFIG", str(settings))
        assert self.plan(["libc6"], base=BASE) == []
        with pytest.raises(AptUnsatisfiableError, match="dpkg"):
            self.plan(["dpkg"], base=BASE)
