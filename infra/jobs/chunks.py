"""A job's way from its bytes to its chunks, and the chunks' way to their results.

The job's counters always say what its chunk rows say: both change in one transaction, under the job's lock. That lock is
also why exactly one caller hears that a chunk was the last one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.erasures import erase
from infra.database.tables.jobs import Chunk, Job
from infra.database.tables.uploads import Media
from infra.jobs.outages import told_to_go_on
from infra.jobs.stored_bytes import SPEECH, drop_sound, keep_sound
from infra.jobs.stored_bytes import count as count_bytes
from infra.jobs.timing.phases import note_chunk, note_cut, note_phases
from infra.jobs.transitions import (
    MS_PER_CHARACTER,
    Lease,
    Store,
    all_heard,
    drop_chunk_lease,
    drop_job_lease,
    end,
    held_chunk,
    held_job,
    lock_chunk,
    note,
    put_back,
    put_chunk_back,
    size_ms,
)
from infra.media import want_stored
from infra.money import job_minutes
from infra.money.job_money import capture, cover, expect, note_usage
from pipeline.cut.holes import heard_in, owned_by
from pipeline.lifecycle import ChunkStatus, JobStatus, Stage
from pipeline.pricing import Usage, tokens_as_dict
from pipeline.quality.omissions import failed_chunk, gap_as_dict

SAMPLE_RATE = 16_000  # of everything that is cut
_COMPLETED = col(Chunk.status) == ChunkStatus.COMPLETED


class ChunkProgress(Store):
    """start_fetch, note_input, counts_minutes, take_minutes, cover, add_chunk, cut_done, complete_chunk, fail_chunk, hear_again.

    All that change something raise LeaseLost when fenced.
    """

    def start_fetch(self, lease: Lease) -> None:
        """Stage fetching."""
        with self._database.write() as session:
            job = held_job(session, lease)
            job.stage = Stage.FETCHING
            job.version += 1
            note(session, job, Stage.FETCHING, read_clock(session))

    def note_input(
        self,
        lease: Lease,
        facts: dict[str, Any],
        media: Media | None = None,
        audio_ms: int | None = None,
        *,
        samples: int | None = None,
        fetched: float | None = None,
    ) -> Job:
        """Add learned facts to `input`; with `media`, attach what was fetched and empty `source`. Stage preparing, or with
        `samples`, the whole recording's, transcribing: it is one chunk, and whoever prepared it goes on to hear it.

        `duration` among the facts is the length of the recording's clock in seconds; without it, its samples tell it.

        `audio_ms` is what the recording is now thought to last: money is held for it, as far as the balance goes. Raises
        InputMissing when the media is not stored. `fetched`: how many seconds that has taken.
        """
        with self._database.write() as session:
            job = held_job(session, lease)
            if samples is not None:
                note_duration(job, samples)
            if fetched is not None:
                note_phases(job, {"fetched": fetched}, job.worker)
            job.input = {**job.input, **facts}
            if media is not None:
                want_stored(session, media)
                job.media_id = media.id
                job.source = None
                job.queue = "cpu"  # whoever fetched it, preparing is for processors
            job.size_ms = size_ms(job.task, job.input, audio_ms)
            if audio_ms is not None:
                expect(session, job, audio_ms)
            job.stage = Stage.PREPARING if samples is None else Stage.TRANSCRIBING
            job.version += 1
        return job

    def counts_minutes(self, lease: Lease) -> bool:
        """Whether what the job hears counts among the minutes of a day that its account may use. Nobody is fenced for a look."""
        with self._database.read() as session:
            return job_minutes.counts(session, lease.job_id)

    def take_minutes(self, lease: Lease, ms: int) -> None:
        """The whole recording lasts `ms`: take them from the day's minutes. Raises QuotaExceeded, BeyondLimit."""
        with self._database.write() as session:
            job_minutes.cover(session, held_job(session, lease), ms)

    def cover(self, lease: Lease, samples: int) -> None:
        """Hold enough for so much sound before anybody hears it. Raises InsufficientBalance, CostLimitExceeded."""
        with self._database.write() as session:
            cover(session, held_job(session, lease), samples)

    def add_chunk(
        self,
        lease: Lease,
        idx: int,
        span: dict[str, Any],
        sound_key: str | None,
        queue: str = "cpu",
        *,
        in_line: bool = False,
        samples: int | None = None,
        size: int = 0,
    ) -> bool:
        """True: the chunk waits to be heard, dispatch it. False: nothing to dispatch; it is silent (no sound key), or a row for
        the same span is there already and is kept: finished work is not redone, and the sound just stored is erased.

        `in_line`: whoever works on it waits for a turn at an engine most of that time (`infra.jobs.queue.slow_work`).
        `samples` is how many were sent so far, this chunk's among them; where it is not given, the chunk's own end. `size` is
        that of the sound in bytes. Raises InsufficientBalance and CostLimitExceeded when they cost more than can be held,
        LimitExceeded for sound that its account has no room for.
        """
        span = json.loads(json.dumps(span))  # as the column will give it back: lists, no tuples
        with self._database.write() as session:
            job = held_job(session, lease)
            so_far = int(span["own_end"]) if samples is None else samples
            cover(session, job, so_far)
            chunk = lock_chunk(session, job.id, idx)
            time = read_clock(session)
            if chunk is not None and chunk.span == span and not _unarmed(chunk):
                if sound_key not in (None, chunk.sound_key):
                    erase(session, str(sound_key), time)
                return False
            if chunk is None:
                chunk = Chunk(job_id=job.id, idx=idx, span=span, run_at=time)
                session.add(chunk)
                job.chunks_total += 1
            else:
                disarm(session, job, chunk, time)
            chunk.queue, chunk.in_line, chunk.sound_key = queue, in_line, sound_key
            keep_sound(session, job, chunk, size)
            chunk.cost_ms = _cost_ms(job.task, span)
            _arm(session, job, chunk, span, time)
            job.audio_samples = max(job.audio_samples, so_far)
        return sound_key is not None

    def cut_done(
        self,
        lease: Lease,
        audio_samples: int,
        chunks_total: int,
        facts: dict[str, Any] | None = None,
        *,
        seconds: float = 0.0,
    ) -> bool:
        """Every chunk is a row: stage transcribing, the lease ends. True: nothing is left to hear, claim and finish it.

        `audio_samples` were decoded in all; `facts` are what was learned meanwhile, as in `note_input`; preparing took `seconds`.
        """
        with self._database.write() as session:
            job = held_job(session, lease)
            time = read_clock(session)
            for chunk in session.scalars(
                select(Chunk).where(col(Chunk.job_id) == job.id, col(Chunk.idx) >= chunks_total).with_for_update()
            ).all():  # a run before this one cut more pieces
                disarm(session, job, chunk, time)
                session.delete(chunk)
                job.chunks_total -= 1
            assert job.chunks_total == chunks_total, f"{job.chunks_total} rows for {chunks_total} chunks"
            job.cut_done = True
            note_duration(job, audio_samples)
            job.input = {**job.input, **(facts or {})}
            job.lost = job.failures = 0
            job.waits_for = job.waits_since = None
            note_cut(job, seconds, time)
            if not _chunks_wait(session, job):
                job.stage = Stage.STITCHING if all_heard(job) else Stage.TRANSCRIBING
            drop_job_lease(job)
            job.version += 1
            note(session, job, Stage.TRANSCRIBING, time, chunks=chunks_total)
            return all_heard(job)

    def complete_chunk(
        self,
        lease: Lease,
        result_key: str,
        model_used: str | None = None,
        usage: Usage | None = None,
        *,
        size: int = 0,
        seconds: float = 0.0,
    ) -> bool:
        """The result of `size` bytes is in storage, and what it cost is captured: of `usage` the tokens; the seconds are the
        chunk's own. It took `seconds`.

        True for exactly one caller: it was the last one, claim the job and finish it. Raises LimitExceeded for sound that its
        account has no room for.
        """
        with self._database.write() as session:
            job, chunk = held_chunk(session, lease)
            note_chunk(job, chunk.idx, seconds, chunk.worker)
            drop_chunk_lease(chunk, ChunkStatus.COMPLETED)
            drop_sound(session, job, chunk)
            chunk.waits_for = None
            told_to_go_on(job)
            chunk.result_key = result_key
            chunk.model_used = model_used
            chunk.error = None
            count_bytes(session, job, size, refuse=job.task == SPEECH)
            heard(session, job, chunk, usage)
            return was_last(session, job)

    def fail_chunk(self, lease: Lease, error: dict[str, Any], retry_in: float | None = None) -> bool:
        """Again in `retry_in` seconds; None: for good, which fails the job, or leaves a gap with on_chunk_failure=partial.

        True: it was the last one of a job that goes on: claim the job and finish it.
        """
        with self._database.write() as session:
            job, chunk = held_chunk(session, lease)
            time = read_clock(session)
            chunk.failures += 1
            chunk.error = error
            chunk.waits_for = None
            if retry_in is None:
                return give_up_chunk(session, job, chunk, error, time)
            put_chunk_back(chunk, time + retry_in)
            job.chunks_retried += 1
            job.version += 1
            note(session, job, "chunk.retrying", time, chunk=chunk.idx, error=error, retry_in=retry_in)
            return False

    def hear_again(self, lease: Lease, gone: Mapping[int, str], error: dict[str, Any], *, kept: int) -> bool:
        """These completed chunks' results are no longer in storage: they are due once more, and the job is given back until they
        are done. What is left of the others' results is `kept` bytes. They are not paid once more: a chunk captures what its job
        owes beyond what was captured.

        `gone` says for each where its sound or text is to be, should the sweep have dropped it: no chunk waits without.

        False, and nothing has happened: this has been tried as often as it may be.
        """
        with self._database.write() as session:
            job = held_job(session, lease)
            time = read_clock(session)
            these = (col(Chunk.job_id) == job.id, col(Chunk.idx).in_(gone), _COMPLETED)
            chunks = session.scalars(select(Chunk).where(*these).order_by(col(Chunk.idx)).with_for_update()).all()
            if any(chunk.failures + 1 >= self._max_attempts for chunk in chunks):
                return False
            for chunk in chunks:
                count(job, chunk, -1)
                put_chunk_back(chunk, time)
                chunk.failures += 1
                chunk.sound_key = chunk.sound_key or gone[chunk.idx]
                chunk.result_key, chunk.handed_out, chunk.error = None, False, error
                note(session, job, "chunk.retrying", time, chunk=chunk.idx, error=error, retry_in=0.0)
            job.chunks_retried += len(chunks)
            count_bytes(session, job, int((job.blobs or {}).get("bytes", 0)) + kept - job.stored_bytes, refuse=False)
            put_back(job, time)
            job.stage = Stage.TRANSCRIBING
            return True


def give_up_chunk(session: Session, job: Job, chunk: Chunk, error: dict[str, Any], now: float) -> bool:
    """No more tries: the job fails, or goes on with a gap. True: nothing is left to hear of a job that goes on."""
    drop_chunk_lease(chunk, ChunkStatus.FAILED)
    chunk.error = {**error, "chunk": chunk.idx}
    count(job, chunk, 1)
    note(session, job, "chunk.failed", now, chunk=chunk.idx, error=error)
    if job.request.get("on_chunk_failure") == "partial":
        drop_sound(session, job, chunk)
        return was_last(session, job)
    end(session, job, JobStatus.FAILED, now, chunk.error)
    return False


def count(job: Job, chunk: Chunk, step: int) -> None:
    """Add a terminal chunk to the job's counters, or (-1) take it out."""
    if chunk.status == ChunkStatus.COMPLETED:
        job.chunks_completed += step
        job.samples_done += step * owned_by(chunk.span)
        note_usage(job, chunk, step)
    elif chunk.status == ChunkStatus.FAILED:
        job.chunks_failed += step


def heard(session: Session, job: Job, chunk: Chunk, usage: Usage | None = None) -> None:
    """Count a chunk that has just been completed, and capture what it cost."""
    if usage is not None:
        chunk.tokens, chunk.counted = tokens_as_dict(usage.tokens), usage.counted
    count(job, chunk, 1)
    capture(session, job, chunk.idx)


def note_duration(job: Job, audio_samples: int) -> None:
    """The exact length, counted in decoded samples; whoever knows the clock of the recording tells its `duration` afterwards."""
    job.audio_samples = audio_samples
    job.size_ms = audio_samples * MS_PER_CHARACTER if job.task == "speech" else audio_samples * 1000 // SAMPLE_RATE
    if job.task != "speech":  # its chunks count characters
        job.input = {**job.input, "duration": round(audio_samples / SAMPLE_RATE, 3)}


def gaps(session: Session, job: Job) -> list[dict[str, Any]]:
    """What could not be heard, as pipeline.quality.omissions writes it: start and end in seconds, code, reason, chunk …"""
    failed = select(Chunk).where(col(Chunk.job_id) == job.id, col(Chunk.status) == ChunkStatus.FAILED)
    rows = session.scalars(failed.order_by(col(Chunk.idx)))
    return [gap_as_dict(failed_chunk(chunk.idx, chunk.span, chunk.error)) for chunk in rows]


def _cost_ms(task: str, span: dict[str, Any]) -> int:
    """What hearing it is charged in the queue; a speech job's spans count characters."""
    extent = heard_in(span)
    return extent * MS_PER_CHARACTER if task == "speech" else extent * 1000 // SAMPLE_RATE


def _unarmed(chunk: Chunk) -> bool:
    """Waits for its sound: `retry` wants it heard once more."""
    return chunk.status == ChunkStatus.PENDING and chunk.sound_key is None


def disarm(session: Session, job: Job, chunk: Chunk, now: float) -> None:
    """Make a row as good as new; only `attempt` keeps growing, so that no object is written twice."""
    count(job, chunk, -1)
    drop_chunk_lease(chunk, ChunkStatus.PENDING)
    drop_sound(session, job, chunk)
    if chunk.sound_key is not None:
        erase(session, chunk.sound_key, now)
    chunk.lost = chunk.failures = 0
    chunk.handed_out = False
    chunk.waits_for = chunk.waits_since = None
    chunk.sound_key = chunk.result_key = chunk.model_used = chunk.tokens = chunk.error = None


def _arm(session: Session, job: Job, chunk: Chunk, span: dict[str, Any], now: float) -> None:
    chunk.span = span
    chunk.run_at = chunk.dispatched_at = now  # the caller dispatches it right away
    chunk.status = ChunkStatus.COMPLETED if chunk.sound_key is None else ChunkStatus.PENDING
    if chunk.sound_key is None:
        heard(
            session, job, chunk
        )  # silence is decoded and cut like anything else: its seconds count, tokens it has none
    job.version += 1


def was_last(session: Session, job: Job) -> bool:
    job.version += 1
    last = all_heard(job)
    if last:
        job.stage = Stage.STITCHING  # that is what it waits for
    return last


def _chunks_wait(session: Session, job: Job) -> bool:
    """Whether some wait already for what is away, while the others were still being cut."""
    if Stage(job.stage).dependency is None:
        return False
    alive = col(Chunk.status).in_((ChunkStatus.PENDING, ChunkStatus.RUNNING))
    waits = exists().where(col(Chunk.job_id) == job.id, alive, col(Chunk.waits_for).is_not(None))
    return bool(session.execute(select(waits)).scalar_one())
