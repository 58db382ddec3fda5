"""Jobs that are read while they run: what their finished chunks say, each fetched and stitched once, however often it is asked."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from infra.database.tables.jobs import Chunk
from infra.wiring import Services
from pipeline.cut.cutter import span_from_dict
from pipeline.lifecycle import ChunkStatus
from pipeline.quality.omissions import failed_chunk
from pipeline.stitch.stitcher import Stitcher
from pipeline.transcript import Gap, Heard, Segment, Transcript, heard_from_json, samples_to_ms, transcript_from_json

_JOBS, _TRANSCRIPTS = 8, 4  # remembered; ten hours of speech take about 40 MB


class ReadChunk(NamedTuple):
    """One that text was read from. `end`: of its own sound, in ms on the recording's clock."""

    idx: int
    end: int
    handed_out: bool


@dataclass(frozen=True)
class SoFar:
    """The segments that are certain by now; `chunks` are those they come from, none where all of it is paid."""

    segments: Sequence[Segment]
    chunks: Sequence[ReadChunk] = ()

    def source(self, number: int) -> ReadChunk:
        """The chunk that a segment comes from."""
        return self.chunks[self._at(number)]

    def sources(self, numbers: Sequence[int]) -> list[ReadChunk]:
        """Every chunk that these segments come from, and the silence before each of them."""
        spans = (range(min(self._at(number - 1) + 1, self._at(number)), self._at(number) + 1) for number in numbers)
        return [self.chunks[at] for at in sorted({at for span in spans for at in span})]

    def _at(self, number: int) -> int:
        if number < 0:
            return -1
        segment = self.segments[number]
        return min(bisect_right(self._ends, (segment.start + segment.end) // 2), len(self.chunks) - 1)

    @cached_property
    def _ends(self) -> list[int]:
        return [chunk.end for chunk in self.chunks]


class TranscriptCache:
    """Called from any thread. Forgets what was asked for least recently."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readings: OrderedDict[str, _Reading] = OrderedDict()
        self._transcripts: OrderedDict[str, Transcript] = OrderedDict()

    def so_far(self, services: Services, job_id: str) -> SoFar:
        """What is certain by now: of the finished chunks up to the first unfinished one. Raises StorageUnavailable."""
        with self._lock:
            reading = self._readings.setdefault(job_id, _Reading())
            self._readings.move_to_end(job_id)
            while len(self._readings) > _JOBS:
                self._readings.popitem(last=False)
        return reading.read(services, services.jobs.chunks(job_id))

    def transcript(self, services: Services, key: str) -> Transcript:
        """The finished job's transcript; its object never changes. Raises InputMissing, StorageUnavailable."""
        with self._lock:
            known = self._transcripts.get(key)
        whole = known or transcript_from_json(services.storage.get(key))
        with self._lock:
            self._transcripts[key] = whole
            self._transcripts.move_to_end(key)
            while len(self._transcripts) > _TRANSCRIPTS:
                self._transcripts.popitem(last=False)
        return whole


class _Reading:
    """One job, read up to somewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start_over()

    def _start_over(self) -> None:
        self._stitcher = Stitcher()
        self._taken: list[str] = []
        self._settled: Sequence[Segment] = ()

    def read(self, services: Services, rows: Sequence[Chunk]) -> SoFar:
        with self._lock:
            ready = _ready(rows)
            if self._taken != ready[: len(self._taken)]:  # a chunk was heard anew, or the recording cut anew
                self._start_over()
            fresh = rows[len(self._taken) : len(ready)]
            for row in fresh:
                self._stitcher.add(span_from_dict(row.span), _part(services, row))
                self._taken.append(_source(row))
            if fresh:
                self._settled = self._stitcher.settled
            return SoFar(self._settled, [_read_chunk(row) for row in rows[: len(self._taken)]])


def _ready(rows: Sequence[Chunk]) -> list[str]:
    """Where the finished chunks up to the first unfinished one have their text from."""
    found = []
    for row in rows:
        if row.status not in (ChunkStatus.COMPLETED, ChunkStatus.FAILED):
            break
        found.append(_source(row))
    return found


def _source(row: Chunk) -> str:
    return f"{row.status} {row.result_key} {row.span['own_end']}"


def _read_chunk(row: Chunk) -> ReadChunk:
    return ReadChunk(row.idx, samples_to_ms(int(row.span["own_end"])), row.handed_out)


def _part(services: Services, row: Chunk) -> Heard | Gap:
    if row.status == ChunkStatus.FAILED:
        return failed_chunk(row.idx, row.span, row.error)
    return heard_from_json(services.storage.get(row.result_key)) if row.result_key else Heard()
