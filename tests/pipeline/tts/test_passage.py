"""A passage spoken with its sentences in time: what the embedded voice tells, and what is laid over a voice that does not."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog.toml_file import load_catalog
from pipeline.options import SpeechOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.text.word_timing import Marks, laid_over, marked
from pipeline.tts.passage import (
    PAUSE_MS,
    SAMPLE_RATE,
    Recital,
    recital_from_bytes,
    recital_samples,
    recital_to_bytes,
    recite,
)

TEXT = "Dr. Smith paid $20.50 for 3 apples — “naïve”, isn't he? See the well-known shop at once. Really? Yes!"
TONE = (8000 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype("<i2").tobytes()  # a second
SILENCE = bytes(SAMPLE_RATE)  # half a second


@pytest.fixture(scope="module")
def registry() -> Iterator[ProviderRegistry]:
    with ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=1) as opened:
        yield opened


@pytest.mark.processes
@pytest.mark.parametrize("model", ["espeak-ng", "oracle"])
@pytest.mark.parametrize("speed", [0.3, 1.0, 2.5])
def test_every_word_is_told_once_in_order_inside_the_sound(
    registry: ProviderRegistry, model: str, speed: float
) -> None:
    recital = recite(SpeechOptions(model=model, input=TEXT, speed=speed), registry)
    words = [word for sentence in recital.sentences for word in sentence.words]
    assert [word.text for word in words] == TEXT.split()
    assert " ".join(sentence.text for sentence in recital.sentences) == TEXT
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0 and times[-1] <= round(1000 * recital.samples / SAMPLE_RATE)


@pytest.mark.processes
def test_the_embedded_voice_says_when_a_word_begins(registry: ProviderRegistry) -> None:
    """Where it rests between sentences nothing sounds, and every sentence begins with sound."""
    recital = recite(SpeechOptions(model="espeak-ng", input="One two three. Four five six. Seven."), registry)
    samples = np.abs(np.frombuffer(recital.pcm, dtype="<i2").astype(int))
    assert len(recital.sentences) == 3
    for before, after in zip(recital.sentences, recital.sentences[1:], strict=False):
        rest = samples[(after.start - 200) * 24 : (after.start - 20) * 24]
        assert rest.max() < 400, "the pause before a sentence"
        assert samples[after.start * 24 : (after.start + 250) * 24].max() > 2000, "its beginning"
        assert after.start >= before.end


@pytest.mark.parametrize("model", ["espeak-ng", "oracle"])
def test_a_passage_of_marks_alone_is_a_pause(registry: ProviderRegistry, model: str) -> None:
    """No voice is asked to say "* * *": some refuse, and the whole book would fail."""
    recital = recite(SpeechOptions(model=model, input="… * * * …"), registry)
    assert recital.samples == PAUSE_MS * SAMPLE_RATE // 1000 and not any(recital.pcm)
    assert [word.text for sentence in recital.sentences for word in sentence.words] == ["…", "*", "*", "*", "…"]


@pytest.mark.processes
def test_joins_do_not_click(registry: ProviderRegistry) -> None:
    """What borders on a pause is as good as silent."""
    recital = recite(SpeechOptions(model="espeak-ng", input="Alpha. Bravo. Charlie."), registry)
    samples = np.abs(np.frombuffer(recital.pcm, dtype="<i2").astype(int))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], samples == 0, [0]])))
    pauses = [
        (start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end - start > SAMPLE_RATE // 4
    ]
    assert len(pauses) == 3
    assert samples[0] < 100
    for start, end in pauses:
        assert samples[start - 1] < 100 and (end == len(samples) or samples[end] < 100)


@pytest.mark.processes
@pytest.mark.parametrize("text", ["你好。再见,朋友!这是一个测试。", "Ein Wort", "…", "a" * 700 + ". Next one."])
def test_texts_without_spaces_and_without_words(registry: ProviderRegistry, text: str) -> None:
    recital = recite(SpeechOptions(model="espeak-ng", input=text), registry)
    said = "".join(word.text for sentence in recital.sentences for word in sentence.words)
    assert said == "".join(text.split())


@given(st.lists(st.text("ab,.é漢。", min_size=1, max_size=8), min_size=1, max_size=12), st.integers(0, 3))
def test_words_laid_over_sound_are_the_text_and_run_forward(tokens: list[str], rests: int) -> None:
    text = " ".join(tokens)
    utterance = laid_over(text, (SILENCE + TONE) * (rests + 1), SAMPLE_RATE)
    assert "".join(word.text for word in utterance.words) == "".join(text.split())
    times = [time for word in utterance.words for time in (word.start, word.end)]
    assert times == sorted(times) and times[-1] <= utterance.length
    assert not utterance.words or utterance.words[0].start >= 490, "not in the silence before the sound"


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(-1, 50), st.integers(0, 1500)), max_size=10))
def test_any_marks_give_times_that_run_forward(text: str, begins: list[tuple[int, int]]) -> None:
    utterance = marked(text, TONE, SAMPLE_RATE, Marks(tuple(begins), (100, 900)))
    times = [time for word in utterance.words for time in (word.start, word.end)]
    assert times == sorted(times) and all(0 <= time <= 1000 for time in times)
    assert "".join(word.text for word in utterance.words) == "".join(text.split())


def test_a_stored_recital_is_the_same(registry: ProviderRegistry) -> None:
    recital = recite(SpeechOptions(model="oracle", input="Hello there. Again."), registry)
    stored = recital_to_bytes(recital)
    assert recital_from_bytes(stored) == recital
    assert recital_samples(stored[:10], len(stored)) == recital.samples
    assert isinstance(recital, Recital) and recital.model_used == "oracle"
