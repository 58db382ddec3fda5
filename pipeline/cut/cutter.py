"""A stream of samples in, chunks out, cut in silence.

All bookkeeping is in integer samples at 16 kHz on the recording's clock. A chunk *owns* `[own_start, own_end)`; the owned
stretches tile the recording. What a provider hears, `[audio_start, audio_end)`, reaches further than that at a forced seam
(so that the stitcher can choose where to switch) and less far where the chunk begins or ends in silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cut.gate import ChunkSound
from pipeline.cut.holes import Hole, heard, holes_from, owned
from pipeline.cut.music_detector import MusicDetector
from pipeline.cut.pauses import Place, Reach, find_cut
from pipeline.cut.vad import AT_ONCE, BATCH, FRAME, LOOK_AHEAD, Frames, SpeechDetector, joined, runs, sounding, speech
from pipeline.transcript import SAMPLE_RATE

ENOUGH_SPEECH = SAMPLE_RATE // 4  # with less found, what is sent is sent in doubt: half a word, or a door

_STEP = BATCH * FRAME  # samples that become known at once
_PIECE = AT_ONCE * FRAME  # samples measured at once
_SEARCH = 15 * SAMPLE_RATE  # at most so far before the end a forced cut looks for its place, and a quarter of the chunk
_SOFT, _HARD = SAMPLE_RATE // 2, 3 * SAMPLE_RATE // 2  # overlap on each side of the cut
_BRIDGE = round(0.3 * SAMPLE_RATE)  # gaps in the speech map below this are breath
_FREE_EDGES = ("start", "silence", "end")
_STRETCHES = ("speech_map", "left_out", "holes")


@dataclass(frozen=True)
class CutProfile:
    """How a provider wants its chunks: no longer than `max_s`, no shorter than `min_s` unless the recording is.

    The first one is no longer than `first_s`, and may be half as long: for one who reads while it is heard. Without the gate every
    chunk that is not digital silence is sent, and sent whole.
    """

    max_s: float = 30.0
    min_s: float = 10.0
    gated: bool = True
    first_s: float | None = None

    def __post_init__(self) -> None:
        assert self.max_s >= 1 and 0 <= self.min_s <= self.max_s, self
        assert self.first_s is None or 1 <= self.first_s <= self.max_s, self

    @property
    def first(self) -> CutProfile:
        """That of the first chunk."""
        if self.first_s is None:
            return self
        return replace(self, max_s=self.first_s, min_s=min(self.min_s, self.first_s / 2))


@dataclass(frozen=True, slots=True)
class Span:
    """Where a chunk lies. Samples at 16 kHz; edges are "start", "silence", "soft", "hard" or "end".

    `speech_map` lists the stretches of speech on the recording's clock; `switch_point` is the best place near the right edge to
    change from this chunk's words to the next one's. `left_out` are the stretches of what it owns that no provider hears, each
    with the reason (pipeline.cut.gate).
    """

    index: int
    audio_start: int
    audio_end: int
    own_start: int
    own_end: int
    left_edge: str
    right_edge: str
    speech_samples: int
    speech_map: tuple[tuple[int, int], ...]
    switch_point: int
    channel: int | None = None  # from 0, where each is heard by itself
    track: int | None = None  # from 1, where several are heard
    is_sent: bool = True  # whether a provider hears it at all
    in_doubt: bool = False  # sent although our own detector hears next to no speech in it, or music
    left_out: tuple[tuple[int, int, str], ...] = ()
    holes: tuple[Hole, ...] = ()  # on the clock, within it

    @property
    def owned(self) -> int:
        """How many samples of the recording's sound it owns: what is counted and paid."""
        return owned(self.own_start, self.own_end, self.holes)

    @property
    def heard(self) -> int:
        """How many samples a provider hears."""
        return heard(self.audio_start, self.audio_end, self.holes)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span with its sound: s16le mono for `[audio_start, audio_end)`, or nothing when it is not sent."""

    span: Span
    pcm: bytes


def span_as_dict(span: Span) -> dict[str, Any]:
    """Plain JSON values, for the chunks table."""
    values = asdict(span) | {name: [list(stretch) for stretch in getattr(span, name)] for name in _STRETCHES}
    if not span.holes:
        del values["holes"]  # most have none, and a process of before knows of none
    return values


def span_from_dict(values: Mapping[str, Any]) -> Span:
    """The inverse of `span_as_dict`, also after a trip through JSON; of a row of before, speech alone told what was sent."""
    sent = {"is_sent": values["speech_samples"] >= ENOUGH_SPEECH}
    stretches = {name: tuple(map(tuple, values.get(name, ()))) for name in _STRETCHES}
    return Span(**{**sent, **values, **stretches, "holes": holes_from(values)})


def cut(blocks: Iterable[bytes], profile: CutProfile) -> Iterator[Chunk]:
    """Cut a stream of s16le mono 16 kHz blocks; each chunk is yielded as soon as it is decided.

    Memory is that of one chunk, whatever the recording's length, and the result does not depend on the sizes of the blocks.
    """
    cutter = _Cutter(profile)
    for block in blocks:
        yield from cutter.take(block)
    yield from cutter.finish()


class _Cutter:
    """The chunk that is being collected: its sound, what was measured in it, and where it began."""

    def __init__(self, profile: CutProfile) -> None:
        self._profile, self._gated = profile, profile.gated
        self._aim_at(profile.first)
        self._detector, self._music = SpeechDetector(), MusicDetector()
        self._pcm, self._pcm_start = bytearray(), 0
        self._measured, self._known = Measured(), 0
        self._index, self._own_start, self._audio_start, self._left_edge = 0, 0, 0, "start"

    def _aim_at(self, profile: CutProfile) -> None:
        self._longest, self._shortest = round(profile.max_s * SAMPLE_RATE), round(profile.min_s * SAMPLE_RATE)
        self._search = min(self._longest // 4, _SEARCH)
        self._rest = max(self._shortest // 4, _STEP)  # a last chunk has at least this much, so we wait to see it
        self._overlap = {"silence": 0, "soft": min(_SOFT, self._longest // 16), "hard": min(_HARD, self._longest // 8)}

    def take(self, block: bytes) -> Iterator[Chunk]:
        self._pcm += block
        while self._pcm_start + len(self._pcm) // 2 >= self._known + _PIECE:
            yield from self._measure(self._known + _PIECE)

    def finish(self) -> Iterator[Chunk]:
        if (end := self._pcm_start + len(self._pcm) // 2) > self._known:
            yield from self._measure(end)
        while self._known - self._audio_start > self._longest:
            yield self._next()
        if self._known > self._own_start:
            yield self._chunk(Place(self._known, "end"), self._known)

    def _measure(self, until: int) -> Iterator[Chunk]:
        """A batch is known after the other, as if each were measured alone: what comes later decides nothing yet."""
        for batch in self._detector.measure(self._sound(self._known, until)):
            self._measured.add(batch)
            self._known = min(self._known + _STEP, until)
            if self._known >= self._audio_start + self._longest + self._rest:
                yield self._next()

    def _next(self) -> Chunk:
        """End the chunk at the best place and begin the next one, which shares the overlap of a forced seam."""
        place = find_cut(self._measured.frames(), self._measured.start, self._reach())
        overlap = self._overlap[place.kind]
        chunk = self._chunk(place, min(place.at + overlap, self._known))
        self._index, self._own_start, self._left_edge = self._index + 1, place.at, place.kind
        self._audio_start = max(place.at - overlap, self._audio_start)
        del self._pcm[: 2 * (self._audio_start - self._pcm_start)]
        self._pcm_start = self._audio_start
        self._measured.forget(self._audio_start)
        self._aim_at(self._profile)
        return chunk

    def _reach(self) -> Reach:
        earliest, rest = self._own_start + self._shortest, self._known - self._rest
        ends = {kind: min(self._audio_start + self._longest - lap, rest) for kind, lap in self._overlap.items()}
        soft, hard = (max(earliest, ends[kind] - self._search) for kind in ("soft", "hard"))
        starts = {"silence": earliest, "soft": soft, "hard": hard}
        return Reach(**{kind: (min(starts[kind], end), end) for kind, end in ends.items()})

    def _chunk(self, place: Place, audio_end: int) -> Chunk:
        frames, origin, first, last = self._measured.frames(), self._measured.start, self._audio_start, audio_end
        spoke = speech(frames)
        stretches = _clipped(runs(spoke), origin, first, last)
        spoken = sum(end - start for start, end in stretches)
        own = frames[(self._own_start - origin) // FRAME : -(-(place.at - origin) // FRAME)]
        whole = self._left_edge == "start" and place.kind == "end"
        sound, sure = ChunkSound(self._sound(first, last), first, frames, origin, whole), spoken >= ENOUGH_SPEECH
        in_doubt = self._music.kept_in(own) or not sure
        audible = runs(sounding(frames) | frames.voiced if sure else spoke)
        kept = self._kept(sound, _clipped(audible, origin, first, last), place.kind, sure=sure)
        left_out = tuple(sound.left_out((self._own_start, place.at), kept))
        span = Span(
            self._index, *(kept or (first, last)), self._own_start, place.at, self._left_edge, place.kind,
            spoken, _bridged(stretches), place.at, is_sent=kept is not None, in_doubt=in_doubt, left_out=left_out,
        )  # fmt: skip
        return Chunk(span, sound.between(*kept) if kept else b"")

    def _kept(
        self, sound: ChunkSound, audible: list[tuple[int, int]], edge: str, *, sure: bool
    ) -> tuple[int, int] | None:
        """What of it is sent, from where to where; a forced seam needs the sound up to its end."""
        if not self._gated:
            return sound.unless_digital_silence()
        return sound.worth_hearing(audible, sure=sure, free=(self._left_edge in _FREE_EDGES, edge in _FREE_EDGES))

    def _sound(self, start: int, end: int) -> bytes:
        with memoryview(self._pcm) as sound:
            return bytes(sound[2 * (start - self._pcm_start) : 2 * (end - self._pcm_start)])


class Measured:
    """The frames of the current chunk and a second before it, each with the levels of its surroundings."""

    def __init__(self) -> None:
        self.start = 0  # sample
        self._parts: deque[Frames] = deque()

    def add(self, frames: Frames) -> None:
        """The next batch of measurements."""
        self._parts.append(frames)

    def forget(self, before: int) -> None:
        """Drop the batches that ended more than a second before this sample."""
        while self._parts and self.start + _STEP + SAMPLE_RATE < before:
            self._parts.popleft()
            self.start += _STEP

    def frames(self) -> Frames:
        """Everything kept; floor and peak are those known some batches later, because the past alone tells little."""
        parts = list(self._parts)
        later = [parts[min(at + LOOK_AHEAD, len(parts) - 1)] for at in range(len(parts))]
        lengths = [len(part) for part in parts]
        floor, peak = (np.repeat([getattr(then, name)[0] for then in later], lengths) for name in ("floor", "peak"))
        return replace(joined(parts), floor=floor, peak=peak)


def _clipped(stretches: NDArray[np.intp], origin: int, first: int, last: int) -> list[tuple[int, int]]:
    """Frame numbers as samples, inside [first, last)."""
    samples = np.clip(stretches * FRAME + origin, first, last).tolist()
    return [(start, end) for start, end in samples if start < end]


def _bridged(stretches: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same with the short gaps closed."""
    bridged: list[tuple[int, int]] = []
    for start, end in stretches:
        if bridged and start - bridged[-1][1] < _BRIDGE:
            bridged[-1] = (bridged[-1][0], end)
        else:
            bridged.append((start, end))
    return tuple(bridged)
