"""The policy: what may enter, as one file that a security team reads and signs off (`policy.toml`).

It is typed, and one that would be unsafe does not parse: see the checks of `_check` and of each rule.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dmz.errors import InputError
from dmz.promotion.rules.denied import DeniedRule
from dmz.promotion.rules.kinds import KINDS
from dmz.promotion.rules.malware import MalwareRule
from dmz.promotion.rules.rule import Effect, Rule
from dmz.promotion.rules.settings import Duration, did_you_mean
from dmz.promotion.rules.severity import SeverityRule
from dmz.promotion.rules.unsupported import UnsupportedRule
from dmz.promotion.wording import printable, problem

FILE: Final = "policy.toml"
LIMIT: Final = 1024 * 1024
"""Bytes of the largest policy that is read."""


class _Table(BaseModel):
    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_name=True,
    )


def _path(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("it is no path; write one from the policy's folder, or an absolute one")
    return text


Place = Annotated[str, AfterValidator(_path)]


class Limits(_Table):
    """How old what is relied on may be."""

    advisories_max_age: Duration
    """Of every source that ages; older ones refuse to screen."""
    attestation_max_age: Duration
    """Of the signed statement that a release passed; older ones have to be made anew."""
    waiver_longest: Duration
    """From a waiver's beginning to its end."""
    waiver_warning: Duration
    """Before a waiver's end, from when on reviews say so."""


class Sources(_Table):
    """Who is asked what is known against a version; paths start at the policy's folder."""

    advisories: Place
    """OSV records: a folder, an archive, or an index made of them."""
    deny_list: Place | None = None
    end_of_life: Annotated[tuple[Place, ...], Field(strict=False)] = ()
    artifact_analysis: bool = False
    """Whether to ask Artifact Registry's own scanner."""


@dataclass(frozen=True)
class Policy:
    """A policy that parsed."""

    path: Path
    digest: str
    """SHA-256 of the file's bytes."""
    limits: Limits
    sources: Sources
    rules: tuple[Rule, ...]
    """In the file's order."""

    @property
    def folder(self) -> Path:
        """From which its paths start."""
        return self.path.parent

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a policy file.

        Raises:
            InputError: it is missing, no policy, or unsafe.
        """
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            raise InputError(
                f"{path}: there is no such policy; write one, or set dmz:policy to its path"
            ) from None
        except OSError as error:
            raise InputError(f"{path}: unreadable ({printable(str(error))}); correct it") from None
        return cls.parse(body, path)

    @classmethod
    def parse(cls, body: bytes, path: Path) -> Self:
        """A policy from the bytes of its file.

        Args:
            path: for messages, and to know the folder that paths start from.

        Raises:
            InputError: it is no policy, or unsafe.
        """
        if len(body) > LIMIT:
            raise InputError(f"{path}: {len(body)} bytes are more than a policy may have ({LIMIT})")
        try:
            document = tomllib.loads(body.decode())
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: no TOML ({printable(str(error))}); correct it") from None
        known = ["limits", "sources", "rules"]
        for key in document:
            if key not in known:
                raise InputError(f"{path}: unknown key '{printable(key, 60)}'; {did_you_mean(key, known)}")
        limits = _read(Limits, _table(document, "limits", path), f"{path}: limits", path)
        sources = _read(Sources, _table(document, "sources", path), f"{path}: sources", path)
        rules = tuple(_rule(name, table, path) for name, table in _table(document, "rules", path).items())
        _check(rules, sources, path)
        return cls(path, hashlib.sha256(body).hexdigest(), limits, sources, rules)


def _table(document: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    found = document.get(key)
    if not isinstance(found, dict):
        raise InputError(f"{path}: [{key}] is {'missing' if found is None else 'no table'}; write it")
    return found


def _rule(name: str, table: Any, path: Path) -> Rule:
    where = f"{path}: rules.{printable(name, 60)}"
    if not isinstance(table, dict):
        raise InputError(f"{where}: no table; write [rules.{printable(name, 60)}]")
    settings = dict(table)
    kind = settings.pop("kind", name)
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(
            f"{where}: there is no kind of rule '{printable(str(kind), 60)}'; "
            f"{did_you_mean(str(kind), list(KINDS))}"
        )
    if "name" in settings:
        raise InputError(f"{where}: a rule's name is its table's; remove the key 'name'")
    return _read(KINDS[kind], settings, where, path).model_copy(update={"name": name})


Table = TypeVar("Table", bound=BaseModel)


def _read(model: type[Table], table: Mapping[str, Any], where: str, path: Path) -> Table:
    known = [field.alias or name for name, field in model.model_fields.items() if name != "name"]
    try:
        return model.model_validate(table, by_alias=True, by_name=False, context={"folder": path.parent})
    except ValidationError as error:
        raise InputError(f"{where}: {problem(error, known)}") from None


def _check(rules: Sequence[Rule], sources: Sources, path: Path) -> None:
    """What a policy must have to be one; each rule has seen to its own settings."""

    def refusing(kind: type[Rule]) -> bool:
        return any(isinstance(each, kind) and each.effect is Effect.REFUSE for each in rules)

    if not refusing(SeverityRule):
        raise InputError(
            f'{path}: no rule of the kind severity with effect = "refuse": every known vulnerability would '
            "enter; write one, with as high a threshold as you dare"
        )
    if not refusing(MalwareRule):
        raise InputError(f'{path}: no rule of the kind malware; write [rules.malware] with effect = "refuse"')
    if sources.deny_list and not refusing(DeniedRule):
        raise InputError(
            f"{path}: sources.deny-list is there, but no rule of the kind denied refuses what it names; "
            "write one"
        )
    if sources.end_of_life and not any(isinstance(each, UnsupportedRule) for each in rules):
        raise InputError(
            f"{path}: sources.end-of-life is there, but no rule of the kind unsupported looks at it; "
            "write one"
        )
