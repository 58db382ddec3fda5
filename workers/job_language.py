"""The language that a job keeps: read off its first chunks' answers, so that no crash can lose it and no row need hold it."""

from __future__ import annotations

from collections import OrderedDict

from infra.database.tables.jobs import Chunk
from pipeline.cut.cutter import span_from_dict
from pipeline.lifecycle import ChunkStatus
from pipeline.options import TranscriptionOptions
from pipeline.recognition.language_pin import VOTERS, may_vote, pinned, pinned_to, wants_pin
from pipeline.transcript import heard_from_json
from workers.job_context import JobContext

_REMEMBERED = 256  # jobs
_TERMINAL = (ChunkStatus.COMPLETED, ChunkStatus.FAILED)


class Languages:
    """What this process has found out; once a job's voters have answered, their answer never changes."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, str | None] = OrderedDict()

    def options(self, context: JobContext, chunk: Chunk) -> TranscriptionOptions:
        """The job's options, with the language that its first chunks agree on once they all have answered."""
        options, job_id = context.options, context.job.id
        if chunk.idx < VOTERS or not wants_pin(options):
            return options
        if job_id not in self._found:
            voters = [row for row in context.services.jobs.chunks(job_id) if may_vote(span_from_dict(row.span))][
                :VOTERS
            ]
            if len(voters) < VOTERS or any(row.status not in _TERMINAL for row in voters):
                return options
            self._found[job_id] = _agreed(context, options, voters)
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        return pinned_to(self._found[job_id], options)


def _agreed(context: JobContext, options: TranscriptionOptions, voters: list[Chunk]) -> str | None:
    keys = [row.result_key for row in voters if row.result_key]
    return pinned(options, [heard_from_json(context.services.storage.get(key)) for key in keys]).language
