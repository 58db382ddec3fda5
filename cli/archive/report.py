"""What came of an archive: a line for each recording, as JSON and as a table, and the sums. Written whole each time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cli.archive.journal import Journal, Row
from cli.archive.plan import Plan
from cli.atomic_output import write_whole
from infra.money.spreadsheet import csv_lines
from pipeline.money import usd

JSONL, CSV, SUMMARY = "report.jsonl", "report.csv", "summary.json"
STATES = ("completed", "failed", "pending", "skipped")
_COLUMNS = (
    "source",
    "bytes",
    "sha256",
    "duration",
    "job_id",
    "state",
    "cost",
    "seconds",
    "attempts",
    "code",
    "message",
    "outputs",
)
_EVERY = 2.0  # seconds between two writings at least
_SHARE = 20  # of the time between two is spent in writing one: 1 / _SHARE


def line_of(journal: Journal, row: Row) -> dict[str, Any]:
    """A recording's line. What was heard once and stands in two places is paid in one of them."""
    facts = journal.hearing_facts(row.key) if row.key else None
    name, job_id, duration, cost, seconds, attempts = facts or (None, None, None, None, None, 0)
    mine = name == row.name
    return {
        "source": row.name,
        "bytes": row.size,
        "sha256": row.sha256,
        "duration": None if duration is None else duration / 1000,
        "job_id": job_id,
        "state": row.state,
        "outputs": [
            {"format": form, "path": path, "sha256": digest}
            for form, path, digest, key in journal.outputs(row.name)
            if key == row.key and row.state == "completed"
        ],
        "cost": _cost(cost, row) if mine else 0,
        "seconds": seconds if mine else 0,
        "attempts": attempts if mine else 0,
        "error": None if row.code is None else {"code": row.code, "message": row.message},
    }


def _cost(micro: int | None, row: Row) -> float | None:
    """Failed work is free; None: nobody tells what it has cost."""
    if micro is None:
        return None if row.state == "completed" else 0
    return usd(micro)


def lines(journal: Journal) -> Iterator[dict[str, Any]]:
    """All of the report: what is listed, what was heard before, and what was left out."""
    for row in journal.rows(everything=True):
        yield line_of(journal, row)
    for trouble in journal.troubles():
        empty = dict.fromkeys(("bytes", "sha256", "duration", "job_id"))
        state = "skipped" if trouble.harmless else "failed"
        error = {"code": trouble.code, "message": trouble.message}
        yield {
            "source": trouble.name,
            **empty,
            "state": state,
            "outputs": [],
            "cost": 0,
            "seconds": 0,
            "attempts": 0,
            "error": error,
        }


class Report:
    """Written by a thread of its own while anything changes, and a last time by `close`."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan, self._journal = plan, journal
        self._changed, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="report", daemon=True)

    def start(self) -> None:
        """From now on it follows what happens."""
        self._thread.start()

    def note(self) -> None:
        """Something has changed."""
        self._changed.set()

    def close(self) -> dict[str, Any]:
        """The last writing; the summary."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join()
        return write_report(self._journal, self._plan)

    def _write_on(self) -> None:
        pause = _EVERY
        while not self._closed.wait(pause):
            if self._changed.is_set():
                self._changed.clear()
                began = time.monotonic()
                write_report(self._journal, self._plan)
                pause = max(_EVERY, _SHARE * (time.monotonic() - began))


def write_report(journal: Journal, plan: Plan) -> dict[str, Any]:
    """All three files. Raises InvalidRequest when they cannot be written."""
    summary = _Summary()
    folder, parts = plan.report, plan.parts
    write_whole(folder / JSONL, _counted(lines(journal), summary), parts=parts)
    write_whole(folder / CSV, _table(_read_back(folder / JSONL)), parts=parts)
    told = summary.told()
    write_whole(folder / SUMMARY, [_json(told)], parts=parts)
    return told


class _Summary:
    """The sums of the lines that went by."""

    def __init__(self) -> None:
        self.files = dict.fromkeys(STATES, 0)
        self.audio_ms = self.cost_micro = 0

    def add(self, line: dict[str, Any]) -> None:
        self.files[line["state"]] = self.files.get(line["state"], 0) + 1
        if line["state"] == "completed":
            self.audio_ms += round((line["duration"] or 0) * 1000)
        self.cost_micro += round((line["cost"] or 0) * 1_000_000)

    def told(self) -> dict[str, Any]:
        files = {"total": sum(self.files.values()), **self.files}
        return {"files": files, "audio_seconds": self.audio_ms / 1000, "cost_usd": usd(self.cost_micro)}


def _counted(found: Iterable[dict[str, Any]], summary: _Summary) -> Iterator[bytes]:
    for line in found:
        summary.add(line)
        yield _json(line)


def _read_back(path: Path) -> Iterator[dict[str, Any]]:
    """What was just written: the table says the same, whatever has happened since."""
    with path.open("rb") as file:
        yield from map(json.loads, file)


def _table(found: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    yield csv_lines([_COLUMNS]).encode()
    for line in found:
        error = line["error"] or {}
        flat = {**line, **error, "outputs": "; ".join(one["path"] for one in line["outputs"])}
        yield csv_lines([[flat.get(column) for column in _COLUMNS]]).encode()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def kept_in(folder: Path) -> Path:
    """The journal beside a report."""
    return folder / "state.sqlite"
