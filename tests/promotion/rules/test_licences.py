"""Licences: how expressions evaluate, and which lists don't parse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.promotion.rules.licences import parsed
from tests.promotion.rules.cases import evidence, judged, policy, rule

BOTH = 'allow = ["MIT", "Apache-2.0", "GPL-3.0-only WITH GCC-exception-3.1"]\ndeny = ["GPL-3.0-only"]'
ALLOW = 'allow = ["MIT", "Apache-2.0", "GPL-2.0-only"]'
DENY = 'deny = ["AGPL-3.0-only", "GPL-2.0-only WITH Classpath-exception-2.0"]'


@pytest.mark.parametrize(
    ("lists", "licence", "passed"),
    [
        (ALLOW, "MIT", True),
        (ALLOW, "mit", True),
        (ALLOW, "BSD-3-Clause", False),
        (ALLOW, "MIT OR BSD-3-Clause", True),
        (ALLOW, "MIT AND BSD-3-Clause", False),
        (ALLOW, "MIT AND Apache-2.0", True),
        (ALLOW, "BSD-3-Clause AND (MIT OR Apache-2.0)", False),
        (ALLOW, "MIT AND (BSD-3-Clause OR Apache-2.0)", True),
        # An exception gives more rights: what is allowed without one is allowed with one.
        (ALLOW, "GPL-2.0-only WITH Classpath-exception-2.0", True),
        (ALLOW, "GPL-2.0", True),
        (ALLOW, "GPL-2.0-or-later", False),
        (ALLOW, "LicenseRef-Ours", False),
        ('allow = ["LicenseRef-Ours"]', "LicenseRef-Ours", True),
        (DENY, "MIT", True),
        (DENY, "AGPL-3.0-only", False),
        (DENY, "AGPL-3.0", False),
        (DENY, "AGPL-3.0-only OR MIT", True),
        (DENY, "AGPL-3.0-only AND MIT", False),
        (DENY, "GPL-2.0-only", True),
        (DENY, "GPL-2.0-only WITH Classpath-exception-2.0", False),
        (BOTH, "GPL-3.0-only", False),
        (BOTH, "GPL-3.0-only WITH GCC-exception-3.1", True),
        (BOTH, "GPL-3.0-only WITH Autoconf-exception-3.0", False),
        (BOTH, "MIT OR GPL-3.0-only", True),
    ],
)
def test_expressions_evaluate_as_spdx_says(lists: str, licence: str, passed: bool) -> None:
    assert judged(rule("licences", lists), evidence(licence=licence)).passed is passed


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("AGPL-3.0-only", "AGPL-3.0-only is denied"),
        ("AGPL-3.0-only AND MIT", "AGPL-3.0-only is denied"),
    ],
)
def test_a_refusal_names_the_licence(licence: str, said: str) -> None:
    assert said in judged(rule("licences", DENY), evidence(licence=licence)).saw


@pytest.mark.parametrize("licence", ["BSD", "MIT AND", "see LICENSE", "MIT/Apache", "((MIT)", "MIT WITH MIT"])
def test_what_is_no_expression_counts_as_unknown_and_is_shown(licence: str) -> None:
    found = judged(rule("licences", 'allow = ["MIT"]\nunknown = "warn"'), evidence(licence=licence))
    assert not found.passed
    assert licence in found.saw
    assert judged(rule("licences", 'allow = ["MIT"]\nunknown = "pass"'), evidence(licence=licence)).passed


def test_the_words_of_the_metadata_are_shown_where_there_is_no_expression() -> None:
    found = judged(rule("licences", 'allow = ["MIT"]'), evidence(licence_text="Copyright (c) Somebody"))
    assert "Copyright (c) Somebody" in found.saw


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ('allow = ["MIT"]\ndeny = ["MIT"]', "'MIT' is both allowed and denied"),
        ('allow = ["MIT"]\ndeny = ["mit"]', "'MIT' is both allowed and denied"),
        ('allow = ["GPL-2.0"]\ndeny = ["GPL-2.0-only"]', "both allowed and denied"),
        ('allow = ["Apache 2"]', "is no SPDX licence; did you mean 'Apache-2.0'?"),
        ('allow = ["MIT OR Apache-2.0"]', "is an expression; list its licences"),
        ('allow = ["MIT", "MIT"]', "stands twice"),
        ("", "neither allows nor denies"),
        ('allow = "MIT"', "allow"),
    ],
)
def test_lists_that_are_no_good_do_not_parse(lists: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^policy\.toml: rules\.licences: ") as refused:
        policy(rule("licences", lists))
    assert said in str(refused.value)


@given(st.text(max_size=60) | st.text(alphabet="MIT ANDORWITH()+-.0123456789", max_size=60))
def test_any_text_is_an_expression_or_counts_as_unknown(text: str) -> None:
    found = judged(rule("licences", 'allow = ["MIT"]'), evidence(licence=text))
    assert ("licence not known" in found.saw) is (parsed(text) is None)
