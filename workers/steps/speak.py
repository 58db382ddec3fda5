"""Read a text aloud: its passages are spoken one by one, in any order, then laid end to end.

A passage is a chunk like any other: a row with a lease, tried again by itself. Its span counts characters where a recording's
counts samples.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial

from infra.broker import CPU, IO
from infra.database.tables.jobs import Chunk
from infra.jobs.completion import Finished
from pipeline.errors import InputMissing, StenopoolError
from pipeline.run import is_local, stands_in_line
from pipeline.text.text_splitter import PASSAGE, passages
from pipeline.transcript import transcript_to_json
from pipeline.tts.long_text import Reading
from pipeline.tts.passage import SAMPLE_RATE, Recital, recital_from_bytes, recital_samples, recital_to_bytes, recite
from workers.failure_policy import Attempt
from workers.job_context import JobContext
from workers.outage_waits import persist
from workers.paid_answers import mark_of, paid_once, stored
from workers.steps.chunk_input import passage_of
from workers.steps.recording import kept_peaks
from workers.steps.usage_metering import spoken

log = logging.getLogger(__name__)

PLAIN = ("wav", "pcm")  # formats whose size is known before they are made
SAMPLE_BYTES = 2


def prepare(context: JobContext) -> bool:
    """Send every passage on. True when all are spoken already, so that the job can be claimed again and finished."""
    services, job = context.services, context.job
    if job.media_id is None:
        raise InputMissing
    text = services.storage.get(services.media.get(job.account_id, job.media_id).storage_key).decode()
    queue = CPU if is_local(context.speech_options, services.registry) else IO
    in_line = stands_in_line(context.speech_options, services.registry)
    at = count = 0
    for passage in passages(text, longest=PASSAGE):
        _send(context, count, passage, at, queue, in_line=in_line)
        at += len(passage)
        count += 1
    return services.jobs.cut_done(context.held.lease, at, count, seconds=context.seconds)


def _send(context: JobContext, idx: int, passage: str, at: int, queue: str, *, in_line: bool) -> None:
    context.held.check()
    end = at + len(passage)
    span = {"index": idx, "audio_start": at, "audio_end": end, "own_start": at, "own_end": end}
    context.services.storage.put(context.text_key(idx), passage.encode())
    if context.services.jobs.add_chunk(context.held.lease, idx, span, context.text_key(idx), queue, in_line=in_line):
        context.services.queue.send_chunk(context.job.id, idx, queue)


def speak(context: JobContext, chunk: Chunk, work: Attempt) -> bool:
    """Speak one passage. True when it was the job's last one."""
    if chunk.sound_key is None:
        raise InputMissing("The passage's text is no longer in storage.")
    question, services = chunk.sound_key, context.services
    passage = passage_of(context, chunk)

    def ask() -> bytes:
        asked = context.speech_options.model_copy(update={"input": passage})
        return recital_to_bytes(recite(asked, services.registry))

    with paid_once(context, question, ask, context.recital_key) as answer:
        work.heard = answer.is_new
        context.held.check()
        recital = recital_from_bytes(answer.data)
        usage = spoken(context.job, passage, recital.samples * 1000 // SAMPLE_RATE)
        with context.kept(answer.key or context.recital_key(mark_of(question), context.held.lease.attempt)):
            key = stored(context, question, answer, context.recital_key)
            complete = partial(services.jobs.complete_chunk, context.held.lease, key, recital.model_used, usage)
            return persist(context.held, partial(complete, size=len(answer.data), seconds=context.seconds))


def finish(context: JobContext, rows: Sequence[Chunk]) -> None:
    """All passages are spoken: one file of sound, and the transcript of what is said when. Passages whose sound is gone are spoken
    again first.
    """
    sizes = {row.idx: size for row in rows if (size := context.services.storage.size(_spoken(row))) is not None}
    gone = [row for row in rows if row.idx not in sizes]
    if gone:
        _speak_again(context, gone, kept=sum(sizes.values()))
    else:
        _lay_end_to_end(context, rows, sum(_samples(context, row, sizes[row.idx]) for row in rows))


def _speak_again(context: JobContext, gone: Sequence[Chunk], kept: int) -> None:
    """It is deleted once the job has ended; a database that was restored from before that still names it."""
    services, error = context.services, InputMissing("A passage's sound is no longer in storage.")
    log.warning("the sound of %d passages is not in storage: they are spoken again", len(gone))
    texts = {row.idx: context.text_key(row.idx) for row in gone}
    if not services.jobs.hear_again(context.held.lease, texts, error.as_dict(), kept=kept):
        raise error
    for row in gone:
        services.queue.send_chunk(context.job.id, row.idx, row.queue)


def _lay_end_to_end(context: JobContext, rows: Sequence[Chunk], samples: int) -> None:
    services, reading = context.services, Reading()
    target = context.speech_options.response_format
    if target in PLAIN:
        services.jobs.want_room(context.held.lease, samples * SAMPLE_BYTES)
    with context.kept(context.speech_key(target)):
        with services.storage.writer(context.speech_key(target)) as writer:
            for block in reading.file(_recitals(context, rows), target, samples=samples):
                writer.write(block)
        _publish(context, reading, target, writer.bytes)
    with contextlib.suppress(StenopoolError):  # what stays, the sweep erases
        services.storage.delete_prefix(context.recital_folder)
        services.storage.delete_prefix(context.sound_folder)


def _publish(context: JobContext, reading: Reading, target: str, size: int) -> None:
    transcript, peaks = transcript_to_json(reading.transcript()), kept_peaks(context, reading.peaks)
    context.services.storage.put(context.transcript_key, transcript)
    context.held.check()
    sound = {
        "key": context.speech_key(target),
        "format": target,
        "bytes": size,
        "duration": reading.duration / 1000,
        **peaks,
    }
    finished = Finished(
        result_key=context.transcript_key,
        size=len(transcript) + peaks["peaks"],
        model_used=reading.model_used or None,
        sound=sound,
        spent={"stitched": context.seconds},
    )
    context.services.metrics.job_ended(context.services.jobs.finish(context.held.lease, finished))


def _recitals(context: JobContext, rows: Sequence[Chunk]) -> Iterator[Recital]:
    for row in rows:
        context.held.check()
        yield recital_from_bytes(context.services.storage.get(_spoken(row)))


def _samples(context: JobContext, row: Chunk, size: int) -> int:
    """Told by the object's size and its first block, so that no sound is read twice."""
    return recital_samples(next(context.services.storage.blocks(_spoken(row))), size)


def _spoken(row: Chunk) -> str:
    if row.result_key is None:
        raise StenopoolError("A passage was not spoken.", chunk=row.idx)
    return row.result_key
