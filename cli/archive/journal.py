"""What is known of an archive, in one SQLite file beside its report: written before and after each step, read after a crash.

`recordings` are names and what they hold now; `hearings` are contents that were sent, by their key, whoever has them; `outputs` are
the files that are ours.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cli.archive.audio_estimate import suffix
from cli.archive.plan import Order
from cli.listing.found import Found, Trouble

PAGE = 500  # rows held at a time
IN_MEMORY = ":memory:"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS recordings (
    name TEXT PRIMARY KEY, place BLOB NOT NULL, size INTEGER NOT NULL, modified REAL NOT NULL, own TEXT NOT NULL,
    stem TEXT NOT NULL, listed INTEGER NOT NULL, looks INTEGER NOT NULL DEFAULT 1,
    sha256 TEXT, hashed_size INTEGER, hashed_modified REAL,
    base TEXT, folded TEXT UNIQUE, key TEXT, state TEXT NOT NULL DEFAULT 'pending', code TEXT, message TEXT, own_fault INTEGER
);
CREATE INDEX IF NOT EXISTS by_stem ON recordings (stem, listed);
CREATE INDEX IF NOT EXISTS by_key ON recordings (key);
CREATE TABLE IF NOT EXISTS hearings (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, job_id TEXT, duration_ms INTEGER, cost_micro INTEGER,
    earlier_micro INTEGER NOT NULL DEFAULT 0, sent REAL, seconds REAL, attempts INTEGER NOT NULL DEFAULT 0, at REAL
);
CREATE TABLE IF NOT EXISTS outputs (
    name TEXT NOT NULL, format TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (name, format)
);
CREATE INDEX IF NOT EXISTS by_path ON outputs (path);
CREATE TABLE IF NOT EXISTS troubles (
    name TEXT PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL, harmless INTEGER NOT NULL, listed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_ROWS = """SELECT name, place, size, modified, own, sha256, hashed_size, hashed_modified,
base, key, state, code, message, looks, own_fault FROM recordings WHERE"""
_SHARED_STEM = (
    "EXISTS (SELECT 1 FROM recordings b WHERE b.stem = recordings.stem AND b.listed = ?1 AND b.name <> recordings.name)"
)
_ORDERS = {"name": "name", "size": "size, name", "mtime": "modified, name"}


@dataclass(frozen=True)
class Row:
    """A recording as the journal has it. `place` is as `Found` has it, `base` the path of its outputs without their ending."""

    name: str
    place: str
    size: int
    modified: float
    own: dict[str, Any] = field(repr=False)
    sha256: str | None
    hashed_size: int | None
    hashed_modified: float | None
    base: str | None
    key: str | None
    state: str
    code: str | None
    message: str | None
    looks: int
    own_fault: bool

    @property
    def is_as_hashed(self) -> bool:
        """Whether size and time are still those of the bytes that were hashed."""
        return self.sha256 is not None and (self.size, self.modified) == (self.hashed_size, self.hashed_modified)


class Journal:
    """One archive's. Thread-safe; every write is committed when it returns."""

    def __init__(self, path: Path | None) -> None:
        """None: one that is forgotten afterwards."""
        self.path = path
        self._lock = threading.RLock()
        self._base = sqlite3.connect(path or IN_MEMORY, check_same_thread=False, isolation_level=None)
        self._base.create_function("suffix", 1, suffix, deterministic=True)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute(
            "PRAGMA synchronous=NORMAL"
        )  # whole after a power cut; what it misses is found on the server
        self._base.executescript(_SCHEMA)
        self.run = int(self.fact("runs") or 0)

    @classmethod
    def copy_of(cls, path: Path) -> Journal:
        """What is known, where anything is; changes are forgotten."""
        copied = cls(None)
        if path.exists():
            with sqlite3.connect(path) as there:
                there.backup(copied._base)
            copied._base.executescript(_SCHEMA)
        copied.run = int(copied.fact("runs") or 0)
        return copied

    def close(self) -> None:
        """Everything into the one file, which can be moved then."""
        with self._lock:
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._base.close()

    # ---- listing

    @contextmanager
    def listing(self) -> Iterator[None]:
        """What is noted meanwhile is what there is."""
        self.run += 1
        self._do("BEGIN")
        try:
            self.set_fact("runs", str(self.run))
            yield
        finally:
            self._do("COMMIT")

    def note(self, found: Found) -> Found | None:
        """A recording is there. Another one of the same name, listed before it: that one, and nothing is noted."""
        place, named = os.fsencode(found.place), found.own.get("output")
        stem = folded(named) if named else stem_of(found.name)
        other = self._one("SELECT place FROM recordings WHERE name = ? AND listed = ?", found.name, self.run)
        if other is not None:
            return None if other[0] == place else Found(found.name, os.fsdecode(other[0]), 0, 0)
        self._do(
            """INSERT INTO recordings (name, place, size, modified, own, stem, listed) VALUES (?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (name) DO UPDATE SET place = excluded.place, size = excluded.size, modified = excluded.modified,
               own = excluded.own, stem = excluded.stem, listed = excluded.listed,
               looks = CASE WHEN (size, modified) = (excluded.size, excluded.modified) THEN looks + 1 ELSE 1 END""",
            found.name, place, found.size, found.modified, json.dumps(dict(found.own)), stem, self.run,
        )  # fmt: skip
        return None

    def note_trouble(self, trouble: Trouble) -> None:
        """Something is left out."""
        values = (trouble.name, trouble.code, trouble.message, trouble.harmless, self.run)
        self._do("INSERT OR REPLACE INTO troubles VALUES (?, ?, ?, ?, ?)", *values)

    def troubles(self) -> Iterator[Trouble]:
        """What was left out when it was listed last."""
        for name, code, message, harmless in self._all(
            "SELECT name, code, message, harmless FROM troubles WHERE listed = ? ORDER BY name", self.run
        ):
            yield Trouble(name, code, message, bool(harmless))

    def rows(self, order: Order = "name", *, everything: bool = False) -> Iterator[Row]:
        """What is listed, in this order; or also what was heard before and is listed no more. Some hundred are held at a time."""
        which = "(listed = ?1 OR state = 'completed')" if everything else "listed = ?1"
        return self._paged(which, _ORDERS[order])

    def begun(self) -> Iterator[Row]:
        """Those that an earlier run has sent and not seen the end of."""
        return self._paged(
            "listed = ?1 AND key IN (SELECT key FROM hearings WHERE state = 'sending') AND state = 'pending'", "name"
        )

    def unnamed(self, *, shared: bool) -> Iterator[Row]:
        """Those whose outputs have no name yet, and whose stem others have as well, or nobody."""
        return self._paged(f"listed = ?1 AND base IS NULL AND {'' if shared else 'NOT '}{_SHARED_STEM}", "name")

    def _paged(self, which: str, order: str) -> Iterator[Row]:
        columns = order.split(", ")
        last, values = "", tuple[Any, ...]()
        while True:
            query = (_ROWS, which, last, "ORDER BY", order, "LIMIT", str(PAGE))
            page = [_row(found) for found in self._all(" ".join(query), self.run, *values)]
            yield from page
            if len(page) < PAGE:
                return
            values = tuple(getattr(page[-1], column) for column in columns)
            marks = ", ".join(f"?{number}" for number in range(2, 2 + len(columns)))
            last = f"AND ({order}) > ({marks})"

    def row(self, name: str) -> Row | None:
        """One of them."""
        found = self._one(" ".join((_ROWS, "name = ?")), name)
        return _row(found) if found else None

    def totals(self) -> tuple[int, dict[str, int]]:
        """(files, bytes by ending) of what is listed."""
        found = self._all(
            "SELECT suffix(name), count(*), coalesce(sum(size), 0) FROM recordings WHERE listed = ? GROUP BY 1",
            self.run,
        )
        return sum(files for _, files, _ in found), {kind: size for kind, _, size in found}

    # ---- names of outputs

    def name_outputs(self, name: str, base: str) -> bool:
        """Whether nobody else has it."""
        try:
            self._do("UPDATE recordings SET base = ?, folded = ? WHERE name = ?", base, folded(base), name)
        except sqlite3.IntegrityError:
            return False
        return True

    def owner_of(self, base: str) -> str | None:
        """Whose outputs are called so."""
        found = self._one("SELECT name FROM recordings WHERE folded = ?", folded(base))
        return str(found[0]) if found else None

    def forget_names(self) -> None:
        """Of outputs: they are laid out anew."""
        self._do("UPDATE recordings SET base = NULL, folded = NULL")

    # ---- steps

    def hashed(self, row: Row, digest: str, key: str) -> None:
        """What the recording holds."""
        self._do(
            "UPDATE recordings SET sha256 = ?, hashed_size = ?, hashed_modified = ?, key = ? WHERE name = ?",
            digest, row.size, row.modified, key, row.name,
        )  # fmt: skip

    def sending(self, key: str, name: str) -> None:
        """From now on somebody may hear it."""
        self._do(
            """INSERT INTO hearings (key, name, state, attempts) VALUES (?, ?, 'sending', 1)
               ON CONFLICT (key) DO UPDATE SET state = 'sending', attempts = attempts + 1""",
            key, name,
        )  # fmt: skip

    def is_job(self, key: str, job_id: str) -> None:
        """Somebody hears it, as this job. What another one has cost before was spent all the same."""
        self._do(
            """UPDATE hearings SET earlier_micro = earlier_micro + coalesce(cost_micro, 0), cost_micro = NULL
               WHERE key = ? AND job_id <> ?""",
            key, job_id,
        )  # fmt: skip
        self._do(
            "UPDATE hearings SET job_id = ?1, sent = ?2 WHERE key = ?3 AND job_id IS NOT ?1", job_id, time.time(), key
        )

    def heard(self, key: str, *, duration_ms: int, cost_micro: int | None, seconds: float) -> None:
        """It is heard, and paid; None: nobody knows its price."""
        self._do(
            "UPDATE hearings SET state = 'heard', duration_ms = ?, cost_micro = ?, seconds = ?, at = ? WHERE key = ?",
            duration_ms, cost_micro, seconds, time.time(), key,
        )  # fmt: skip

    def hearing(self, key: str) -> tuple[str, str | None, float | None] | None:
        """(state, job id, since when it is this job, in epoch seconds), where it was sent."""
        found: tuple[str, str | None, float | None] | None = self._one(
            "SELECT state, job_id, sent FROM hearings WHERE key = ?", key
        )
        return found

    def hearing_facts(self, key: str) -> tuple[str, str | None, int | None, int | None, float | None, int] | None:
        """(name, job id, duration in ms, cost in micro-dollars, seconds it took, attempts), where it was sent."""
        found: tuple[str, str | None, int | None, int | None, float | None, int] | None = self._one(
            "SELECT name, job_id, duration_ms, cost_micro + earlier_micro, seconds, attempts FROM hearings WHERE key = ?",
            key,
        )
        return found

    def heard_since(self, key: str, moment: float) -> bool:
        """Whether it was heard after that moment, in epoch seconds."""
        return (
            self._one("SELECT 1 FROM hearings WHERE key = ? AND state = 'heard' AND at >= ?", key, moment) is not None
        )

    def spent(self) -> tuple[int, int, int]:
        """(micro-dollars, milliseconds, contents) of everything that was heard."""
        found = self._one(
            """SELECT coalesce(sum(coalesce(cost_micro, 0) + earlier_micro), 0), coalesce(sum(duration_ms), 0),
               count(duration_ms) FROM hearings"""
        )
        return int(found[0]), int(found[1]), int(found[2])

    def end(
        self, name: str, state: str, code: str | None = None, message: str | None = None, *, own: bool = False
    ) -> None:
        """The recording is completed, failed or pending again; `own`: by its own fault, which another try does not mend."""
        self._do(
            "UPDATE recordings SET state = ?, code = ?, message = ?, own_fault = ? WHERE name = ?",
            state, code, message, own, name,
        )  # fmt: skip

    def own_failure(self, key: str) -> tuple[str, str] | None:
        """(code, message) where a recording of this content has failed by its own fault."""
        found: tuple[str, str] | None = self._one(
            "SELECT code, message FROM recordings WHERE key = ? AND state = 'failed' AND own_fault = 1 LIMIT 1", key
        )
        return found

    # ---- outputs

    def plan_output(self, name: str, form: str, path: str, digest: str, key: str) -> None:
        """This file is ours from now on, whether it is there yet or not."""
        self._do("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?)", name, form, path, digest, key)

    def outputs(self, name: str) -> list[tuple[str, str, str, str]]:
        """(format, path, hash, key of the content they were made of) of one recording."""
        return self._all("SELECT format, path, sha256, key FROM outputs WHERE name = ? ORDER BY format", name)

    def is_ours(self, path: str) -> bool:
        """Whether a file was written by this command."""
        return self._one("SELECT 1 FROM outputs WHERE path = ? LIMIT 1", path) is not None

    # ---- facts

    def fact(self, name: str) -> str | None:
        """What was remembered under this name."""
        found = self._one("SELECT value FROM facts WHERE name = ?", name)
        return str(found[0]) if found else None

    def set_fact(self, name: str, value: str | None) -> None:
        """Remember it; None: forget it."""
        if value is None:
            self._do("DELETE FROM facts WHERE name = ?", name)
        else:
            self._do("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def _do(self, statement: str, *values: Any) -> None:
        with self._lock:
            self._base.execute(statement, values)

    def _one(self, query: str, *values: Any) -> Any:
        with self._lock:
            return self._base.execute(query, values).fetchone()

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._base.execute(query, values).fetchall()


def folded(name: str) -> str:
    """What two names have in common that one disk in three takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def stem_of(name: str) -> str:
    """By what one sees that two recordings would have outputs of one name."""
    folder, slash, last = name.rpartition("/")
    stem, dot, _ = last.rpartition(".")
    return folded(folder + slash + (stem if dot and stem else last))


def _row(found: Any) -> Row:
    facts = dict(zip((field.name for field in fields(Row)), found, strict=True))
    facts |= {
        "place": os.fsdecode(facts["place"]),
        "own": json.loads(facts["own"]),
        "own_fault": bool(facts["own_fault"]),
    }
    return Row(**facts)
