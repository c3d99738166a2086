"""Foreign text in Markdown is shown and does nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dmz.promotion.markdown import code, plain, table
from dmz.promotion.wording import printable

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NASTY = st.text(st.sampled_from("ab1 \\`*_{}[]()<>#+-.!|~&;:/@$\n\x00\u202e=wW"), max_size=30) | st.text(
    max_size=30
)


def inline(text: str) -> list[Token]:
    """The tokens of the first cell below the head of a table."""
    tokens = RENDERER.parse("\n".join(table(["a", "b"], [[text, "end"]])))
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert cells[-1].content == "end"
    return cells[2].children or []


@pytest.mark.parametrize("made", [plain, code])
@given(text=NASTY)
@example(text="![x](https://example.com/x.png) <img src=x onerror=alert(1)> [a]: b | c")
@example(text="\\|`|`` ` &lt; &#64; www.example.com https://example.com @all #1 $x$")
@example(text="trailing\\")
def test_it_is_shown_and_does_nothing(made: Callable[[str], str], text: str) -> None:
    tokens = inline(made(text))
    assert {token.type for token in tokens} <= {"text", "code_inline"}
    assert "".join(token.content for token in tokens) == printable(text).strip()


@given(NASTY)
def test_nobody_is_mentioned_and_nothing_referred_to(text: str) -> None:
    # What GitHub acts on after rendering, in text but not in code.
    shown = "".join(token.content for token in inline(plain(text)) if token.type == "text")
    assert not re.search(r"[@#$]", shown)


@pytest.mark.parametrize(
    "address", ["https://example.com", "HTTP://example.com", "www.example.com", "ftp://a.b"]
)
def test_an_address_is_no_link_where_addresses_are_recognised_without_marks(address: str) -> None:
    # GFM looks for these very characters in the source.
    assert not re.search(r"://|www\.", plain(f"see {address} now"), re.IGNORECASE)


def test_names_and_versions_stay_as_they_are() -> None:
    assert plain("protobuf 6.31.0 is refused: CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7), high.") == (
        "protobuf 6.31.0 is refused: CVE-2025-4565 (GHSA-8qvm-5x2c-j2w7), high."
    )
    assert code("libstdc++6") == "`libstdc++6`"
    assert code("") == ""
