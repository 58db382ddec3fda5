"""Which of a job's chunks were handed out: their text is paid, whatever becomes of the job.

Text is readable in order, up to the first chunk that is neither heard nor given up. What is heard behind that is nobody's yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from typing import Any, cast

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.tables.jobs import Chunk, Job
from pipeline.cut.holes import owned_by
from pipeline.lifecycle import ChunkStatus
from pipeline.options import DIARIZED
from pipeline.pricing import Counted, Usage, tokens_from_dict
from pipeline.transcript import TokenUsage, samples_to_ms

SPEECH = "speech"
ChunkRow = Row[int, str, dict[str, Any], dict[str, int] | None, bool]
_FACTS = (col(Chunk.idx), col(Chunk.status), col(Chunk.span), col(Chunk.tokens), col(Chunk.handed_out))


def is_readable_in_part(job: Job) -> bool:
    """Whether a job shows its text before it is whole: not where speakers, channels or tracks are told apart, nor speech."""
    apart = job.request.get("channels") == "separate" or job.request.get("audio_track") == "all"
    speakers = job.request.get("speakers") is not None or job.request.get("response_format") == DIARIZED
    return job.task != SPEECH and not apart and not speakers


def chunk_rows(session: Session, job: Job) -> Sequence[ChunkRow]:
    """What is to be known of all its chunks here, in order."""
    return session.execute(select(*_FACTS).where(col(Chunk.job_id) == job.id).order_by(col(Chunk.idx))).all()


def handed_out(rows: Iterable[ChunkRow]) -> list[ChunkRow]:
    """Those that were."""
    return [row for row in rows if row.handed_out and row.status == ChunkStatus.COMPLETED]


def unread(job: Job, rows: Iterable[ChunkRow]) -> list[ChunkRow]:
    """Those that could be handed out now, and have not been."""
    ended = takewhile(lambda row: row.status in (ChunkStatus.COMPLETED, ChunkStatus.FAILED), rows)
    heard = [row for row in ended if row.status == ChunkStatus.COMPLETED and not row.handed_out]
    return heard if is_readable_in_part(job) else []


def usage_of(job: Job, rows: Sequence[ChunkRow]) -> Usage:
    """What these chunks used. Those of a text count characters."""
    size = sum(owned_by(row.span) for row in rows)
    counts = [tokens for row in rows if (tokens := tokens_from_dict(row.tokens))]
    tokens = sum(counts, TokenUsage()) if counts else None
    if job.task == SPEECH:
        return Usage(characters=size, tokens=tokens, counted=counted_as(job))
    return Usage(audio_ms=samples_to_ms(size), tokens=tokens, counted=counted_as(job))


def counted_as(job: Job) -> Counted:
    """Whose count the job's tokens are."""
    return cast("Counted", job.counted)  # a column of text


def mark(session: Session, job: Job, chunks: Collection[int] | None = None) -> None:
    """These of its heard chunks are handed out; None: all that are heard."""
    these = [
        col(Chunk.job_id) == job.id,
        col(Chunk.status) == ChunkStatus.COMPLETED,
        col(Chunk.handed_out).is_(False),
    ]
    if chunks is not None:
        these.append(col(Chunk.idx).in_(chunks))
    session.execute(select(col(Chunk.idx)).where(*these).order_by(col(Chunk.idx)).with_for_update())
    session.execute(update(Chunk).where(*these).values(handed_out=True).execution_options(synchronize_session=False))
