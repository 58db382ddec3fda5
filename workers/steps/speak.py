"""Read a text aloud: its passages are spoken one by one, in any order, then laid end to end.

A passage is a chunk like any other: a row with a lease, tried again by itself. Its span counts characters where a recording's
counts samples.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from infra.broker import CPU, IO
from infra.database.tables import Chunk
from infra.jobs.completion import Finished
from pipeline.errors import InputMissing, StenopoolError
from pipeline.run import is_local
from pipeline.transcript import transcript_to_json
from pipeline.tts.long_text import Reading
from pipeline.tts.passage import SAMPLE_RATE, Recital, recital_from_bytes, recital_samples, recital_to_bytes, recite
from pipeline.tts.text_splitter import PASSAGE, passages
from workers.job_context import Turn
from workers.steps.usage_metering import spoken


def prepare(turn: Turn) -> bool:
    """Send every passage on. True when all are spoken already, so that the job can be claimed again and finished."""
    services, job = turn.services, turn.job
    if job.media_id is None:
        raise InputMissing
    text = services.storage.get(services.media.get(job.account_id, job.media_id).storage_key).decode()
    queue = CPU if is_local(turn.speech_options, services.toolbox) else IO
    at = count = 0
    for passage in passages(text, longest=PASSAGE):
        _send(turn, count, passage, at, queue)
        at += len(passage)
        count += 1
    return services.jobs.cut_done(turn.hold.lease, at, count)


def _send(turn: Turn, idx: int, passage: str, at: int, queue: str) -> None:
    turn.hold.check()
    end = at + len(passage)
    span = {"index": idx, "audio_start": at, "audio_end": end, "own_start": at, "own_end": end}
    turn.services.storage.put(turn.text_key(idx), passage.encode())
    if turn.services.jobs.add_chunk(turn.hold.lease, idx, span, turn.text_key(idx), queue):
        turn.services.queue.ring_chunk(turn.job.id, idx, queue)


def speak(turn: Turn, chunk: Chunk) -> bool:
    """Speak one passage. True when it was the job's last one."""
    if chunk.sound_key is None:
        raise InputMissing("The passage's text is no longer in storage.")
    services = turn.services
    passage = services.storage.get(chunk.sound_key).decode()
    recital = recite(turn.speech_options.model_copy(update={"input": passage}), services.toolbox)
    turn.hold.check()
    services.storage.put(turn.recital_key, recital_to_bytes(recital))
    usage = spoken(turn.job, passage, recital.samples * 1000 // SAMPLE_RATE)
    return services.jobs.complete_chunk(turn.hold.lease, turn.recital_key, recital.model_used, usage)


def finish(turn: Turn, rows: Sequence[Chunk]) -> None:
    """All passages are spoken: one file of sound, and the transcript of what is said when."""
    services, reading = turn.services, Reading()
    target = turn.speech_options.response_format
    samples = sum(_samples(turn, row) for row in rows)
    with services.storage.writer(turn.speech_key(target)) as writer:
        for block in reading.file(_recitals(turn, rows), target, samples=samples):
            writer.write(block)
    services.storage.put(turn.transcript_key, transcript_to_json(reading.transcript()))
    turn.hold.check()
    sound = {
        "key": turn.speech_key(target),
        "format": target,
        "bytes": writer.bytes,
        "duration": reading.duration / 1000,
    }
    finished = Finished(result_key=turn.transcript_key, model_used=reading.model_used or None, sound=sound)
    services.jobs.finish(turn.hold.lease, finished)
    with contextlib.suppress(StenopoolError):  # what stays is found when the job is purged
        services.storage.delete_prefix(turn.recital_folder)
        services.storage.delete_prefix(turn.sound_folder)


def _recitals(turn: Turn, rows: Sequence[Chunk]) -> Iterator[Recital]:
    for row in rows:
        turn.hold.check()
        yield recital_from_bytes(turn.services.storage.get(_spoken(row)))


def _samples(turn: Turn, row: Chunk) -> int:
    """Told by the object's size and its first block, so that no sound is read twice."""
    size, blocks = turn.services.storage.size(_spoken(row)), turn.services.storage.blocks(_spoken(row))
    if size is None:
        raise InputMissing("A passage's sound is no longer in storage.")
    return recital_samples(next(blocks), size)


def _spoken(row: Chunk) -> str:
    if row.result_key is None:
        raise StenopoolError("A passage was not spoken.", chunk=row.idx)
    return row.result_key
