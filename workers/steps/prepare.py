"""Prepare a job: decode its media, cut it, and send each chunk on while later sound is still being decoded.

A recording of one chunk is heard and finished right here, without a trip through storage and broker, when the model's
provider belongs to this worker's role, and nobody has to stand in a line for it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

from infra.broker import CPU, IO
from pipeline.audio.access.remote import Remote
from pipeline.audio.playback.peaks import Peaks
from pipeline.cut.cutter import Chunk, span_as_dict
from pipeline.errors import LimitExceeded
from pipeline.lifecycle import ChunkStatus, Stage
from pipeline.run import cut_profile, hear_chunk, is_local, stands_in_line
from pipeline.speakers.reference_samples import check_references
from pipeline.transcript import SAMPLE_RATE, heard_from_json, heard_to_json, samples_to_ms
from workers.failure_policy import Attempt
from workers.job_context import JobContext
from workers.paid_answers import paid_once
from workers.steps.browser_copy import keep_copy
from workers.steps.finish import finish_single
from workers.steps.recording import facts_of, findings_of, kept_peaks, media_of, sound_of


def prepare(role: str, context: JobContext, work: Attempt) -> bool:
    """True when every chunk is terminal already, so that the job can be claimed again and finished. `work` is told when it
    is about hearing and no more about preparing."""
    services, registry, began = context.services, context.services.registry, time.monotonic()
    check_references(context.options, registry.diarizer)
    profile = cut_profile(context.options, registry)
    queue, in_line = CPU if is_local(context.options, registry) else IO, stands_in_line(context.options, registry)
    media = media_of(context)
    with services.storage.recording(media.storage_key) as source, ExitStack() as stack:
        _take_minutes(context, source)
        stack.enter_context(_told_whole(context, source))
        peaks = Peaks()
        sound = sound_of(context, source, peaks.add)
        if context.job.max_cost_micro is not None:  # it is refused before anybody is paid to hear it
            services.jobs.cover(context.held.lease, sound_of(context, source).measure())
        chunks = stack.enter_context(closing(sound.chunks(profile)))
        first, second = next(chunks, None), next(chunks, None)
        if first is not None and second is None and ((queue == role and not in_line) or not first.span.is_sent):
            found = findings_of(context, sound, first.span.own_end) | kept_peaks(context, peaks)
            services.metrics.audio.inc(sound.samples / SAMPLE_RATE)
            keep_copy(context, media, source, sound.facts)
            job = services.jobs.note_input(context.held.lease, found, samples=sound.samples)
            work.stage, work.chunk, work.heard = Stage.TRANSCRIBING, first.span.index, first.span.is_sent
            _hear_single(context.with_job(job), first, sound.samples, work, time.monotonic() - began)
            return False
        services.jobs.note_input(context.held.lease, facts_of(sound))
        sender = _Sender(context, queue, in_line=in_line)
        count = _send(sender, itertools.chain(filter(None, (first, second)), chunks))
        services.metrics.audio.inc(sound.samples / SAMPLE_RATE)
        found = findings_of(context, sound, sender.end) | kept_peaks(context, peaks)
        keep_copy(context, media, source, sound.facts)
        spent = time.monotonic() - began
        return services.jobs.cut_done(context.held.lease, sound.samples, count, found, seconds=spent)


def _take_minutes(context: JobContext, source: Path | Remote) -> None:
    """Of a recording that is measured first where it does not say itself how long it is. Raises QuotaExceeded, BeyondLimit."""
    jobs, lease = context.services.jobs, context.held.lease
    if jobs.counts_minutes(lease):
        said = context.job.input.get("expected_ms")
        jobs.take_minutes(lease, _whole_ms(context, source) if said is None else said)


@contextmanager
def _told_whole(context: JobContext, source: Path | Remote) -> Iterator[None]:
    """A recording that lasts longer than it says: whoever is told that the day's minutes do not suffice is told its length."""
    try:
        yield
    except LimitExceeded:
        context.services.jobs.take_minutes(context.held.lease, _whole_ms(context, source))
        raise


def _whole_ms(context: JobContext, source: Path | Remote) -> int:
    return samples_to_ms(sound_of(context, source).measure())


def _send(sender: _Sender, chunks: Iterator[Chunk]) -> int:
    """All of them, in order; returns how many. The next one is cut while one is on its way to the disk and the database."""
    count, under_way = 0, None
    with ThreadPoolExecutor(1, thread_name_prefix="send") as thread:
        for chunk in chunks:
            if under_way:
                under_way.result()
            under_way = thread.submit(copy_context().run, sender.send, chunk)
            count += 1
        if under_way:
            under_way.result()
    return count


class _Sender:
    """Stores each chunk's sound, makes its row, dispatches it; what an earlier attempt finished is left as it is."""

    def __init__(self, context: JobContext, queue: str, *, in_line: bool) -> None:
        self._context, self._queue, self._in_line = context, queue, in_line
        rows = context.services.jobs.chunks(context.job.id) if context.held.lease.attempt > 1 else []
        self._completed = {row.idx: row.span for row in rows if row.status == ChunkStatus.COMPLETED}
        self._samples = 0  # sent so far
        self.end = 0  # of the clock, so far

    def send(self, chunk: Chunk) -> None:
        """Raises what the stores raise, LeaseLost among it."""
        context, services = self._context, self._context.services
        context.held.check()
        idx, span = chunk.span.index, span_as_dict(chunk.span)
        self._samples += chunk.span.owned
        self.end = max(self.end, chunk.span.own_end)
        key = context.sound_key(idx) if chunk.span.is_sent else None
        if key is None:
            self._add(idx, span, None, 0)
            return
        with context.kept(key):
            if self._completed.get(idx) != span:
                services.storage.put(key, chunk.pcm)
            waits = self._add(idx, span, key, len(chunk.pcm))
        if waits:
            services.queue.send_chunk(context.job.id, idx, self._queue)

    def _add(self, idx: int, span: dict[str, Any], key: str | None, size: int) -> bool:
        """Whether it waits to be heard."""
        jobs, lease = self._context.services.jobs, self._context.held.lease
        return jobs.add_chunk(
            lease, idx, span, key, self._queue, in_line=self._in_line, samples=self._samples, size=size
        )


def _hear_single(context: JobContext, chunk: Chunk, samples: int, work: Attempt, prepared: float) -> None:
    """`prepared`: what that took, in seconds."""
    if context.job.prices:
        context.services.jobs.cover(context.held.lease, samples)

    def ask() -> bytes:
        return heard_to_json(hear_chunk(chunk, context.options, context.services.registry))

    began = time.monotonic()
    with paid_once(context, f"{context.job.media_id} {chunk.span}", ask) as answer:
        work.heard = work.heard and answer.is_new
        context.held.check()
        spent = {"prepared": prepared, "heard": time.monotonic() - began}
        finish_single(context, chunk.span, heard_from_json(answer.data), spent)
