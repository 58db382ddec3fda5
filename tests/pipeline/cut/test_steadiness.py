"""What is the same from beginning to end, and what is not: the words that would be lost, and the noises that would cost a call."""

import numpy as np
import pytest

from pipeline.cut import steadiness
from pipeline.oracle.speech import say
from pipeline.transcript import SAMPLE_RATE
from tests.pipeline import sounds
from tests.pipeline.cut.spoken import of_the_colour_of_speech
from tests.pipeline.cut.steady_noises import STEADY, harmonics
from tests.pipeline.sounds import Samples
from tests.support.sound_files import decoded_again

WORDS = sounds.samples(say(["brown", "fox", "river", "seven"], gap_s=0.3))


def changing(pcm: bytes, least: int = SAMPLE_RATE) -> list[tuple[int, int]]:
    """As a recording by itself is judged."""
    return steadiness.changing(pcm, least=least)


def in_noise(speech: Samples, noise: str, snr: float, edge_s: float = 1.0) -> Samples:
    """With so much noise around it, and as loud as asked over or under it."""
    edge = sounds.silence(edge_s)
    clean = np.concatenate((edge, speech, edge))
    level = speech.std() * 10 ** (-snr / 20)
    return clean + STEADY[noise](len(clean) / SAMPLE_RATE, 1)[: len(clean)] * level


@pytest.mark.parametrize("seconds", [1.0, 1.7, 3.0, 4.0, 30.0, 61.3])
@pytest.mark.parametrize("level", [2, 40, 1000, 6000])
@pytest.mark.parametrize("noise", STEADY)
def test_steady_sound_of_any_colour_level_and_length(noise: str, level: float, seconds: float) -> None:
    for seed in range(1, 4):
        assert changing(sounds.pcm(STEADY[noise](seconds, seed) * level)) == []


@pytest.mark.processes
@pytest.mark.parametrize(
    "codec",
    [("-c:a", "aac", "-b:a", "48k"), ("-c:a", "libopus", "-b:a", "32k"), ("-c:a", "pcm_mulaw", "-ar", "8000")],
    ids=["aac", "opus", "mulaw"],
)
@pytest.mark.parametrize("noise", ["pink", "brown", "hum", "fan"])
def test_noise_that_was_compressed_stays_steady(noise: str, codec: tuple[str, ...]) -> None:
    assert changing(decoded_again(sounds.pcm(STEADY[noise](20, 3) * 300), *codec)) == []


def below(hertz: float, seed: int) -> Samples:
    """White noise up to there."""
    spectrum = np.fft.rfft(sounds.white(8, 1.0, seed))
    spectrum /= 1 + (np.linspace(0, SAMPLE_RATE / 2, len(spectrum)) / hertz) ** 8
    noise = np.fft.irfft(spectrum)
    return np.asarray(noise / noise.std())


@pytest.mark.parametrize("level", [30, 1000])
def test_what_only_resembles_the_colour_of_speech_is_steady(level: float) -> None:
    """Noise that ends at a pitch, as of a narrow line, and hum, which hides no voice."""
    assert not changing(sounds.pcm(below(1500, 1) * level))
    assert not any(changing(sounds.pcm(harmonics(8, fall, 1) * level)) for fall in (0.3, 0.5))


def test_minutes_of_noise_have_nothing_that_stands_out() -> None:
    assert changing(sounds.pcm(STEADY["white"](240.0, 2) * 300)) == []


@pytest.mark.parametrize("seconds", [2.0, 20.0])
def test_noise_of_the_colour_of_speech_may_hide_a_voice(seconds: float) -> None:
    found = changing(sounds.pcm(of_the_colour_of_speech(seconds, 2) * 300))
    assert (found[0][0], found[-1][1]) == (0, round(seconds * SAMPLE_RATE))


@pytest.mark.parametrize("snr", [20, 10, 0, -10])
@pytest.mark.parametrize("noise", STEADY)
def test_speech_over_and_under_noise_changes_it(noise: str, snr: float) -> None:
    (one,) = changing(sounds.pcm(in_noise(WORDS * 0.02, noise, snr)))
    assert one == (0, len(in_noise(WORDS, noise, snr)))


@pytest.mark.parametrize("seconds", [0.15, 0.25, 0.5])
@pytest.mark.parametrize("decibels", [-20, -35, -50])
def test_a_short_word_changes_everything_around_it(decibels: float, seconds: float) -> None:
    word = sounds.samples(say(["seven"], edge_s=0.0))[: round(seconds * SAMPLE_RATE)]
    word *= 32768 * 10 ** (decibels / 20) / word.std()
    for edge in (0.5, 1.0, 1.9, 14.0):
        quiet = sounds.white(edge, 4)
        whole = np.concatenate((quiet, word, quiet))
        first, last = edge * SAMPLE_RATE, edge * SAMPLE_RATE + len(word)
        found = changing(sounds.pcm(whole))
        assert any(start <= first and last <= end for start, end in found)
        assert sum(end - start for start, end in found) <= 14 * SAMPLE_RATE, "and nothing far from it"


def melody(notes: list[float], seconds: float, gap_s: float = 0.0, partials: int = 8) -> Samples:
    """Notes held without any swell, as no singer can."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    gap = sounds.silence(gap_s)
    sung = [sum(np.sin(2 * np.pi * hertz * nth * t) / nth for nth in range(1, partials + 1)) for hertz in notes]
    return np.asarray(1000 * np.concatenate([part for note in sung for part in (note, gap)]))


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("gap_s", [0.0, 0.2])
def test_notes_are_no_hum(gap_s: float, seconds: float) -> None:
    notes = [220.0, 247, 262, 294, 330, 220, 196]
    assert changing(sounds.pcm(melody(notes, seconds, gap_s)))
    assert changing(sounds.pcm(melody(notes, seconds, gap_s, partials=1)))


def test_a_tone_with_pauses_is_no_hum() -> None:
    assert changing(sounds.pcm(melody([425] * 20, 0.5, 0.5)))
    assert changing(sounds.pcm(melody([220], 3.0, 0.6)))


@pytest.mark.parametrize("noise", [0.0, 60.0])
def test_a_tone_that_glides_is_no_voice_and_hides_none(noise: float) -> None:
    siren = sounds.sweep(15, 3000) + sounds.white(15, noise)
    assert changing(sounds.pcm(siren)) == []
    siren[6 * SAMPLE_RATE :][: len(WORDS)] += WORDS * (300 / WORDS.std())
    assert changing(sounds.pcm(siren))


def test_what_is_too_short_proves_nothing() -> None:
    assert changing(sounds.pcm(sounds.white(0.9, 100))) == [(0, round(0.9 * SAMPLE_RATE))]
    assert changing(sounds.pcm(sounds.white(0.9, 100)), least=SAMPLE_RATE // 4) == []
    assert changing(sounds.pcm(sounds.white(0.04, 100)), least=0) == [(0, round(0.04 * SAMPLE_RATE))]
    assert changing(b"") == []


def test_only_the_neighbourhood_of_a_change_is_told() -> None:
    sound = np.concatenate((sounds.white(60, 50), WORDS * 0.05, sounds.white(60, 50)))
    found = changing(sounds.pcm(sound))
    assert found[0][0] >= 54 * SAMPLE_RATE and found[-1][1] <= len(sound) - 54 * SAMPLE_RATE
