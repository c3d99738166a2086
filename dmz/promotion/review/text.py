"""A review as Markdown: short first, then the details. Foreign text is shown and does nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from dmz.artifact import Kind
from dmz.promotion.change import Change, Nature, megabytes
from dmz.promotion.entry import Entry
from dmz.promotion.markdown import code, plain, table
from dmz.promotion.remarks import Remark
from dmz.promotion.review.facts import Review

COMMENT: Final = 65_536
"""Characters that a comment of a pull request may have on GitHub."""

_DAY: Final = re.compile(r"^Screened on (\d{4}-\d{2}-\d{2}) ", re.MULTILINE)
_VERSION: Final = 60
"""Characters of a version that are shown."""
_SHORT: Final = 12
"""Digits of a digest that are enough to tell two apart."""
_MOST: Final = 10
"""Names that the summary gives of one sort, before it counts the rest."""
_WORDS: Final = 600
"""Characters of an explanation."""
_LOUD: Final = (Nature.BYTES, Nature.ORIGIN)


def name(workload: str) -> str:
    """The file's name, beside the lock files."""
    return f"review.{workload}.md"


def markdown(review: Review, limit: int | None = None) -> str:
    """A review as text.

    Args:
        limit: characters that it may have; packages are left out until it fits, and it says how many.
    """
    text = _Text(review)
    rows = [text.row(change) for change in review.difference.changes]
    whole = text.text(rows, 0)
    if limit is None or len(whole) <= limit:
        return whole
    # Fewer rows make a shorter text, so the most that fit can be searched for.
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high + 1) // 2
        if len(text.text(rows[:middle], len(rows) - middle)) <= limit:
            low = middle
        else:
            high = middle - 1
    cut = text.text(rows[:low], len(rows) - low)
    return cut if len(cut) <= limit else cut[: limit - 2].rpartition("\n")[0] + "\n…\n"


def body(review: Review, former: bytes | None = None) -> bytes:
    """The content of a review's file.

    Args:
        former: what the file has now; kept if only the day of the screening would be another, so that
            screening again changes nothing.
    """
    day = _DAY.search(former.decode(errors="replace")) if former else None
    if day:
        try:
            then = datetime.strptime(day[1], "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            then = review.today
        if former == markdown(replace(review, today=then)).encode():
            return former
    return markdown(review).encode()


class _Text:
    """The parts of the text."""

    def __init__(self, review: Review) -> None:
        self._of = review

    def text(self, rows: Sequence[Sequence[str]], left_out: int) -> str:
        sections = (
            self._short(),
            self._refused(),
            self._remarked(),
            self._built(),
            self._packages(rows, left_out),
            self._looked_at(),
        )
        return "\n".join(line for section in sections for line in section).rstrip() + "\n"

    # ---- what is read in twenty seconds

    def _short(self) -> Iterator[str]:
        found = self._of.difference
        yield f"# Release of {found.workload}: {found.counted if found.before else self._first()}"
        yield ""
        one, other = found.bytes
        after = code(found.after.digest[:_SHORT]) if found.after else "nothing"
        before = f"after {code(found.before.digest[:_SHORT])}" if found.before else "the first one"
        yield f"Release {after}, {before}; {megabytes(one)} → {megabytes(other)}."
        yield f"Screened on {self._day(self._of.today)} by {code(self._of.policy)}."
        yield ""
        yield from (f"- {line}" for line in self._points())
        yield ""

    def _first(self) -> str:
        return f"{len(self._of.difference.changes)} packages, nothing was released before"

    def _points(self) -> Iterator[str]:
        found = self._of.difference
        for change in found.of(*_LOUD):
            yield f"⚠️ {plain(str(change), _WORDS)}"
        for what, before, after in found.settings:
            yield f"⚠️ Another {what}: {code(before, 24)} → {code(after, 24)}"
        older = [change.key for change in found.changes if change.older]
        if older:
            yield f"⚠️ An older version than before: {_names(older)}"
        for remark in self._of.remarks:
            if remark.waiver and remark.ends_soon:
                ends = self._day(remark.waiver.until)
                yield f"⚠️ A waiver ends on {ends}: {code(remark.key)}, {plain(remark.words, 120)}"
        if not found.empty and not found.changes:
            yield "No package changes."
        if found.empty:
            yield "Nothing changes."
        if found.before:
            for nature in (Nature.ADDED, Nature.CHANGED, Nature.REMOVED):
                if keys := [change.key for change in found.of(nature)]:
                    yield f"{str(nature).capitalize()}: {_names(keys)}"
        if licences := [change for change in found.changes if change.other_licence]:
            yield f"Another licence: {_names([change.key for change in licences])}"
        for change in found.changes:
            if change.mended:
                yield f"No longer in {code(change.key)}: {plain(', '.join(change.mended))}"
        if self._of.refusals:
            yield "Versions were refused, and others taken instead: see below."
        yield from self._counts()

    def _counts(self) -> Iterator[str]:
        counts = Counter(remark.sort for remark in self._of.remarks)
        findings = [f"{counts[sort]} {sort}" for sort in sorted(counts)]
        yield f"Findings that stay: {', '.join(findings) or 'none'}."
        if built := [entry for entry in self._entries() if entry.built]:
            yield f"Built here from source: {_names([entry.artifact.key for entry in built])}"
        if self._of.closure and not self._of.unproved:
            yield "It installs: proved."
        elif self._of.unproved:
            yield f"⚠️ {plain(' '.join(self._of.unproved), _WORDS)}"
        else:
            yield "⚠️ That it installs was not proved."

    # ---- the details

    def _refused(self) -> Iterator[str]:
        if self._of.refusals:
            yield "## Refused, and what was taken instead"
            yield ""
            yield from (f"- {plain(words, _WORDS)}" for words in self._of.refusals)
            yield ""

    def _remarked(self) -> Iterator[str]:
        if not self._of.remarks:
            return
        # What a rule says alike of many packages is one row.
        alike: dict[tuple[str, str, str], list[str]] = {}
        for each in self._of.remarks:
            row = (code(each.rule), plain(each.words), self._why(each))
            alike.setdefault(row, []).append(f"{each.key} {each.version[:_VERSION]}")
        yield "## Findings that stay"
        yield ""
        yield from table(
            ("packages", "rule", "what it saw", "why it may enter"),
            sorted((_names(names), *row) for row, names in alike.items()),
        )
        yield ""

    def _why(self, remark: Remark) -> str:
        if remark.waiver:
            soon = " ⚠️" if remark.ends_soon else ""
            owner, until = plain(remark.waiver.author), self._day(remark.waiver.until)
            return f"waived by {owner} until {until}{soon}: {plain(remark.waiver.why)}"
        if remark.effect:
            return f"the rule's effect is {code(remark.effect)}"
        return "below what the rule refuses"

    def _built(self) -> Iterator[str]:
        built = [(entry, entry.built) for entry in self._entries() if entry.built]
        if not built:
            return
        yield "## Built here from source"
        yield ""
        yield from table(
            ("wheel", "source distribution", "SHA-256 of the source", "environment"),
            (
                (
                    code(entry.artifact.filename),
                    code(build.sdist),
                    code(build.sha256),
                    code(build.environment[:_SHORT]),
                )
                for entry, build in built
            ),
        )
        yield ""

    def _packages(self, rows: Sequence[Sequence[str]], left_out: int) -> Iterator[str]:
        if not rows and not left_out:
            return
        yield "## Packages"
        yield ""
        yield from table(("", "package", "needed by", "licence", "uploaded", "from"), rows)
        if left_out:
            yield ""
            file = name(self._of.difference.workload)
            yield f"{left_out} more are left out here; {code(file)} has them all."
        yield ""

    def row(self, change: Change) -> tuple[str, ...]:
        entry = change.after or change.before
        assert entry is not None
        artifact = entry.artifact
        licence = change.licence_after if change.after else change.licence_before
        if change.other_licence:
            licences = (
                f"{plain(change.licence_before or '', 80)} → **{plain(change.licence_after or '', 80)}**"
            )
        else:
            licences = plain(licence or "not known", 80)
        published = (self._of.published.get(change.key) if change.after else None) or entry.uploaded
        return (
            f"**{change.nature}**" if change.nature in _LOUD else str(change.nature),
            f"{code(change.key)} {_versions(change)}",
            plain(", ".join(artifact.why), 120),
            licences,
            self._age(published) if artifact.kind is not Kind.FILE else "",
            code(artifact.origin),
        )

    def _looked_at(self) -> Iterator[str]:
        yield "## Looked at"
        yield ""
        yield from table(
            ("what", "as of", "SHA-256"),
            [
                (f"policy {code(self._of.policy)}", "", code(self._of.policy_digest)),
                ("waivers", "", code(self._of.waivers_digest)),
                *((code(each.name), self._age(each.as_of), code(each.digest)) for each in self._of.sources),
                ("bill of materials", "", code(self._of.sbom_digest)),
            ],
        )
        if self._of.closure:
            yield ""
            yield from (f"- {plain(words, _WORDS)}" for words in self._of.closure)
        if self._of.unused:
            yield ""
            yield "Waivers that nothing here needs, to be removed or corrected:"
            yield ""
            yield from (
                f"- {code(each.where)}: {plain(', '.join(sorted(each.names)))} of {code(each.purl)}"
                for each in self._of.unused
            )

    def _entries(self) -> Sequence[Entry]:
        return self._of.difference.after.entries if self._of.difference.after else ()

    def _age(self, moment: datetime | None) -> str:
        if moment is None:
            return "not known"
        # By the calendar: the hour of the screening makes no difference.
        days = (self._of.today.astimezone(UTC).date() - moment.astimezone(UTC).date()).days
        return f"{self._day(moment)} ({days} {'day' if days == 1 else 'days'})"

    @staticmethod
    def _day(moment: datetime) -> str:
        return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _versions(change: Change) -> str:
    texts = [
        code(each.artifact.version[:_SHORT] if each.artifact.kind is Kind.FILE else each.artifact.version, 60)
        for each in (change.before, change.after)
        if each
    ]
    return " → ".join(dict.fromkeys(texts))


def _names(keys: Iterable[str]) -> str:
    ordered = sorted(keys)
    more = f" and {len(ordered) - _MOST} more" if len(ordered) > _MOST else ""
    return ", ".join(code(key) for key in ordered[:_MOST]) + more
