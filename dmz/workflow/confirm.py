"""Whether the outer repositories offer what a lock says; where they don't any more, whether it is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dmz.artifact import Artifact, Kind
from dmz.errors import RefusedError
from dmz.promotion.entry import FILES, Entry
from dmz.registries.files import BucketRegistry
from dmz.registries.index import AptSuites, PythonIndex
from dmz.workflow.holdings import Asked
from dmz.workflow.kept import Kept

Inside = Callable[[], Awaitable[Collection[tuple[str, int]]]]
"""Asks for SHA-256 and size of everything that the inner repositories hold."""


@dataclass
class Confirmation:
    """One comparison of entries with what is offered."""

    python: Mapping[str, PythonIndex]
    """Indexes by the repositories' ids."""
    built_id: str
    """Of the repository for what was built."""
    suites: AptSuites
    files: BucketRegistry
    kept: Kept | None
    """None: outer is of an earlier version, without an archive."""
    asked: Asked = field(default_factory=Asked, init=False)

    async def confirm(
        self, entries: Sequence[Entry], inside: Inside | None = None
    ) -> dict[Artifact, datetime]:
        """Compare what the places say of each entry with the entry.

        Args:
            inside: asks what the inner repositories hold. Suites drop a deb when they get a newer one; what
                was approved before and lies inside is still what it was. Asked only if one is gone.

        Returns:
            What is to be had from the archive alone, with when it came there.

        Raises:
            RefusedError: a repository does not offer an entry any more and nobody has kept it, or it offers
                another file under its name.
            TransferError: a repository did not answer, and not everything of it is kept.
        """
        offered = await self._offered(entries)
        gone = [each.artifact for each in entries if _place(each.artifact) not in offered]
        debs = [each for each in gone if each.kind is Kind.APT]
        lying = await inside() if debs and inside else ()
        offered |= {_place(deb): (deb.sha256, deb.size) for deb in debs if (deb.sha256, deb.size) in lying}
        gone = [each for each in gone if _place(each) not in offered]
        kept = await self.kept.find(gone) if gone and self.kept else {}
        offered |= {_place(each): (each.sha256, each.size) for each in kept}
        for entry in entries:
            self._check(entry, offered)
        return kept

    def _check(self, entry: Entry, offered: Mapping[str, tuple[str, int | None]]) -> None:
        artifact = entry.artifact
        if _place(artifact) not in offered:
            if self.asked.silent is not None:
                raise self.asked.silent
            raise RefusedError(
                f"{artifact.key} {artifact.version}: {artifact.origin} does not offer "
                f"{artifact.filename} any more; discover and screen anew"
            )
        if (artifact.origin == self.built_id) is not bool(entry.built):
            raise RefusedError(
                f"{artifact.filename}: it is from {artifact.origin}, and the entry "
                + ("says that it was built" if entry.built else "does not say what it was built from")
                + "; discover and screen anew"
            )
        sha256, size = offered[_place(artifact)]
        if sha256 != artifact.sha256 or size != artifact.size:
            raise RefusedError(
                f"{artifact.filename}: approved is sha256:{artifact.sha256} of {artifact.size} bytes, "
                f"{artifact.origin} has sha256:{sha256} of {size}; find out who changed it"
            )

    async def _offered(self, entries: Sequence[Entry]) -> dict[str, tuple[str, int | None]]:
        """SHA-256 and size by place."""
        artifacts = [entry.artifact for entry in entries]
        found: dict[str, tuple[str, int | None]] = {}
        debs = [each for each in artifacts if each.kind is Kind.APT]
        for deb, place in (await self.asked.debs(self.suites, debs)).items():
            found[_place(deb)] = place.stanza.sha256, place.stanza.size
        for id_, index in self.python.items():
            wheels = [each for each in artifacts if each.kind is Kind.PYPI and each.origin == id_]
            for file in (await self.asked.wheels(index, wheels)).values():
                found[f"{id_}/{file.filename}"] = file.sha256, file.size
        wanted_files = {(each.filename, each.sha256) for each in artifacts if each.kind is Kind.FILE}
        for stored in await self.files.list() if wanted_files else ():
            # The same file name may be there with several contents, each at a place of its own.
            if (stored.filename, stored.sha256) in wanted_files:
                found[f"{FILES}/{stored.filename}"] = stored.sha256, stored.size
        return found


def _place(artifact: Artifact) -> str:
    return f"{artifact.origin}/{artifact.filename}"
