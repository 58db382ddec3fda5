"""The report of earlier runs with the same output: it is where all state lies, so that another server, too, sends nothing twice.

It is looked into by a recording's whole URI, whatever its order and length: its lines are in a file of their own meanwhile, and
not in memory.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from infra.batches.bulk_plan import BulkPlan
from infra.storage import Bucket
from pipeline.errors import InputMissing
from pipeline.money import MICRO
from workers.batches.read_input import numbered_lines


class EarlierReport:
    """take, unasked; `spent_micro` is what all its runs have cost."""

    def __init__(self, rows: sqlite3.Connection) -> None:
        self._rows = rows
        rows.execute("CREATE TABLE lines (uri TEXT PRIMARY KEY, line TEXT, asked INTEGER) WITHOUT ROWID")
        self.spent_micro = 0

    def fill(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """All that were written."""
        self._rows.executemany("INSERT OR REPLACE INTO lines VALUES (?, ?, 0)", self._readable(lines))

    def _readable(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[str, str]]:
        """What nobody can read was not written by us."""
        for _, written in lines:
            with suppress(ValueError, KeyError, TypeError):
                line = dict(json.loads(written))
                uri, _, spent = str(line["uri"]), line["source"], cost_of(line)
                self.spent_micro += spent
                yield uri, written.decode()

    def take(self, uri: str) -> dict[str, Any] | None:
        """What is known of a recording that is wanted now."""
        found = self._rows.execute("UPDATE lines SET asked = 1 WHERE uri = ? RETURNING line", (uri,)).fetchone()
        return json.loads(found[0]) if found else None

    def unasked(self) -> Iterator[dict[str, Any]]:
        """Those that this run is not about, and that stay in the report."""
        for (line,) in self._rows.execute("SELECT line FROM lines WHERE NOT asked ORDER BY uri"):
            yield json.loads(line)


def cost_of(line: Mapping[str, Any]) -> int:
    """In micro-dollars. Raises ValueError, TypeError for what is no line of ours."""
    return round(MICRO * float(line.get("cost") or 0))


@contextmanager
def earlier_report(plan: BulkPlan, bucket: Bucket) -> Iterator[EarlierReport]:
    """That of the plan's output; an empty one where there is none. Raises StorageUnavailable."""
    with tempfile.TemporaryDirectory(prefix="stenopool-report-") as folder:
        rows = sqlite3.connect(Path(folder) / "lines.db", isolation_level=None)
        with closing(rows):
            rows.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
            report = EarlierReport(rows)
            try:
                with closing(bucket.blocks(plan.report("report.jsonl").key)) as blocks:
                    report.fill(numbered_lines(blocks))
            except InputMissing:
                pass
            yield report
