"""What was withdrawn at once stays out, and how a package is named for that."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError, RefusedError
from dmz.promotion import withdrawal
from dmz.promotion.withdrawal import Wanted, Withdrawal, check, parse
from tests.promotion.builders import deb, wheel

JAX = wheel("jax")
HELLO = deb("hello")
RECORD = Withdrawal(
    1,
    JAX.sha256,
    JAX.key,
    JAX.version,
    JAX.filename,
    "ada@example.org",
    "CVE-2026-1",
    "2026-11-22T17:03:11Z",
    "r",
)


def test_a_release_that_names_it_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        check([HELLO, JAX], {JAX.sha256: RECORD})
    line = str(caught.value)
    for part in (JAX.key, JAX.version, JAX.filename, "ada@example.org", "2026-11-22T17:03:11Z", "CVE-2026-1"):
        assert part in line
    assert f"dmz withdraw pypi/jax=={JAX.version} --undo" in line


def test_any_other_passes() -> None:
    check([HELLO], {JAX.sha256: RECORD})


def test_it_reads_back() -> None:
    assert parse(RECORD.render(), "x") == RECORD
    assert withdrawal.digest(withdrawal.object_name(JAX.sha256)) == JAX.sha256


@given(st.binary() | st.sampled_from([b"[" * 100_000, b"{}", b"\xff"]))
def test_any_bytes_lead_to_a_line(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        parse(data, "withdrawn/x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["jax", "JAX", "pypi/jax", f"jax=={JAX.version}", f"pypi/jax=={JAX.version}", JAX.filename, JAX.sha256],
)
def test_how_it_may_be_named(text: str) -> None:
    assert Wanted.parse(text).among([JAX, HELLO]) == [JAX]


@pytest.mark.parametrize(
    "text", [HELLO.name, f"apt/{HELLO.name}", f"hello:{HELLO.architecture}", f"hello=={HELLO.version}"]
)
def test_a_deb(text: str) -> None:
    assert Wanted.parse(text).among([JAX, HELLO]) == [HELLO]


@pytest.mark.parametrize("text", ["apt/jax", "jax==0", "ja", "hello:none"])
def test_what_is_not_meant(text: str) -> None:
    assert Wanted.parse(text).among([JAX, HELLO]) == []


def test_two_things_of_one_name() -> None:
    with pytest.raises(InputError, match="is in apt and in pypi; say which one: apt/jax"):
        Wanted.parse("jax").among([JAX, deb("jax")])


@given(st.text())
def test_any_text_is_a_name_or_refused(text: str) -> None:
    with suppress(InputError):
        assert set(Wanted.parse(text).among([JAX, HELLO])) <= {JAX, HELLO}
