"""Long recordings, heard by providers of every kind: what the benchmark `stitching` measures over ten hours, in small."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cut.cutter import CutProfile, Span, cut
from pipeline.options import TranscriptionOptions
from pipeline.providers.oracle import Oracle
from pipeline.stitch.stitcher import stitch
from pipeline.stitch.timeline import runs_forward
from pipeline.transcript import Heard, Transcript, samples_to_ms
from tests.pipeline import sounds
from tests.pipeline.hearers import Detail, Hearer, Style, cut_timeline, timeline
from tests.pipeline.recordings import hear, spans, talk
from tests.support.word_error_rate import word_errors

MINUTES = {"natural": 60, "dense": 15}
CLOCKS = [(0, 0), (60, 0), (60, 250)]


def heard_by(hearer: Hearer, style: Style, longest: int = 30_000) -> tuple[Transcript, int]:
    """The transcript, and how many seams were forced."""
    duration = MINUTES[style] * 60_000
    cuts = cut_timeline(hearer.said, duration, longest)
    whole = stitch([(span, hearer.hear(span)) for span in cuts], duration=duration)
    assert runs_forward(whole.segments)
    return whole, whole.seams.hard


@pytest.mark.parametrize(("jitter", "bias"), CLOCKS)
@pytest.mark.parametrize("style", ["natural", "dense"])
def test_timed_words_are_all_there_in_order_and_in_time(style: Style, jitter: int, bias: int) -> None:
    said = timeline(MINUTES[style] * 60, style)
    whole, forced = heard_by(Hearer(said, "word", jitter, bias), style)
    assert [word.text for word in whole.words] == [word.text for word in said]
    assert max(abs(one.start - other.start) for one, other in zip(whole.words, said, strict=True)) <= 20 + jitter + bias
    assert (forced > 30) == (style == "dense")


@pytest.mark.parametrize(("jitter", "bias"), CLOCKS)
@pytest.mark.parametrize(("detail", "most"), [("segment", 0.1), ("text", 1.0)])
@pytest.mark.parametrize("style", ["natural", "dense"])
def test_without_word_times_hardly_anything_is_wrong_at_forced_seams_and_nothing_elsewhere(
    style: Style, detail: Detail, most: float, jitter: int, bias: int
) -> None:
    said = timeline(MINUTES[style] * 60, style)
    whole, forced = heard_by(Hearer(said, detail, jitter, bias), style)
    assert whole.words == ()
    assert word_errors([word.text for word in said], whole.text.split()).all <= most * forced


def test_long_chunks_of_text_are_joined_as_well() -> None:
    said = timeline(MINUTES["dense"] * 60, "dense")
    whole, forced = heard_by(Hearer(said, "text"), "dense", longest=240_000)
    assert forced >= 3
    assert word_errors([word.text for word in said], whole.text.split()).all <= forced


@pytest.mark.parametrize(("detail", "most"), [("segment", 0.1), ("text", 0.3)])
def test_real_sound_without_a_pause(detail: str, most: float) -> None:
    sound, truth = sounds.oracle("dense", 240)
    oracle, options = Oracle({"scripted": True}), TranscriptionOptions(model="o", prompt=f"oracle: detail={detail}")
    chunks = list(cut([sound], CutProfile(max_s=12, min_s=4)))
    whole = stitch([(one.span, oracle.hear(one.pcm, options, "o")) for one in chunks], duration=240_000)
    assert len(chunks) > 15
    assert word_errors([word.text for word in truth], whole.text.split()).all <= most * len(chunks)


@given(st.randoms(use_true_random=False), st.integers(2, 80), st.sampled_from([1, 3, 500]))
@settings(max_examples=60, deadline=None)
def test_dividing_a_chunk_in_its_silence_changes_nothing(chance: random.Random, words: int, vocabulary: int) -> None:
    said = talk(chance, words, vocabulary)
    cuts = spans(chance, said)
    duration = samples_to_ms(cuts[-1].own_end)
    divided = [half for span in cuts for half in _divided(span, [word.end for word in said], chance)]
    whole = stitch([(span, hear(said, span)) for span in cuts], duration=duration)
    again = stitch([(span, hear(said, span)) for span in divided], duration=duration)
    assert again.text == whole.text
    assert again.words == whole.words


def _divided(span: Span, quiet: Sequence[int], chance: random.Random) -> list[Span]:
    """The chunk in two at one of these moments (in ms) of silence, if one lies well inside."""
    inside = [at * 16 for at in quiet if span.own_start + 32_000 < at * 16 < span.own_end - 32_000]
    if not inside:
        return [span]
    at = chance.choice(inside)
    first = tuple((start, min(end, at)) for start, end in span.speech_map if start < at)
    last = tuple((max(start, at), end) for start, end in span.speech_map if end > at)
    return [
        replace(span, own_end=at, audio_end=at, right_edge="silence", speech_map=first, switch_point=at),
        replace(span, own_start=at, audio_start=at, left_edge="silence", speech_map=last),
    ]


def test_the_answers_order_of_arrival_changes_nothing() -> None:
    said = timeline(600, "dense")
    hearer = Hearer(said, "word", 60, 200)
    cuts = cut_timeline(said, 600_000)
    backwards: dict[int, Heard] = {span.index: hearer.hear(span) for span in reversed(cuts)}
    inorder = [(span, hearer.hear(span)) for span in cuts]
    assert stitch([(span, backwards[span.index]) for span in cuts], duration=600_000) == stitch(
        inorder, duration=600_000
    )
