"""What metadata say of a licence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.promotion import licence
from dmz.promotion.licence import Licence

OSI = "License :: OSI Approved"
MIT, BSD, GPL = (
    f"{OSI} :: MIT License",
    f"{OSI} :: BSD License",
    f"{OSI} :: GNU General Public License v3 (GPLv3)",
)


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("Apache-2.0 OR MIT", "Apache-2.0 OR MIT"),
        ("apache-2.0 and (mit or 0BSD)", "Apache-2.0 AND (MIT OR 0BSD)"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("LicenseRef-Own AND MIT", "LicenseRef-Own AND MIT"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
    ],
)
def test_an_expression_is_kept_in_its_normal_form(text: str, spdx: str) -> None:
    assert licence.spdx(text) == spdx


@pytest.mark.parametrize(
    "text",
    ["", " ", "BSD", "MIT AND", ") MIT", "MIT AND (", "Proprietary", "UNKNOWN", "LicenseRef-", "MIT " * 1000],
)
def test_what_is_no_expression_is_none(text: str) -> None:
    assert licence.spdx(text) is None


def test_the_expression_comes_before_all_else() -> None:
    assert licence.licence("Apache-2.0", [MIT], "BSD") == Licence("Apache-2.0")


@pytest.mark.parametrize(
    ("classifiers", "text", "found"),
    [
        ([MIT], "", Licence("MIT")),
        ([MIT, "Programming Language :: Python"], "", Licence("MIT")),
        ([OSI, MIT], "", Licence("MIT")),
        # It is not said that one may choose.
        ([MIT, GPL], "", Licence("GPL-3.0-only AND MIT")),
        # One of four licences, or a licence of one's own: not known.
        ([BSD], "", Licence(None, "OSI Approved :: BSD License")),
        ([BSD], "see LICENSE", Licence(None, "see LICENSE")),
        ([BSD], "BSD-3-Clause", Licence("BSD-3-Clause")),
        ([BSD], "3-Clause BSD License", Licence("BSD-3-Clause")),
        (
            ["License :: Other/Proprietary License", MIT],
            "",
            Licence(None, "OSI Approved :: MIT License, Other/Proprietary License"),
        ),
        ([], "Apache License, Version 2.0", Licence("Apache-2.0")),
        ([], "Apache 2.0", Licence("Apache-2.0")),
        ([], "MIT License", Licence("MIT")),
        ([], "The MIT License (MIT)\n\nCopyright …", Licence(None, "The MIT License (MIT) Copyright …")),
        ([], "UNKNOWN", Licence(None, "UNKNOWN")),
        ([], "", Licence(None)),
    ],
)
def test_classifiers_and_texts_of_old(classifiers: list[str], text: str, found: Licence) -> None:
    assert licence.licence("", classifiers, text) == found


def test_every_classifier_means_an_expression() -> None:
    for said in licence._CLASSIFIERS.values():
        assert licence.spdx(said) == said
    for said in licence._NAMES:
        assert licence.spdx(said) == said


def test_a_text_for_a_person_is_one_short_line() -> None:
    found = licence.licence("", [], "line\n" * 1000 + "\x1b[31m")
    assert found.expression is None
    assert len(found.text) <= 300
    assert found.text.isprintable()


def test_metadata_say_whose_they_are() -> None:
    found = licence.read(
        b"Metadata-Version: 2.4\nName: Some_Thing\nVersion: 1.0.0\nLicense-Expression: MIT\n\nlong"
    )
    assert found.licence == Licence("MIT")
    assert found.of("some-thing", "1.0")
    assert not found.of("some-thing", "1.1")
    assert not found.of("other", "1.0")
    assert not licence.read(b"Name: a\nVersion: what\n").of("a", "1.0")
    assert not licence.read(b"").of("a", "1.0")


@given(st.binary())
def test_any_bytes_are_metadata(data: bytes) -> None:
    found = licence.read(data)
    assert found.licence.text.isprintable()


@given(st.text())
def test_any_text_is_a_licence(text: str) -> None:
    licence.licence(text, [text, f"License :: {text}"], text)
