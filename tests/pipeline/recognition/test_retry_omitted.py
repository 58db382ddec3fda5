"""What an answer leaves out is heard by itself and stands in its place; nobody is asked again where nothing is missing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cut.cutter import Chunk, CutProfile, cut
from pipeline.cut.holes import Hole
from pipeline.errors import ProviderUnavailable
from pipeline.options import TranscriptionOptions
from pipeline.oracle.ear import listen
from pipeline.provider_protocol import phrases
from pipeline.recognition.retry_omitted import with_omitted
from pipeline.transcript import Heard, Segment, Word, samples_to_ms
from tests.pipeline import sounds

OPTIONS = TranscriptionOptions(model="m", temperature=0.4)
LEAST = (
    1_600  # ms without a word, all of it speech, that are always asked for: 1 s and what is granted to the words beside
)
Calls = list[tuple[int, TranscriptionOptions]]


@cache
def a_chunk() -> Chunk:
    (made,) = cut([sounds.oracle("dense", 28)[0]], CutProfile())
    return made


@pytest.fixture
def chunk() -> Chunk:
    return a_chunk()


@cache
def truly(pcm: bytes) -> Heard:
    words = [Word(word.text, samples_to_ms(word.start), samples_to_ms(word.end)) for word in listen(pcm)]
    return Heard(tuple(phrases(words, pause_ms=250)), "en", "real")


def as_heard(text: str, **figures: Any) -> Heard:
    """Its words spread over a second and a half."""
    words = text.split()
    spread = tuple(
        Word(word, 1_500 * at // len(words), 1_500 * (at + 1) // len(words)) for at, word in enumerate(words)
    )
    return Heard((Segment(text, 0, 1_500, spread, **figures),), "en", "real")


def later(heard: Heard, by: int) -> Heard:
    """The same on a clock that is off by so many ms."""
    words = [replace(word, start=word.start + by, end=word.end + by) for word in said(heard)]
    return replace(heard, segments=tuple(phrases(words, pause_ms=250)))


def bunched(heard: Heard) -> Heard:
    """Of one who has each sentence's words follow one another at its beginning."""
    return replace(heard, segments=tuple(map(_bunched, heard.segments)))


def _bunched(one: Segment) -> Segment:
    at = range(one.start, one.end, 50)
    return replace(one, words=tuple(replace(word, start=t, end=t) for word, t in zip(one.words, at, strict=False)))


def without(heard: Heard, *stretches: tuple[int, int]) -> Heard:
    """The answer of one who has left out what is said there."""
    words = [word for word in said(heard) if not any(word.start < end and start < word.end for start, end in stretches)]
    return replace(heard, segments=tuple(phrases(words, pause_ms=2_000)))


def said(heard: Heard) -> list[Word]:
    return [word for segment in heard.segments for word in segment.words]


def asker(ear: Callable[[bytes], Heard] = truly) -> tuple[Calls, Callable[[bytes, TranscriptionOptions], Heard]]:
    calls: Calls = []

    def ask(pcm: bytes, options: TranscriptionOptions) -> Heard:
        calls.append((samples_to_ms(len(pcm) // 2), options))
        return ear(pcm)

    return calls, ask


def alike(found: Sequence[Word], true: Sequence[Word]) -> bool:
    near = all(abs(a.start - b.start) <= 1 and abs(a.end - b.end) <= 1 for a, b in zip(found, true, strict=False))
    return [word.text for word in found] == [word.text for word in true] and near


@pytest.mark.parametrize(
    "stretches",
    [[(0, 4_000)], [(9_000, 13_000)], [(24_000, 28_000)], [(2_000, 5_000), (12_000, 14_500), (20_000, 28_000)]],
    ids=["first", "inside", "last", "several"],
)
def test_what_was_left_out_stands_in_its_place(chunk: Chunk, stretches: list[tuple[int, int]]) -> None:
    whole = truly(chunk.pcm)
    calls, ask = asker()
    found = with_omitted(without(whole, *stretches), chunk, OPTIONS, ask)
    assert alike(said(found), said(whole))
    assert " ".join(segment.text for segment in found.segments).split() == [word.text for word in said(whole)]
    assert len(calls) == len(stretches)
    assert sum(length for length, _ in calls) <= sum(end - start for start, end in stretches) + 1_000 * len(stretches)
    assert (found.language, found.model_used) == ("en", "real")


@given(st.lists(st.tuples(st.integers(0, 27_000), st.integers(100, 6_000)), max_size=4))
@settings(max_examples=40)
def test_wherever_much_was_left_out_it_is_found(pieces: list[tuple[int, int]]) -> None:
    made = a_chunk()
    whole = truly(made.pcm)
    first = without(whole, *((start, start + length) for start, length in pieces))
    found = with_omitted(first, made, OPTIONS, asker()[1]) if first.segments else whole
    words = said(found)
    assert {(word.text, round(word.start, -1)) for word in said(first)} <= {(w.text, round(w.start, -1)) for w in words}
    assert [word.start for word in words] == sorted(word.start for word in words)
    edges = [0, *(edge for word in words for edge in (word.start, word.end)), samples_to_ms(len(made.pcm) // 2)]
    assert all(after - before < LEAST for before, after in zip(edges[::2], edges[1::2], strict=True))


def test_nobody_is_asked_where_nothing_is_missing(chunk: Chunk) -> None:
    calls, ask = asker()
    whole = truly(chunk.pcm)
    assert with_omitted(whole, chunk, OPTIONS, ask) is whole
    assert calls == []


@pytest.mark.parametrize(
    "made_up",
    [
        Heard((), "en", "real"),
        as_heard("Thank you for watching!"),
        as_heard("who would say so much in so little time " * 9),
        as_heard("unsure", avg_logprob=-1.4),
        as_heard("echoed", suspect=("prompt_echo",)),
        Heard((Segment("no times", 0, 1_500),), "en", "real"),
    ],
    ids=["nothing", "phantom", "too fast", "unsure", "echo", "no times"],
)
def test_what_looks_made_up_is_left_out_and_soon_nobody_is_asked(chunk: Chunk, made_up: Heard) -> None:
    first = without(truly(chunk.pcm), (0, 4_000), (8_000, 12_000), (16_000, 20_000))
    calls, ask = asker(lambda _: made_up)
    assert with_omitted(first, chunk, OPTIONS, ask) is first
    assert len(calls) == 2


@pytest.mark.parametrize(
    "ear",
    [lambda pcm: later(truly(pcm), -2_500), lambda pcm: later(truly(pcm), 1_500), lambda pcm: bunched(truly(pcm))],
    ids=["early", "late", "bunched"],
)
def test_where_times_are_off_nothing_is_said_twice(chunk: Chunk, ear: Callable[[bytes], Heard]) -> None:
    first = ear(chunk.pcm)
    found = with_omitted(first, chunk, OPTIONS, asker(ear)[1])
    assert [word.text for word in said(found)] == [word.text for word in said(first)]


def test_who_fails_costs_nothing_that_was_heard(chunk: Chunk) -> None:
    def ear(pcm: bytes) -> Heard:
        if calls[1:]:
            raise ProviderUnavailable(provider="p")
        return truly(pcm)

    whole = truly(chunk.pcm)
    calls, ask = asker(ear)
    found = with_omitted(without(whole, (0, 6_000), (10_000, 14_000), (20_000, 23_000)), chunk, OPTIONS, ask)
    assert alike(said(found), said(without(whole, (10_000, 14_000), (20_000, 23_000))))
    assert len(calls) == 2


@pytest.mark.parametrize("reason", ["no words at all", "in doubt", "text alone", "letters"])
def test_there_is_nothing_to_go_by(chunk: Chunk, reason: str) -> None:
    first = without(truly(chunk.pcm), (8_000, 14_000))
    some = {
        "no words at all": (replace(first, segments=()), chunk),
        "in doubt": (first, replace(chunk, span=replace(chunk.span, in_doubt=True))),
        "text alone": (replace(first, timed=False), chunk),
        "letters": (replace(first, segments=tuple(replace(one, speaker="A") for one in first.segments)), chunk),
    }
    calls, ask = asker()
    answer, sound = some[reason]
    assert with_omitted(answer, sound, OPTIONS, ask) is answer
    assert calls == []


@pytest.mark.parametrize(
    ("asked", "language", "pinned"),
    [({}, "en", True), ({"language": "de"}, "de", False), ({"task": "translation"}, None, False)],
    ids=["open", "told", "a translation's language is not what is spoken"],
)
def test_it_is_asked_for_carefully_and_in_the_language_that_was_heard(
    chunk: Chunk, asked: dict[str, str], language: str | None, pinned: bool
) -> None:
    calls, ask = asker()
    with_omitted(without(truly(chunk.pcm), (8_000, 14_000)), chunk, OPTIONS.model_copy(update=asked), ask)
    ((_, given),) = calls
    assert (given.temperature, given.language, given.pinned) == (0.0, language, pinned)


def test_a_hole_on_the_clock_shifts_nothing(chunk: Chunk) -> None:
    """The chunk's own sound goes on where its clock jumps by a minute."""
    at, minute = 160_000, 960_000
    late = tuple((start + minute * (start >= at), end + minute * (end > at)) for start, end in chunk.span.speech_map)
    span = replace(
        chunk.span,
        audio_end=chunk.span.audio_end + minute,
        speech_map=late,
        holes=(Hole(at, at + minute, at + minute),),
    )
    whole = truly(chunk.pcm)
    found = with_omitted(without(whole, (14_000, 18_000)), Chunk(span, chunk.pcm), OPTIONS, asker()[1])
    assert alike(said(found), said(whole))


def test_noise_in_a_pause_is_no_speech_that_is_missing() -> None:
    talk = sounds.samples(sounds.oracle("natural", 8)[0])
    sound = np.concatenate((talk, sounds.white(6, 100), talk))
    (made,) = cut([sounds.pcm(sound)], CutProfile())
    calls, ask = asker()
    with_omitted(truly(made.pcm), made, OPTIONS, ask)
    assert calls == []
