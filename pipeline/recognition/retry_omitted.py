"""Speech for which an answer has no word is heard once more by itself: nothing said is lost because of what was said beside it.

Recognisers leave whole sentences out where voices change in what they decode at once, and hear the same sentences well alone. What
is heard so goes between the words that are there, unless it looks made up, or the words beside it are the same: then they are there
already, and it is their times that are off. These calls are not counted as used: the caller asked once.

Whisper's base model left 47 s out of ten minutes of four readers who take turns every few seconds, and nothing that this would
ask for out of six minutes of single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
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
from pipeline.text.word_match import normal
from pipeline.transcript import SAMPLES_PER_MS, Heard, Segment, Word, samples_to_ms

Ask = Callable[[bytes, TranscriptionOptions], Heard]

_MS_BYTES = 2 * SAMPLES_PER_MS  # of sound
_NEAR = 300  # ms around a word that count as said with it: times of words are no better, and breath is left out
_LEAST = 1_000  # ms of speech further away from any word than that; below it is a cough more often than a sentence
_MOST = 6  # stretches of a chunk, the longest first
_BESIDE = 3_000  # ms on either side, and what segments reach in there, where the same words are looked for
_SAME = 0.5  # of the words, in their order
_REFUSED = 2  # of them that nothing can be made of: then it is no speech that was found there


class _Stretch(NamedTuple):
    """From the first to the last speech between two words, with the room that words are granted; ms on the chunk's own sound."""

    start: int
    end: int
    speech: int


def with_omitted(answer: Heard, chunk: Chunk, options: TranscriptionOptions, ask: Ask) -> Heard:
    """The answer, with what `ask` makes of the speech that it has no word for; as it is where `ask` fails."""
    if not _has_timed_words(answer) or chunk.span.in_doubt:
        return answer
    careful = options.model_copy(update={"temperature": 0.0})
    if wants_pin(options):
        careful = pinned_to(answer.language, careful)
    more = [segment for some in _found(answer, chunk, careful, ask) for segment in some]
    return replace(answer, segments=_between(answer.segments, more)) if more else answer


def _found(answer: Heard, chunk: Chunk, options: TranscriptionOptions, ask: Ask) -> Iterator[Sequence[Segment]]:
    """Stretch by stretch, what is said there and not in the answer."""
    speech, refused = _speech(chunk.span), 0
    for stretch in sorted(_omitted(speech, answer.segments), key=_longest_first)[:_MOST]:
        try:
            told = _heard_alone(stretch, chunk.pcm, speech, options, ask)
        except StenopoolError:  # there is an answer, and what it left out shows in its coverage
            return
        if told and not _are_there(told, answer.segments):
            yield told
        elif (refused := refused + 1) == _REFUSED:
            return


def _has_timed_words(answer: Heard) -> bool:
    """Whether it has words with times. Letters of speakers would not be the same in what is heard alone."""
    return bool(answer.segments) and answer.timed and all(one.words and not one.speaker for one in answer.segments)


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
    """What is said there, on the chunk's clock; nothing where any of it looks made up, or has no times."""
    sound = pcm[stretch.start * _MS_BYTES : stretch.end * _MS_BYTES]
    placed = on_recording(ask(sound, options).segments, stretch.start, len(sound) // _MS_BYTES)
    found = judged(placed, speech)
    return () if any(segment.suspect or not segment.words for segment in found) else found


def _are_there(found: Sequence[Segment], segments: Sequence[Segment]) -> bool:
    words = _words(found)
    if not words:
        return False
    first, last = words[0].start - _BESIDE, words[-1].end + _BESIDE
    beside = _words([segment for segment in segments if first < segment.end and segment.start < last])
    mine, theirs = ([normal(word.text) for word in side] for side in (words, beside))
    blocks = SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) >= _SAME * len(mine)


def _words(segments: Sequence[Segment]) -> list[Word]:
    return [word for segment in segments for word in segment.words]


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
