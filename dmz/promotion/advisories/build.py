"""Making an index: every record is read once, and what screening needs of it is put by package."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from dmz.collecting import uncollected
from dmz.errors import InputError
from dmz.promotion.advisories.aliases import Groups
from dmz.promotion.advisories.archive import Source
from dmz.promotion.advisories.readers import read
from dmz.promotion.advisories.records import moment
from dmz.promotion.advisories.rows import Row
from dmz.promotion.advisories.stamp import Stamp, stamped, utc
from dmz.promotion.advisories.stored import Said, known, packed_said, said_of

_BATCH: Final = 10_000
"""Records written at once. What they say of one package is one row: the fewer, the faster they are read."""
_SAY_EVERY: Final = 10_000

Say = Callable[[str], None]

_SCHEMA: Final = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE record (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, modified TEXT, live INTEGER NOT NULL,
    aliased INTEGER NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL
);
CREATE TABLE concern (ecosystem TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE grouped (record INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE ecosystem (name TEXT PRIMARY KEY, records INTEGER NOT NULL) WITHOUT ROWID;
"""
_PRAGMAS: Final = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768;"
"""A file that nobody sees before it is finished needs no journal."""


def fill(connection: sqlite3.Connection, sources: Sequence[Source], say: Say) -> None:
    """Read all records of some files into an empty database.

    Raises:
        InputError: one of the files has something else than records, or a record stands twice with different
            content.
    """
    connection.isolation_level = None
    connection.executescript(_PRAGMAS + "BEGIN;" + _SCHEMA)
    writer = _Writer(connection)
    stamps: dict[int, Stamp] = {}
    told = 0
    with uncollected():
        for batch in read(sources):
            for row in batch.rows:
                writer.add(row, sources[batch.source])
            if stamp := stamped(batch.comment):
                stamps[batch.source] = stamp
            if len(writer) - told >= _SAY_EVERY:
                told = len(writer)
                say(f"reading advisories: {told:,} records")
        say(f"indexing {len(writer):,} advisories")
        writer.finish(list(stamps.values()))
    connection.execute("COMMIT")


class _Writer:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._records: list[tuple[Any, ...]] = []
        self._concerns: defaultdict[tuple[str, str], list[Said]] = defaultdict(list)
        self._replaced: set[int] = set()
        self._ecosystems: Counter[str] = Counter()
        self._newest: datetime | None = None
        self._now = datetime.now(UTC)

    def __len__(self) -> int:
        return self._count

    def add(self, row: Row, source: Source) -> None:
        """Take one record, unless it is there already."""
        if row.id in self._numbers and not self._replaces(row, source):
            return
        modified = moment(row.modified or "")
        # A record from the future says nothing about how old the others are.
        if modified and modified <= self._now and (self._newest is None or modified > self._newest):
            self._newest = modified
        self._count += 1
        number = self._numbers[row.id] = self._count
        self._records.append((number, row.id, row.modified, row.live, row.aliased, row.digest, row.body))
        if row.concerns:
            for key in {concern[0] for concern in row.concerns}:
                self._ecosystems[key] += 1
            for key, name, ranges, versions, rating in row.concerns:
                self._concerns[key, name].append((number, ranges, versions, rating))
        if len(self._records) >= _BATCH:
            self._write()

    def _replaces(self, row: Row, source: Source) -> bool:
        """The schema's rule for two of the same id: the one that was modified later holds."""
        self._write()
        number = self._numbers[row.id]
        before, modified = self._connection.execute(
            "SELECT digest, modified FROM record WHERE number = ?", (number,)
        ).fetchone()
        here, there = moment(row.modified or ""), moment(modified or "")
        if before == row.digest or (there and (here is None or here < there)):
            return False
        if here == there:
            raise InputError(
                f"{source.path}: {row.id} stands there twice, with different content, and no later "
                "'modified' says which holds; keep one of the two"
            )
        self._replaced.add(number)
        return True

    def _write(self) -> None:
        self._connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", self._records)
        packed = ((key, name, packed_said(said)) for (key, name), said in self._concerns.items())
        self._connection.executemany("INSERT INTO concern VALUES (?, ?, ?)", packed)
        self._records.clear()
        self._concerns.clear()

    def finish(self, stamps: Sequence[Stamp]) -> None:
        """Sum up and sort."""
        self._write()
        self._numbers.clear()
        run = self._connection.execute
        if self._replaced:
            self._drop_replaced()
        run("DELETE FROM record WHERE NOT live")
        (count,) = run("SELECT COUNT(*) FROM record").fetchone()
        self._connection.executemany("INSERT INTO grouped VALUES (?, ?)", list(self._groups()))
        run("CREATE INDEX by_package ON concern (ecosystem, name)")
        self._connection.executemany("INSERT INTO ecosystem VALUES (?, ?)", list((+self._ecosystems).items()))
        moments = [stamp.moment for stamp in stamps] or [self._newest]
        as_of = min((each for each in moments if each), default=None)
        facts = {
            "count": str(count),
            "digest": self._digest(),
            "as-of": utc(as_of) if as_of else "",
            "fetched": "yes" if stamps else "",
        }
        self._connection.executemany("INSERT INTO fact VALUES (?, ?)", list(facts.items()))

    def _drop_replaced(self) -> None:
        dropped: set[tuple[str, int]] = set()
        changed: list[tuple[bytes, int]] = []
        for place, ecosystem, body in self._connection.execute("SELECT rowid, ecosystem, body FROM concern"):
            said = said_of(body)
            if gone := self._replaced.intersection(number for number, *_ in said):
                dropped.update((ecosystem, number) for number in gone)
                changed.append((packed_said([each for each in said if each[0] not in gone]), place))
        self._ecosystems.subtract(ecosystem for ecosystem, _ in dropped)
        self._connection.executemany("UPDATE concern SET body = ? WHERE rowid = ?", changed)
        numbers = [(number,) for number in self._replaced]
        self._connection.executemany("DELETE FROM record WHERE number = ?", numbers)

    def _digest(self) -> str:
        whole = hashlib.sha256()
        for identity, digest in self._connection.execute("SELECT id, digest FROM record ORDER BY id"):
            whole.update(identity.encode() + b"\0" + digest)
        return whole.hexdigest()

    def _groups(self) -> Iterator[tuple[int, str]]:
        """The records that don't give their group its name, and the name."""
        groups = Groups()
        run = self._connection.execute
        for (body,) in run("SELECT body FROM record WHERE aliased"):
            found = known(body)
            groups.join(found.id, found.aliases)
        for number, name in run("SELECT number, id FROM record"):
            if name in groups and groups[name] != name:
                yield number, groups[name]
