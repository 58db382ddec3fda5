"""Speech for which an answer has no word is heard once more by itself: nothing said is lost because of what was said beside it.

Recognisers leave whole sentences out where voices change in what they decode at once, and hear the same sentences well alone. What
is heard so goes between the words that are there, unless it looks made up. These calls are not counted as used: the caller asked
once.

Whisper's base model left 47 s out of ten minutes of four readers who take turns every few seconds, and nothing that this would
ask for out of six minutes of single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from pipeline.cut.cutter import Chunk, Span
from pipeline.cut.holes import heard
from pipeline.errors import StenopoolError
from pipeline.options import TranscriptionOptions
from pipeline.quality.coverage import covered
from pipeline.quality.suspects import Speech, judged, shared
from pipeline.recognition.language_pin import pinned_to, wants_pin
from pipeline.stitch.timeline import on_recording
from pipeline.text.segment_words import SegmentWords
from pipeline.transcript import SAMPLES_PER_MS, Heard, Segment, samples_to_ms

Ask = Callable[[bytes, TranscriptionOptions], Heard]

_MS_BYTES = 2 * SAMPLES_PER_MS  # of sound
_NEAR = 300  # ms around a word that count as said with it: times of words are no better, and breath is left out
_LEAST = 1_000  # ms of speech further away from any word than that; below it is a cough more often than a sentence
_MOST = 6  # stretches of a chunk, the longest first
_REFUSED = 2  # of them that nothing can be made of: then it is no speech that was found there


class _Stretch(NamedTuple):
    """From the first to the last speech between two words, with the room that words are granted; ms on the chunk's own sound."""

    start: int
    end: int
    speech: int


def with_omitted(answer: Heard, chunk: Chunk, options: TranscriptionOptions, ask: Ask) -> Heard:
    """The answer, with what `ask` makes of the speech that it has no word for; as it is where `ask` fails."""
    if not answer.segments or not answer.timed or chunk.span.in_doubt or any(one.speaker for one in answer.segments):
        return answer
    speech = _speech(chunk.span)
    careful = options.model_copy(update={"temperature": 0.0})
    if wants_pin(options):
        careful = pinned_to(answer.language, careful)
    more, refused = list[Segment](), 0
    for stretch in sorted(_omitted(speech, answer.segments), key=_longest_first)[:_MOST]:
        try:
            found = _heard_alone(stretch, chunk.pcm, speech, careful, ask)
        except StenopoolError:  # there is an answer, and what it left out shows in its coverage
            break
        more += found
        refused += not found
        if refused == _REFUSED:
            break
    return replace(answer, segments=_between(answer.segments, more)) if more else answer


def _speech(span: Span) -> list[tuple[int, int]]:
    """Where speech was found in the chunk's own sound, of which holes take none; ms."""
    places = ([heard(span.audio_start, at, span.holes) for at in stretch] for stretch in span.speech_map)
    return [(samples_to_ms(start), samples_to_ms(end)) for start, end in places if start < end]


def _omitted(speech: Speech, segments: Sequence[Segment]) -> Iterator[_Stretch]:
    """Between any two words, and before the first and behind the last, what speech there is if it is enough."""
    end = max((stop for _, stop in speech), default=0)
    before = 0
    for start, stop in (*covered(segments, _NEAR), (end, end)):
        if (found := shared(speech, before, start)) >= _LEAST:
            inside = [
                (max(first, before), min(last, start)) for first, last in speech if first < start and last > before
            ]
            yield _Stretch(max(0, inside[0][0] - _NEAR), inside[-1][1] + _NEAR, found)
        before = stop


def _longest_first(stretch: _Stretch) -> tuple[int, int]:
    return -stretch.speech, stretch.start


def _heard_alone(
    stretch: _Stretch, pcm: bytes, speech: Speech, options: TranscriptionOptions, ask: Ask
) -> Sequence[Segment]:
    """What is said there, on the chunk's clock; nothing where any of it looks made up."""
    sound = pcm[stretch.start * _MS_BYTES : stretch.end * _MS_BYTES]
    placed = on_recording(ask(sound, options).segments, stretch.start, len(sound) // _MS_BYTES)
    found = judged(placed, speech)
    return () if any(segment.suspect for segment in found) else found


def _between(segments: Sequence[Segment], more: Sequence[Segment]) -> tuple[Segment, ...]:
    """All of them in order, those parted in the midst of which others were said."""
    parts = list(segments)
    for start in {segment.start for segment in more}:
        parts = [part for segment in parts for part in _parted(segment, start)]
    return tuple(sorted((*parts, *more), key=_start))


def _parted(segment: Segment, at: int) -> Iterator[Segment]:
    before = sum(word.start < at for word in segment.words)
    words = SegmentWords(segment, ())
    for part in (words.part(0, before), words.part(before, len(segment.words))) if segment.words else (segment,):
        if part:
            yield part


def _start(segment: Segment) -> int:
    return segment.start
