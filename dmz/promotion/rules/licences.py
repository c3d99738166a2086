"""Licences, as SPDX expressions (https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any, Self

from license_expression import (
    AND,
    OR,
    ExpressionError,
    LicenseWithExceptionSymbol,
    get_spdx_licensing,
)
from pydantic import AfterValidator, Field, model_validator

from dmz.promotion.rules.rule import AnAnswer, Answer, Case, Observation, Rule
from dmz.promotion.rules.settings import Each, Ecosystem, did_you_mean, unique
from dmz.promotion.wording import printable


@lru_cache(maxsize=1)
def _spdx() -> Any:
    return get_spdx_licensing()


@lru_cache(maxsize=4096)
def parsed(expression: str) -> Any | None:
    """The expression's tree, or None when it is none; licences of one's own are named `LicenseRef-…`."""
    try:
        found = _spdx().parse(expression, strict=True)
        unknown = _spdx().unknown_license_keys(found) if found is not None else [expression]
    # A tokenizer of its own: any text may come, and what it raises is not promised.
    except (ExpressionError, ValueError, AttributeError, TypeError, IndexError, RecursionError):
        return None
    return None if [key for key in unknown if not key.startswith("LicenseRef-")] else found


def _licence(text: str) -> str:
    found = parsed(text)
    if found is None:
        raise ValueError(
            f"'{printable(text, 60)}' is no SPDX licence; {did_you_mean(text, sorted(_spdx().known_symbols))}"
        )
    if isinstance(found, AND | OR):
        raise ValueError(f"'{printable(text, 60)}' is an expression; list its licences one by one")
    return str(found)


Licences = Annotated[
    tuple[Annotated[str, AfterValidator(_licence)], ...], Field(strict=False), unique("licence")
]


class LicencesRule(Rule):
    """Only licences that are allowed, and none that is denied.

    `A OR B` leaves the choice: one that passes is enough. `A AND B` binds to both: each has to pass.
    `A WITH E` is A with more rights: it passes where it is allowed itself, or where A is; where A is denied
    it passes only if it is allowed itself. The deny list is stronger than the allow list, and without an
    allow list everything passes that is not denied.
    """

    kind = "licences"

    allow: Licences = ()
    deny: Licences = ()
    unknown_licence: Annotated[Each[AnAnswer], Field(alias="unknown")] = dict.fromkeys(
        Ecosystem, Answer.REFUSE
    )
    """For what has no licence in a form that a program understands; no Debian index has one."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if both := sorted(set(self.allow) & set(self.deny)):
            raise ValueError(f"'{both[0]}' is both allowed and denied; keep one")
        if not self.allow and not self.deny:
            raise ValueError("it neither allows nor denies any licence; write an allow list or a deny list")
        return self

    def look(self, case: Case) -> Iterable[Observation]:
        """The licence of an artifact."""
        ecosystem, evidence = case.ecosystem, case.evidence
        answer = self.unknown_licence[ecosystem] if ecosystem else Answer.REFUSE
        tree = parsed(evidence.licence) if evidence.licence else None
        if tree is None:
            text = evidence.licence or evidence.licence_text
            said = f": its metadata says '{printable(text, 60)}', which is no SPDX expression" if text else ""
            yield self.unknown(answer, f"licence not known{said}")
        elif self.permits(tree):
            yield Observation(f"licence {tree}")
        else:
            denied = sorted(each for each in _names(tree) if self._denied(each))
            reason = f"{', '.join(denied)} is denied" if denied else "not on the allow list"
            yield self.against(f"licence {tree}: {reason}")

    def permits(self, tree: Any) -> bool:
        """Whether a licence expression may be accepted."""
        if isinstance(tree, OR):
            return any(self.permits(each) for each in tree.args)
        if isinstance(tree, AND):
            return all(self.permits(each) for each in tree.args)
        name = str(tree)
        if self._denied(name):
            return False
        base = str(tree.license_symbol) if isinstance(tree, LicenseWithExceptionSymbol) else name
        return not self.allow or name in self.allow or base in self.allow

    def _denied(self, name: str) -> bool:
        base = name.partition(" WITH ")[0]
        return name in self.deny or (base in self.deny and name not in self.allow)


def _names(tree: Any) -> set[str]:
    if isinstance(tree, AND | OR):
        return {name for each in tree.args for name in _names(each)}
    return {str(tree)}
