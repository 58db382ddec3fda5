"""How often a cut falls inside a word of speech whose words' times are known: eSpeak tells when it says each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.catalog.toml_file import load_catalog
from pipeline.cut.cutter import CutProfile, cut
from pipeline.options import SpeechOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.transcript import SAMPLE_RATE, SAMPLES_PER_MS, Word
from pipeline.tts.passage import recite

pytestmark = pytest.mark.processes

TEXT = """
The committee met at half past nine and heard three reports before lunch, none of which had been announced. Nobody had expected
the river to rise so quickly, least of all the engineers who had measured it for twenty years. She wrote down the number, folded
the paper twice and put it into her pocket. Why? In the end it was decided, after some discussion, to wait for better weather;
and so they waited, day after day, while the bread went stale and the horses grew thin and the letters from home stopped coming.
It is not known who thought of it first. Printing, in the only sense with which we are at present concerned, differs from most if
not from all the arts and crafts represented in the exhibition.
"""
SPEEDS = (0.9, 1.0, 1.15, 1.3, 1.5)
TOLERANCE = 30 * SAMPLES_PER_MS  # of the voice's own marks
SHIFTS = range(0, 30, 3)  # seconds that the recording begins later, so that other cuts are made


@dataclass(frozen=True)
class Reading:
    """s16le mono 16 kHz, and the samples at which each word begins and ends."""

    samples: np.ndarray
    words: np.ndarray

    def with_noise(self, decibels: float) -> np.ndarray:
        """The same in white noise, so much weaker than the sound itself."""
        sound = self.samples.astype(float)
        power = (sound[np.abs(sound) > 100] ** 2).mean() / 10 ** (decibels / 10)
        noisy = sound + np.random.default_rng(1).normal(0, np.sqrt(power), len(sound))
        return noisy.clip(-32768, 32767).astype("<i2")


def at_16_khz(pcm: bytes) -> np.ndarray:
    """Of 24 kHz, a whole number of milliseconds."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    places = np.arange(len(samples) // 24 * SAMPLES_PER_MS) * 1.5
    return np.interp(places, np.arange(len(samples)), samples).astype("<i2")


@pytest.fixture(scope="module")
def reading() -> Iterator[Reading]:
    """The text at five speeds, twice: some eight minutes."""
    sound, words, now = list[np.ndarray](), list[Word](), 0
    with ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=1) as registry:
        for speed in SPEEDS * 2:
            recital = recite(SpeechOptions(model="espeak-ng", input=" ".join(TEXT.split()), speed=speed), registry)
            sound.append(at_16_khz(recital.pcm))
            spoken = [word for sentence in recital.sentences for word in sentence.words]
            words += [Word(word.text, word.start + now, word.end + now) for word in spoken]
            now += recital.samples // 24
    edges = np.array([(word.start, word.end) for word in words]) * SAMPLES_PER_MS
    yield Reading(np.concatenate(sound), edges)


def inside_words(samples: np.ndarray, words: np.ndarray, max_s: float, kinds: Sequence[str]) -> tuple[int, int]:
    """How many of the cuts of these kinds fall inside a word, and how many there are, over all shifts."""
    inside = count = 0
    for shift in SHIFTS:
        first = shift * SAMPLE_RATE
        spans = [chunk.span for chunk in cut([samples[first:].tobytes()], CutProfile(max_s, max_s / 3))]
        places = [span.own_end + first for span in spans if span.right_edge in kinds]
        count += len(places)
        inside += sum(_inside(place, words) for place in places)
    return inside, count


def _inside(place: int, words: np.ndarray) -> bool:
    return bool(((words[:, 0] + TOLERANCE < place) & (place < words[:, 1] - TOLERANCE)).any())


@pytest.mark.parametrize(("decibels", "most"), [(None, 0.02), (10, 0.02), (5, 0.10)])
def test_cuts_fall_between_words(reading: Reading, decibels: float | None, most: float) -> None:
    samples = reading.samples if decibels is None else reading.with_noise(decibels)
    inside, count = inside_words(samples, reading.words, 30, ("silence", "soft", "hard"))
    assert count > 80
    assert inside <= most * count, f"{inside} of {count}"


def test_short_chunks_are_overlapped_where_they_must_be_cut_inside_words(reading: Reading) -> None:
    """In ten seconds there is not always a pause; what is cut without an overlap is cut in one."""
    inside, count = inside_words(reading.samples, reading.words, 10, ("silence",))
    assert count > 200
    assert inside <= 0.02 * count, f"{inside} of {count}"


def test_the_measure_notices_cuts_anywhere(reading: Reading) -> None:
    places: Sequence[int] = range(30 * SAMPLE_RATE, len(reading.samples), 30 * SAMPLE_RATE)
    assert sum(_inside(place, reading.words) for place in places) > 0.5 * len(places)
