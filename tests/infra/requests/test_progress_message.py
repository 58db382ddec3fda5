"""What a program can show to its own user about a job, and when it asks again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.database.tables.jobs import Job
from infra.jobs.store import QueuePlace
from infra.requests.job_object import standing_of
from pipeline.lifecycle import LIVE, JobStatus, Stage

NOW = 1_800_000_000.0
SECOND = 16_000  # samples


def job(**given: Any) -> Job:
    known = {"id": "job_1", "account_id": "a", "task": "transcription", "model": "m", "request": {}, "input": {}}
    return Job(
        **{**known, "status": "processing", "run_at": NOW, "created_at": NOW, "processing_at": NOW - 60, **given}
    )


def message(place: QueuePlace | None = None, **given: Any) -> str:
    return str(standing_of(job(**given), now=NOW, place=place)["progress"]["message"])


HEARD_HALF = {
    "stage": "transcribing", "cut_done": True, "audio_samples": 100 * SECOND, "samples_done": 50 * SECOND,
    "chunks_total": 10, "chunks_completed": 5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "place", "told"),
    [
        ({"status": "queued"}, QueuePlace("cpu"), "It waits for its turn."),
        (
            {"status": "queued"},
            QueuePlace("cpu", 84_000, NOW + 20),
            "It waits for its turn: 84 seconds of sound are ahead of it; it begins in about 20 seconds.",
        ),
        (
            {"status": "queued"},
            QueuePlace("archive", 7_200_000, NOW - 5),
            "It waits for its turn: 2 hours of sound are ahead of it; it begins at any moment.",
        ),
        ({"status": "processing", "stage": "fetching"}, None, "The recording is being downloaded."),
        ({"status": "processing", "stage": "preparing"}, None, "It is being prepared."),
        (HEARD_HALF, None, "50 % is transcribed; about 60 seconds are left."),
        ({**HEARD_HALF, "processing_at": NOW - 3 * 3600}, None, "50 % is transcribed; about 3 hours are left."),
        (
            {"status": "processing", "stage": "stitching"},
            None,
            "All of it is transcribed; the result is being put together.",
        ),
        (
            {"status": "queued", "stage": "waiting_for_provider", "waiting": {"code": "x", "message": "y"}},
            None,
            "It waits for the speech provider, which does not answer. It goes on by itself, and nothing is lost.",
        ),
        (
            {"status": "queued", "run_at": NOW + 1800, "waiting": {"message": "The day's minutes are used up."}},
            None,
            "The day's minutes are used up. It goes on in about 30 minutes.",
        ),
        ({"status": "cancelling", "stage": "transcribing"}, None, "It is being cancelled."),
        ({"status": "completed", "stage": "done"}, None, "The transcript is ready."),
        ({"status": "completed", "stage": "done", "task": "speech"}, None, "The sound is ready."),
        (
            {"status": "completed", "stage": "done", "partial": True},
            None,
            "The transcript is ready, with gaps where something failed.",
        ),
        ({"status": "failed", "stage": "done", "error": {"message": "No sound."}}, None, "It failed: No sound."),
        ({"status": "expired", "stage": "done"}, None, "It was not done in its time."),
        ({"status": "cancelled", "stage": "done"}, None, "It was cancelled."),
    ],
)
def test_it_is_told_in_words(given: dict[str, Any], place: QueuePlace | None, told: str) -> None:
    assert message(place, **given) == told


@given(
    status=st.sampled_from(JobStatus),
    stage=st.sampled_from(Stage),
    task=st.sampled_from(("transcription", "translation", "speech")),
    samples=st.integers(0, 10**12),
    ahead=st.none() | st.integers(0, 10**12),
    eta=st.none() | st.floats(0, 4e9),
    run_at=st.floats(NOW - 1e6, NOW + 1e6),
    waits=st.booleans(),
)
def test_whatever_it_is_there_is_a_sentence_and_a_time(
    *,
    status: JobStatus,
    stage: Stage,
    task: str,
    samples: int,
    ahead: int | None,
    eta: float | None,
    run_at: float,
    waits: bool,
) -> None:
    told = standing_of(
        job(
            status=status, stage=stage, task=task, cut_done=True, audio_samples=samples, samples_done=samples // 3,
            run_at=run_at, waiting={"code": "x", "message": "It is noon."} if waits else None,
        ),
        now=NOW,
        place=QueuePlace("cpu", ahead, eta),
    )["progress"]  # fmt: skip
    assert re.fullmatch(r"[A-Z0-9].*\.", told["message"])
    assert not re.search(r"None|nan|\d\.\d|-\d|_", told["message"])
    assert told["retry_after"] is None if status not in LIVE else 1 <= told["retry_after"] <= 10
