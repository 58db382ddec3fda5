"""Text that a recogniser may have made up: flagged with the reason, never deleted.

no_speech        text where our own detector hears next to nothing, or music, or where the provider itself took it for silence
repetition       a phrase said over and over; two times count as said, the rest becomes a segment of its own
too_fast         more than anybody says in that time
prompt_echo      the caller's own prompt, word for word
low_confidence   the provider itself was not sure of the segment; what it says of single words is not asked, because engines
                 differ in what they mean by it (PocketSphinx gives right words a tenth)
phantom          what recognisers are known to write where nobody speaks (pipeline.quality.phantoms)
clock            times outside of the chunk (pipeline.stitch.timeline)
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from operator import eq
from typing import Literal

from pipeline.quality.phantoms import phantoms
from pipeline.text.segment_words import SegmentWords
from pipeline.text.word_match import normal
from pipeline.transcript import Segment, Transcript

Shown = Literal["keep", "mark", "drop"]
Speech = Sequence[tuple[int, int]]  # ms, in order

_LEAST_SPEECH = 250  # ms
_AROUND = 300  # ms; how far a provider's times may be off
_LOOP_SIZES = range(1, 9)  # words in a repeated phrase
_LOOPS, _SINGLE_LOOPS = 4, 8  # repetitions of a phrase, and of a single word; "no, no, no, no" is said
_SAID = 2  # repetitions that are believed
_FASTEST_CHARACTERS, _FASTEST_WORDS = 30, 7  # a second
_LONG_CHARACTERS, _LONG_WORDS = 40, 10  # shorter texts are too short for a rate
_ECHO_WORDS, _ECHO = 4, 0.8  # words in a row that are the prompt's, and their share of the segment
_UNSURE_LOGPROB, _UNSURE_NO_SPEECH = -1.0, 0.9  # as whisper itself rejects a decoding; beyond what it calls silence
_REPETITIVE = 2.4  # compression ratio, as whisper has it


def judged(segments: Sequence[Segment], speech: Speech, *, in_doubt: bool = False) -> list[Segment]:
    """The same text in the same order, with reasons; all times on one clock. Without `speech` nothing is said about it.

    `in_doubt`: the chunk was sent although hardly any speech was found in it.
    """
    doubt = ("no_speech",) if in_doubt else ()
    apart = list(_loops_apart(segments, speech))
    return [
        flagged(segment, *doubt, *_reasons(segment, speech), *(("phantom",) if phantom else ()))
        if segment.text
        else segment
        for segment, phantom in zip(apart, phantoms(apart), strict=True)
    ]


def echoes(segments: Sequence[Segment], prompt: str | None) -> list[Segment]:
    """The same, with the prompt's own words flagged."""
    told = [normal(word) for word in (prompt or "").split()]
    return [flagged(segment, "prompt_echo") if _echo(segment.text, told) else segment for segment in segments]


def flagged(segment: Segment, *reasons: str) -> Segment:
    """With these reasons as well."""
    return replace(segment, suspect=tuple(dict.fromkeys((*segment.suspect, *reasons)))) if reasons else segment


def _reasons(segment: Segment, speech: Speech) -> Iterator[str]:
    if speech and shared(speech, segment.start - _AROUND, segment.end + _AROUND) < _LEAST_SPEECH:
        yield "no_speech"
    if (segment.compression_ratio or 0.0) > _REPETITIVE:
        yield "repetition"
    if _hasty(segment):
        yield "too_fast"
    unsure = segment.avg_logprob is not None and segment.avg_logprob < _UNSURE_LOGPROB
    if unsure or (segment.no_speech_prob or 0.0) > _UNSURE_NO_SPEECH:
        yield "low_confidence"


def shared(speech: Speech, start: int, end: int) -> int:
    """How many ms of speech lie between two moments."""
    total = 0
    for at in range(bisect_left(speech, (end, end)) - 1, -1, -1):
        begin, stop = speech[at]
        if stop <= start:
            break
        total += min(stop, end) - max(begin, start)
    return total


def _hasty(segment: Segment) -> bool:
    length, characters, words = segment.end - segment.start, len(segment.text), len(segment.text.split())
    return (characters > _LONG_CHARACTERS and characters * 1000 > _FASTEST_CHARACTERS * length) or (
        words > _LONG_WORDS and words * 1000 > _FASTEST_WORDS * length
    )


def _echo(text: str, prompt: Sequence[str]) -> bool:
    words = [normal(word) for word in text.split()]
    if len(words) < _ECHO_WORDS or len(prompt) < _ECHO_WORDS:
        return False
    longest, before = 0, [0] * (len(prompt) + 1)
    for word in words:
        row = [0] + [before[at] + 1 if word == told else 0 for at, told in enumerate(prompt)]
        longest, before = max(longest, *row), row
    return longest >= max(_ECHO_WORDS, _ECHO * len(words))


def _loops_apart(segments: Sequence[Segment], speech: Speech) -> Iterator[Segment]:
    """Segments divided where a loop begins and ends, the loops flagged."""
    said = [word.text for segment in segments for word in segment.words]
    if not _may_loop(said or [word for segment in segments for word in segment.text.split()]):
        yield from segments
        return
    worded = [SegmentWords(segment, speech) for segment in segments]
    loops = list(_loops([normal(token.text) for one in worded for token in one.tokens]))
    at = 0
    for one in worded:
        end = at + len(one.tokens)
        yield from _divided(one, [(max(first, at) - at, min(last, end) - at) for first, last in loops])
        at = end


def _may_loop(words: Sequence[str]) -> bool:
    """Whether any phrase is repeated often enough, found without looking at every word from Python."""
    plain = list(map(normal, words))
    frequent = {word for word, count in Counter(plain).items() if count >= _LOOPS}
    in_a_row = bytes(map(frequent.__contains__, plain)).split(b"\0")
    longest = max(map(len, in_a_row))
    for size in _LOOP_SIZES:
        if size + _least(size) > longest:
            continue
        again = bytes(map(eq, plain, islice(plain, size, None)))
        if b"\x01" * _least(size) in again:
            return True
    return False


def _least(size: int) -> int:
    """How many words in a row equal the one a phrase before them, where this long a phrase loops."""
    return size * ((_SINGLE_LOOPS if size == 1 else _LOOPS) - 1)


def _divided(one: SegmentWords, loops: Sequence[tuple[int, int]]) -> Iterator[Segment]:
    at = 0
    for first, last in (loop for loop in loops if loop[0] < loop[1]):
        if clean := one.part(at, first):
            yield clean
        if loop := one.part(first, last):
            yield flagged(loop, "repetition")
        at = last
    if rest := one.part(at, len(one.tokens)):
        yield rest


def _loops(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """[first, last) of the words that only repeat what has been said twice."""
    at = 0
    while at < len(words):
        found = max((_loop(words, at, size) for size in _LOOP_SIZES), key=lambda loop: loop[1] - loop[0])
        if found[0] < found[1]:
            yield found
            at = found[1]
        else:
            at += 1


def _loop(words: Sequence[str], at: int, size: int) -> tuple[int, int]:
    """The superfluous part of the loop of this many words that begins here; empty if there is none."""
    end = at + size
    while end < len(words) and words[end] == words[end - size]:
        end += 1
    enough = end - at - size >= _least(size)
    return (at + _SAID * size, end) if enough else (at, at)


def shown(transcript: Transcript, how: Shown) -> Transcript:
    """As a reader wants to see it: the suspects like the rest, in brackets, or not at all."""
    if how == "keep":
        return transcript
    if how == "drop":
        return replace(transcript, segments=tuple(one for one in transcript.segments if not one.suspect))
    return replace(transcript, segments=tuple(_bracketed(one) for one in transcript.segments))


def _bracketed(segment: Segment) -> Segment:
    return replace(segment, text=f"[? {segment.text.strip()} ?]") if segment.suspect else segment
