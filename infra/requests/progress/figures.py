"""How far a job is, in figures; what is not known yet is null."""

from __future__ import annotations

from typing import Any

from infra.database.tables.jobs import Job
from pipeline.lifecycle import TERMINAL, JobStatus, Stage
from pipeline.transcript import SAMPLE_RATE

HEARD_PERCENT = 99.0  # with the last chunk heard: the rest is for stitching and publishing
SECONDS_PER_CHUNK = (
    0.02  # to read its result, stitch and write it again: 233 chunks of 103 minutes take some 4 s from S3
)
ENCODING_SPEED = 50  # seconds of sound a second


def progress(job: Job, *, now: float) -> dict[str, Any]:
    """As the job object shows it, without the words."""
    total = _total_samples(job)
    done = job.status == JobStatus.COMPLETED
    expected = _expected_samples(job) if total is None else total
    share = 1.0 if done else min(1.0, job.samples_done / expected) if expected else 0.0
    return {
        "stage": job.stage,
        "percent": 100.0 if done else min(HEARD_PERCENT, round(100 * share, 1)),
        **_counted(job, total, done=done),
        "chunks": {
            "total": job.chunks_total if job.cut_done else None,
            "completed": job.chunks_completed,
            "failed": job.chunks_failed,
            "retried": job.chunks_retried,
        },
        "eta_seconds": _eta(job, share, now),
    }


def _counted(job: Job, total: int | None, *, done: bool) -> dict[str, Any]:
    """A recording in seconds, a text in characters: what its chunks count."""
    reached = (total or 0) if done else job.samples_done
    if job.task == "speech":
        return {"characters_done": reached, "characters_total": job.input.get("characters")}
    return {
        "audio_seconds_done": round(reached / SAMPLE_RATE, 3),
        "audio_seconds_total": None if total is None else round(total / SAMPLE_RATE, 3),
    }


def _total_samples(job: Job) -> int | None:
    """Of sound to be heard, which is less than the clock shows where that has holes."""
    return job.audio_samples if job.cut_done or job.input.get("duration") else None


def _expected_samples(job: Job) -> int:
    """What the recording says that it lasts, until it is decoded to its end: for percent and ETA only."""
    expected = int(job.input.get("expected_ms") or 0) * _times_heard(job) * SAMPLE_RATE // 1000
    return max(expected, job.audio_samples) if expected else 0


def _times_heard(job: Job) -> int:
    """How often its recording is heard: once for each track and channel that is heard by itself."""
    tracks, channels = job.input.get("audio_tracks") or [], int(job.input.get("channels") or 1)
    apart = job.request.get("channels") == "separate"
    if job.request.get("audio_track") == "all" and tracks:
        return sum(track["channels"] or 1 if apart else 1 for track in tracks)
    return channels if apart else 1


def _eta(job: Job, share: float, now: float) -> int | None:
    """The rest at the speed so far, and the steps after the last chunk; unknown before the first chunk is done."""
    if JobStatus(job.status) in TERMINAL:
        return 0
    if Stage(job.stage).dependency is not None:
        return None
    if not share or job.processing_at is None:
        return None
    hearing = 0.0 if _is_heard(job) else (now - job.processing_at) * (1 - share) / share
    return max(1, round(hearing + _finishing_seconds(job)))


def _is_heard(job: Job) -> bool:
    return job.cut_done and job.chunks_completed + job.chunks_failed >= job.chunks_total


def _finishing_seconds(job: Job) -> float:
    """What reading the chunks' results, stitching and publishing take; a spoken text is encoded as well."""
    encoding = job.size_ms / 1000 / ENCODING_SPEED if job.task == "speech" else 0.0
    return job.chunks_total * SECONDS_PER_CHUNK + encoding
