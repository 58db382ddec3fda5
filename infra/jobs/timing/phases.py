"""The phases of a job, in seconds: what an operator reads who is asked why it was slow.

    waited      from queued to the first worker's claim
    fetched     its recording from a URL or a bucket
    prepared    decoded and cut; its first chunks are being heard meanwhile
    heard       from then on until its last chunk was heard and somebody began to stitch: waits for workers among it
    stitched    its result made and stored

Times that a phase spent with workers that died are not in it. All of it is one column, written where the row is written anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.database.tables.jobs import Job

PHASES = ("fetched", "prepared", "heard", "stitched")
MOST_WORKERS = 16  # that are named
PLACES = 3  # milliseconds


def note_phases(job: Job, spent: Mapping[str, float], worker: str | None) -> None:
    """So many seconds more of each phase, by this worker."""
    timing = dict(job.timing or {})
    for phase, seconds in spent.items():
        timing[phase] = round(timing.get(phase, 0.0) + max(0.0, seconds), PLACES)
    job.timing = _worked(timing, worker)


def note_cut(job: Job, seconds: float, now: float) -> None:
    """It has been prepared, which took so long; from `now` on it is only heard."""
    note_phases(job, {"prepared": seconds}, job.worker)
    job.timing = {**(job.timing or {}), "cut_at": round(now, PLACES)}


def note_chunk(job: Job, idx: int, seconds: float, worker: str | None) -> None:
    """A chunk has been heard, which took so long from its claim on."""
    timing = dict(job.timing or {})
    if seconds > timing.get("slowest", {}).get("seconds", -1.0):
        timing["slowest"] = {"chunk": idx, "seconds": round(seconds, PLACES), "worker": worker}
    job.timing = _worked(timing, worker)


def note_finish(job: Job, spent: Mapping[str, float], now: float) -> None:
    """Its result is stored; `spent` by whoever stitched it, and by whoever did all of it in one go."""
    cut_at = (job.timing or {}).get("cut_at")
    if cut_at is not None and "heard" not in spent:
        spent = {**spent, "heard": now - spent.get("stitched", 0.0) - cut_at}
    note_phases(job, spent, job.worker)


def timing_of(job: Job) -> dict[str, Any]:
    """As the job object tells it; null: not known, or not yet."""
    timing = job.timing or {}
    began = None if job.processing_at is None or job.queued_at is None else job.processing_at - job.queued_at
    return {
        "waited": None if began is None else round(max(0.0, began), PLACES),
        **{phase: timing.get(phase) for phase in PHASES},
        "workers": timing.get("workers", []),
        "slowest_chunk": timing.get("slowest"),
    }


def _worked(timing: dict[str, Any], worker: str | None) -> dict[str, Any]:
    known = timing.get("workers", [])
    if worker is not None and worker not in known and len(known) < MOST_WORKERS:
        timing["workers"] = [*known, worker]
    return timing
