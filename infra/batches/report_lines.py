"""What a bulk run tells of each recording: the lines of its report, and of its files over HTTP."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra.batches.line_store import BROKEN, DONE, HEARD, LEFT, RUNNING, WAITING
from infra.batches.source_store import KEPT
from infra.database.tables.batches import Batch, BatchLine
from pipeline.money import usd

STATES: Mapping[str, str] = {  # as they are told; what an earlier run did is told as that one told it
    WAITING: "queued",
    RUNNING: "processing",
    HEARD: "processing",
    DONE: "completed",
    BROKEN: "failed",
    LEFT: "not_started",
}
COLUMNS = (
    "source",
    "state",
    "bytes",
    "sha256",
    "duration",
    "job_id",
    "cost",
    "seconds",
    "attempts",
    "outputs",
    "error",
)
ENDED = (DONE, BROKEN, LEFT)


def report_line(line: BatchLine) -> dict[str, Any]:
    """One recording."""
    facts = line.facts or {}
    if line.state == KEPT:
        return dict(facts["line"])
    error = line.error and {name: line.error.get(name) for name in ("code", "message", "retryable")}
    return {
        "source": line.custom_id,
        "uri": facts.get("uri"),
        "bytes": facts.get("bytes"),
        "etag": facts.get("etag"),
        "sha256": facts.get("sha256"),
        "duration": facts.get("duration"),
        "fingerprint": line.fingerprint,
        "job_id": line.job_id,
        "state": STATES[line.state],
        "outputs": facts.get("outputs") or [],
        "cost": usd(facts.get("cost_micro") or 0),
        "seconds": facts.get("seconds"),
        "attempts": facts.get("attempts") or 0,
        "duplicate_of": facts.get("duplicate_of"),
        "error": error or None,
    }


def states_of(told: str) -> list[str]:
    """The states of rows that are told so."""
    return [state for state, word in STATES.items() if word == told]


def as_jsonl(lines: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One object a line."""
    for line in lines:
        yield json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def as_csv(lines: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """For spreadsheets: a row each, outputs by their paths, errors by their codes."""
    yield _row(COLUMNS)
    for line in lines:
        outputs = " ".join(one["path"] for one in line.get("outputs") or ())
        yield _row(
            [
                _cell({**line, "outputs": outputs, "error": (line.get("error") or {}).get("code")}[name])
                for name in COLUMNS
            ]
        )


def summary(batch: Batch, spent_micro: int) -> dict[str, Any]:
    """The run as a whole; `cost_usd` is that of all runs with this output."""
    return {
        "id": batch.id,
        "status": batch.ending or batch.status,
        "files": {
            "total": batch.total,
            "completed": batch.completed,
            "skipped": batch.skipped,
            "failed": batch.failed,
            "not_started": batch.total - batch.completed - batch.failed,
        },
        "audio_seconds": batch.audio_ms / 1000,
        "cost_usd": usd(batch.captured_micro + spent_micro),
    }


def _row(cells: Iterable[Any]) -> bytes:
    held = io.StringIO()
    csv.writer(held, lineterminator="\n").writerow(list(cells))
    return held.getvalue().encode()


def _cell(value: Any) -> Any:
    """No spreadsheet takes a name for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
