"""What counts as speech: any level, any noise under it; and what does not, however loud."""

from dataclasses import fields

import numpy as np
import pytest

from pipeline.cut.vad import AT_ONCE, BATCH, FRAME, Frames, SpeechDetector, joined, long_runs, runs, speech
from pipeline.transcript import SAMPLE_RATE
from tests.pipeline import sounds


def measured(sound: bytes, at_once: int = AT_ONCE) -> Frames:
    detector = SpeechDetector()
    pieces = sounds.in_blocks(sound, 2 * FRAME * at_once)
    return joined(batch for piece in pieces for batch in detector.measure(piece))


def seconds_of_speech(numbers: sounds.Samples) -> float:
    return float(speech(measured(sounds.pcm(numbers))).sum()) * FRAME / SAMPLE_RATE


NOT_SPEECH = {
    "digital silence": sounds.silence(20),
    "rounding": sounds.white(20, 0.4),
    "faint white noise": sounds.white(20, 3),
    "white noise": sounds.white(20, 300),
    "loud white noise": sounds.white(20, 5000),
    "clipping white noise": sounds.white(20, 30000),
    "pink noise": sounds.coloured(20, 2000, 0.5),
    "brown noise": sounds.coloured(20, 2000, 1.0),
    "mains hum": sounds.tone(20, 50, 5000) + sounds.tone(20, 150, 2000) + sounds.white(20, 5),
    "a steady tone": sounds.tone(20, 1000, 8000),
    "a siren": sounds.sweep(20, 3000) + sounds.white(20, 200),
    "noise that begins": np.concatenate((sounds.silence(10), sounds.white(10, 3000))),
    "a dead line": sounds.silence(20) + 1000,
    "a square wave at full scale": np.sign(sounds.tone(20, 200, 1)) * 32767,
}


@pytest.mark.parametrize("name", NOT_SPEECH)
def test_noise_is_not_speech(name: str) -> None:
    assert seconds_of_speech(NOT_SPEECH[name]) < 0.25


def test_rare_clicks_are_hardly_speech() -> None:
    assert seconds_of_speech(sounds.clicks(20, 20000, 1) + sounds.white(20, 10)) < 1


@pytest.mark.parametrize("style", ["natural", "dense"])
@pytest.mark.parametrize("gain", [1.0, 0.1, 0.01, 0.003])
def test_speech_is_found_at_any_level(style: str, gain: float) -> None:
    sound, words = sounds.oracle(style, 30)
    spoken = sum(word.end - word.start for word in words) / SAMPLE_RATE
    assert seconds_of_speech(sounds.samples(sound) * gain) > 0.75 * spoken


@pytest.mark.parametrize("snr", [20, 10, 5])
def test_speech_is_found_in_noise(snr: float) -> None:
    sound, words = sounds.oracle("natural", 30)
    clean = sounds.samples(sound)
    noisy = clean + sounds.white(30, clean.std() * 10 ** (-snr / 20))
    spoken = sum(word.end - word.start for word in words) / SAMPLE_RATE
    assert seconds_of_speech(noisy) > 0.5 * spoken


def test_a_single_word_in_a_long_silence_is_speech() -> None:
    sound, words = sounds.oracle("natural", 10)
    word = sounds.samples(sound)[words[0].start : words[0].end]
    lonely = np.concatenate((sounds.white(15, 10), word, sounds.white(15, 10)))
    assert seconds_of_speech(lonely) >= 0.25


def test_an_offset_of_the_zero_line_changes_nothing() -> None:
    sound, _ = sounds.oracle("natural", 20)
    numbers = sounds.samples(sound) * 0.5
    assert abs(seconds_of_speech(numbers + 3000) - seconds_of_speech(numbers)) < 0.5


def test_a_last_incomplete_frame_is_measured() -> None:
    assert len(measured(sounds.pcm(sounds.white(1, 100)[: FRAME * 3 + 1]))) == 4


@pytest.mark.parametrize("batches", [1, 3])
def test_how_much_is_measured_at_once_changes_nothing(batches: int) -> None:
    sound = sounds.pcm(
        np.concatenate((sounds.silence(5), sounds.samples(sounds.oracle("natural", 33)[0]), sounds.white(7, 40)))
    )
    few, many = measured(sound, batches * BATCH), measured(sound)
    for field in fields(Frames):
        np.testing.assert_array_equal(getattr(few, field.name), getattr(many, field.name), field.name)


def test_what_is_known_comes_batch_by_batch() -> None:
    batches = SpeechDetector().measure(sounds.pcm(sounds.white(4, 100)))
    assert [len(batch) for batch in batches] == [BATCH] * 4 + [6]
    assert all(len(set(batch.floor)) == len(set(batch.peak)) == 1 for batch in batches)


def test_runs_are_found_and_short_ones_dropped() -> None:
    flags = np.array([1, 0, 1, 1, 1, 0, 0, 1, 1], dtype=np.bool_)
    assert runs(flags).tolist() == [[0, 1], [2, 5], [7, 9]]
    assert runs(long_runs(flags, 3)).tolist() == [[2, 5]]
    assert runs(np.zeros(0, dtype=np.bool_)).tolist() == []
