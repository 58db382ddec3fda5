"""Jobs for the browser to look at: one of a few seconds, and one of ten hours whose text nobody had to say."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx2
from sqlalchemy import update
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.jobs import Job
from pipeline.transcript import Segment, Transcript, Word, transcript_to_json
from tests.e2e.conftest import Installation
from tests.support.waiting import wait_until

HOURS, WORDS, OF_SEGMENT = 10, 100_000, 10


def finished_job(installation: Installation, sound: bytes, **fields: str) -> str:
    """Its id."""
    key = {"Authorization": f"Bearer {installation.key}"}
    with httpx2.Client(base_url=f"{installation.url}/v1/audio", headers=key, timeout=120) as client:
        made = client.post("/jobs", data={"model": "whisper-1", **fields}, files={"file": ("talk.wav", sound)})
        assert made.status_code == 202, made.text
        job: str = made.json()["id"]
        wait_until(lambda: client.get(f"/jobs/{job}").json()["status"] == "completed")
    return job


def ten_hours(installation: Installation, sound: bytes) -> str:
    """A job with 100,000 words over ten hours, its id. Its sound is as short as it was."""
    job = finished_job(installation, sound)
    home = Path(installation.environ["STENOPOOL_HOME"])
    with contextlib.closing(Database(f"sqlite:///{home}/stenopool.db")) as database:
        with database.read() as session:
            row = session.get(Job, job)
            assert row is not None
            assert row.result_key is not None
            key, found = row.result_key, {**row.input, "duration": float(HOURS * 3600)}
        (home / "storage" / key).write_bytes(transcript_to_json(long_transcript()))
        with database.write() as session:
            session.execute(update(Job).where(col(Job.id) == job).values(input=found))
    return job


def long_transcript() -> Transcript:
    """Even speech without a pause."""
    step = HOURS * 3_600_000 // WORDS
    segments = []
    for first in range(0, WORDS, OF_SEGMENT):
        words = tuple(Word(f"word{at}", step * at, step * (at + 1)) for at in range(first, first + OF_SEGMENT))
        text = " ".join(word.text for word in words) + "."
        segments.append(Segment(text, words[0].start, words[-1].end, words))
    return Transcript(tuple(segments), HOURS * 3_600_000, language="en")
