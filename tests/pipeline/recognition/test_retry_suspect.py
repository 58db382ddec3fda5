"""Truncated and looping answers are noticed, heard once more in two halves, and the better one is kept."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.cut.cutter import Chunk, CutProfile, cut
from pipeline.errors import ProviderUnavailable
from pipeline.options import TranscriptionOptions
from pipeline.oracle.ear import listen
from pipeline.provider_protocol import phrases
from pipeline.quality.coverage import CoverageMeter
from pipeline.recognition.language_pin import may_vote, pinned, wants_pin
from pipeline.recognition.retry_suspect import hear_well
from pipeline.text.segment_words import speech_ms
from pipeline.transcript import Heard, Segment, TokenUsage, Word, samples_to_ms
from tests.pipeline import sounds

OPTIONS = TranscriptionOptions(
    model="m", prompt="Names: otter, owl and oyster, please.", language="en", temperature=0.4
)
Calls = list[tuple[int, TranscriptionOptions]]


def a_chunk(style: str = "natural", seconds: float = 24) -> Chunk:
    (chunk,) = cut([sounds.oracle(style, seconds)[0]], CutProfile())
    return chunk


def truly(pcm: bytes) -> Heard:
    words = [Word(word.text, samples_to_ms(word.start), samples_to_ms(word.end)) for word in listen(pcm)]
    return Heard(tuple(phrases(words, pause_ms=250)), "en", "real", usage=TokenUsage(audio_in=len(words)))


def asker(
    first: Callable[[bytes], Heard], then: Callable[[bytes], Heard] = truly
) -> tuple[Calls, Callable[..., Heard]]:
    calls: Calls = []

    def ask(pcm: bytes, options: TranscriptionOptions) -> Heard:
        calls.append((len(pcm), options))
        return (first if len(calls) == 1 else then)(pcm)

    return calls, ask


def half_an_answer(pcm: bytes) -> Heard:
    heard = truly(pcm)
    return replace(heard, segments=heard.segments[: len(heard.segments) // 3])


def a_loop(pcm: bytes) -> Heard:
    return Heard((Segment("thank you very much " * 12, 0, samples_to_ms(len(pcm) // 2)),), "en", "real")


def an_echo(pcm: bytes) -> Heard:
    return Heard((Segment("Otter, owl and oyster, please.", 2000, samples_to_ms(len(pcm) // 2)),), "en", "real")


def words(heard: Heard) -> list[str]:
    return [word.text for segment in heard.segments for word in segment.words]


@pytest.mark.parametrize("style", ["natural", "dense"])
@pytest.mark.parametrize("wrong", [half_an_answer, a_loop, an_echo])
def test_a_wrong_answer_is_heard_again_in_two_halves(style: str, wrong: Callable[[bytes], Heard]) -> None:
    chunk = a_chunk(style)
    calls, ask = asker(wrong)
    heard = hear_well(chunk, OPTIONS, ask)
    assert words(heard) == words(truly(chunk.pcm))
    assert all(
        abs(one.start - other.start) <= 1 for one, other in zip(_all(heard), _all(truly(chunk.pcm)), strict=True)
    )
    assert len(calls) == 3
    assert calls[0][1] == OPTIONS
    assert all(asked == OPTIONS.model_copy(update={"temperature": 0.0}) for _, asked in calls[1:])
    assert (heard.language, heard.model_used) == ("en", "real")
    assert heard.usage is not None


def _all(heard: Heard) -> list[Word]:
    return [word for segment in heard.segments for word in segment.words]


def test_a_good_answer_costs_one_call() -> None:
    calls, ask = asker(truly)
    hear_well(a_chunk(), OPTIONS, ask)
    assert len(calls) == 1


def test_no_answer_at_all_is_believed() -> None:
    calls, ask = asker(lambda pcm: Heard((), None, "real"))
    assert hear_well(a_chunk(), OPTIONS, ask).segments == ()
    assert len(calls) == 1


def test_the_first_answer_stays_when_the_second_is_no_better() -> None:
    calls, ask = asker(a_loop, a_loop)
    assert len(hear_well(a_chunk(), OPTIONS, ask).segments) == 1
    assert len(calls) == 3


def test_the_first_answer_stays_when_the_second_is_none() -> None:
    calls, ask = asker(a_loop, lambda pcm: Heard((), "en", "real"))
    assert hear_well(a_chunk(), OPTIONS, ask).segments[0].text.startswith("thank you")
    assert len(calls) == 3


def test_both_halves_are_heard_whatever_the_gate_thinks_of_them() -> None:
    words = np.concatenate((sounds.samples(sounds.oracle("natural", 9)[0]), sounds.white(15, 10)))
    (chunk,) = cut([sounds.pcm(words)], CutProfile(gated=False))
    calls, ask = asker(a_loop, a_loop)
    hear_well(chunk, OPTIONS, ask)
    assert len(calls) == 3


def test_where_hardly_any_speech_was_found_that_alone_is_no_reason_to_hear_again() -> None:
    span = replace(a_chunk().span, in_doubt=True)
    calls, ask = asker(lambda pcm: Heard((Segment("Seven.", 100, 400),), "en", "real"))
    hear_well(replace(a_chunk(), span=span), OPTIONS, ask)
    assert len(calls) == 1


def test_the_first_answer_stays_when_the_second_fails() -> None:
    def fail(pcm: bytes) -> Heard:
        raise ProviderUnavailable(provider="p")

    calls, ask = asker(an_echo, fail)
    heard = hear_well(a_chunk(), OPTIONS, ask)
    assert [segment.suspect for segment in heard.segments] == [("prompt_echo",)]
    assert len(calls) == 2


def test_the_first_failure_is_the_caller_s() -> None:
    def fail(pcm: bytes) -> Heard:
        raise ProviderUnavailable(provider="p")

    with pytest.raises(ProviderUnavailable):
        hear_well(a_chunk(), OPTIONS, asker(fail)[1])


@pytest.mark.parametrize("timed", [True, False])
def test_chunks_of_which_much_is_missing_are_named(timed: bool) -> None:
    meter = CoverageMeter()
    chunk = a_chunk()
    full, part = truly(chunk.pcm), half_an_answer(chunk.pcm)
    speech = speech_ms(replace(chunk.span, audio_start=0))
    offset = samples_to_ms(chunk.span.audio_start)
    for index, heard in enumerate((full, full, part, full)):
        on_clock = [replace(one, start=one.start + offset, end=one.end + offset, words=()) for one in heard.segments]
        meter.take(index, speech, on_clock, timed=timed)
    told = meter.coverage()
    assert told.chunks_short == (2,)
    assert told.speech == 4 * sum(end - start for start, end in speech)
    assert 0.7 * told.speech < told.transcribed < 0.95 * told.speech


def test_a_language_is_pinned_when_the_first_three_agree() -> None:
    def said(language: str | None) -> Heard:
        return Heard((Segment("x", 0, 1),), language)

    options = TranscriptionOptions(model="m")
    assert pinned(options, [said("de")] * 2) == options
    assert pinned(options, [said("de")] * 3).language == "de"
    assert pinned(options, [said("de"), said("de"), said("en")]) == options
    assert pinned(options, [said(None)] * 3) == options
    assert pinned(options, [Heard(), said("de"), said("de")]).language == "de"
    assert pinned(options, [Heard()] * 3) == options
    assert wants_pin(options)
    assert not wants_pin(TranscriptionOptions(model="m", language="de"))
    assert not wants_pin(TranscriptionOptions(model="m", languages=("de", "en")))
    assert not wants_pin(TranscriptionOptions(model="m", task="translation"))
    assert may_vote(a_chunk().span)
    assert not may_vote(a_chunk(seconds=4).span)
    assert not may_vote(replace(a_chunk().span, in_doubt=True)), "music speaks no language"
