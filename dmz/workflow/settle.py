"""Finding what to take instead of what is refused, by resolving again without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dmz.artifact import Kind
from dmz.errors import RefusedError
from dmz.promotion.base_image import BaseImage
from dmz.promotion.entry import Entry
from dmz.promotion.screening import Remedy, Screening, Verdict, explain, remedy
from dmz.promotion.summary import Refusal
from dmz.promotion.workload import Workload
from dmz.resolution import UnsatisfiableError
from dmz.workflow.claims import Say
from dmz.workflow.outer import Outer

_ROUNDS: Final = 10
"""How often a resolution may be followed by another before it is given up."""


class ScreeningRefusedError(RefusedError):
    """No release was written: something is refused and nothing takes its place."""

    def __init__(self, message: str, refusals: Sequence[Refusal]) -> None:
        super().__init__(message)
        self.refusals = tuple(refusals)


class Search:
    """Resolves again, leaving out what is refused, until everything is admitted or nothing fits."""

    def __init__(
        self, judge: Screening, workload: Workload, image: BaseImage, facts: Outer, say: Say
    ) -> None:
        self._judge = judge
        self._workload = workload
        self._image = image
        self._facts = facts
        self._say = say

    async def settle(self, entries: list[Entry]) -> tuple[list[Entry], list[Refusal], list[str]]:
        """Entries that are all admitted; what was refused on the way; and that in words.

        Raises:
            ScreeningRefusedError: no resolution is left without a refused version.
        """
        first = entries
        excluded: dict[str, list[str]] = {}
        refused: dict[str, tuple[Verdict, Remedy | None]] = {}
        for _ in range(_ROUNDS):
            stopped = [verdict for verdict in map(self._judge.judge, entries) if not verdict.admitted]
            if not stopped:
                now = {entry.artifact.name: entry.artifact.version for entry in entries}
                for key, (verdict, _) in refused.items():
                    taken = now.get(verdict.entry.artifact.name)
                    refused[key] = (verdict, Remedy(taken, True) if taken else None)
                return entries, self._refusals(refused), self._words(refused, first, entries)
            for verdict in stopped:
                artifact = verdict.entry.artifact
                self._say(f"{artifact.name} {artifact.version} is refused, resolving again without it")
                offered = [*await self._facts.remote.versions(artifact.name), artifact.version]
                passing = self._judge.passing_versions(Kind.PYPI, artifact.name, offered)
                excluded[artifact.name] = self._judge.exclusions(artifact.name, offered)
                refused[f"{artifact.name} {artifact.version}"] = (
                    verdict,
                    remedy(artifact.version, passing, self._asked(artifact.name)),
                )
            constraints = [line for name in sorted(excluded) for line in excluded[name]]
            try:
                entries = await self._facts.resolved(self._workload, entries, constraints)
            except UnsatisfiableError as error:
                raise self._hopeless(refused, str(error)) from None
        raise self._hopeless(refused, f"{_ROUNDS} resolutions brought {_ROUNDS} other refusals")

    def _asked(self, name: str) -> list[str]:
        return [text for text in self._workload.python if canonicalize_name(Requirement(text).name) == name]

    def _refusals(self, refused: Mapping[str, tuple[Verdict, Remedy | None]]) -> list[Refusal]:
        return [
            refusal
            for verdict, found in refused.values()
            for refusal in Refusal.of(verdict, found, self._image)
        ]

    def _words(
        self,
        refused: Mapping[str, tuple[Verdict, Remedy | None]],
        before: Sequence[Entry],
        after: Sequence[Entry],
    ) -> list[str]:
        then = {entry.artifact.name: entry.artifact.version for entry in before}
        now = {entry.artifact.name: entry.artifact.version for entry in after}
        moved = [
            f"{name} {then[name]} → {now.get(name, 'not needed')}"
            for name in sorted(then)
            if now.get(name) != then[name]
        ] + [f"{name} {now[name]} is new" for name in sorted(now.keys() - then.keys())]
        words = [
            explain(verdict, found, self._asked(verdict.entry.artifact.name))
            for verdict, found in refused.values()
        ]
        return [*words, f"Taken instead: {', '.join(moved)}."] if words else []

    def _hopeless(
        self, refused: Mapping[str, tuple[Verdict, Remedy | None]], reason: str
    ) -> ScreeningRefusedError:
        words = [
            explain(verdict, found, self._asked(verdict.entry.artifact.name))
            for verdict, found in refused.values()
        ]
        return ScreeningRefusedError(
            f"{' '.join(words)} No release was written: without it, {reason}", self._refusals(refused)
        )
