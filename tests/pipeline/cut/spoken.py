"""Real words and sentences by eSpeak, each as loud as asked, and places for them: what a gate must not lose."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from functools import cache

import numpy as np

from pipeline.providers.espeak import SAMPLE_RATE as SPOKEN_RATE
from pipeline.providers.espeak import Synthesizer, voice_called
from pipeline.transcript import SAMPLE_RATE
from tests.pipeline import sounds
from tests.pipeline.sounds import Samples

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "yes", "no", "oui", "stop")
SENTENCES = (
    "The river runs past the old mill and down to the sea.",
    "Please call me back before seven o'clock tomorrow morning.",
    "I never said that he took the money.",
)
MORE_SENTENCES = (
    *SENTENCES,
    "The train to the north leaves from platform nine.",
    "She put the letter on the table and left.",
    "We will need two more chairs for dinner.",
    "My number is four seven two nine one.",
    "He could not find his keys this morning.",
    "There was a small dog in the garden.",
    "Turn left at the church and go on.",
    "What time does the meeting start today?",
    "It has been raining since last Thursday.",
    "Could you open the window for me?",
)
VOICES = ("alloy", "ash", "coral", "onyx", "nova")
WHISPERED = "en-us+whisper"
_AUDIBLE = 0.02  # of the peak; what eSpeak leaves before and after is cut off
Word = tuple[int, int]  # first and last sample


def at_level(sound: Samples, decibels: float) -> Samples:
    """With so many dB (rms) below full scale."""
    return sound * (32768 * 10 ** (decibels / 20) / sound.std())


def room(seconds: float, seed: int = 1) -> Samples:
    """A quiet one, at -78 dB."""
    return sounds.white(seconds, 4, seed)


@cache
def said(text: str, voice: str = "alloy", words_per_minute: int = 200) -> Samples:
    """Nothing but the sound of it."""
    found = _voice().say(text, astuple(voice_called(voice)), words_per_minute)
    sound = _at_our_rate(np.frombuffer(found, "<i2").astype(np.float64))
    heard = np.flatnonzero(np.abs(sound) > _AUDIBLE * np.abs(sound).max())
    return sound[heard[0] : heard[-1] + 1]


@cache
def _voice() -> Synthesizer:
    return Synthesizer()


def _at_our_rate(sound: Samples) -> Samples:
    count = len(sound) * SAMPLE_RATE // SPOKEN_RATE
    spectrum = np.fft.rfft(sound)[: count // 2 + 1]
    return np.asarray(np.fft.irfft(spectrum, count) * (count / len(sound)))


def lone_words(count: int, seed: int = 1) -> Iterator[Samples]:
    """Any word by any voice at any speed, 0.1 to 0.6 s of it."""
    chance = random.Random(seed)
    for _ in range(count):
        yield said(chance.choice(WORDS), chance.choice((*VOICES, WHISPERED)), chance.choice((150, 220, 320)))


def sentences(count: int, seed: int = 1) -> Iterator[Samples]:
    """Any sentence by any voice at any speed, 1.5 to 2.7 s of it."""
    chance = random.Random(seed)
    while count:
        sentence = said(chance.choice(MORE_SENTENCES), chance.choice(VOICES), chance.choice((150, 175, 200, 220)))
        if 1.5 <= len(sentence) / SAMPLE_RATE <= 2.7:
            count -= 1
            yield sentence


def of_the_colour_of_speech(seconds: float, seed: int) -> Samples:
    """Noise with the spectrum that the sentences have together, and the standard deviation 1."""
    spectrum = np.fft.rfft(sounds.white(seconds, 1.0, seed))
    places = np.linspace(0, 1, len(spectrum))
    noise = np.fft.irfft(spectrum * np.interp(places, np.linspace(0, 1, len(_colour())), _colour()))
    return np.asarray(noise / noise.std())


@cache
def _colour() -> Samples:
    whole = np.concatenate([sentence / sentence.std() for sentence in sentences(60)])
    frames = whole[: len(whole) // 512 * 512].reshape(-1, 512) * np.hanning(512)
    return np.asarray(np.sqrt(np.square(np.abs(np.fft.rfft(frames, axis=1))).mean(axis=0)))


def under_noise(
    count: int, noise: Callable[[float, int], Samples], snr: float, seed: int = 1
) -> Iterator[tuple[Samples, Word]]:
    """Sentences so many dB over it, each with 0.3, 1 or 4 s of noise before and after; and where each is."""
    for nth, sentence in enumerate(sentences(count, seed)):
        edge = round((0.3, 1.0, 4.0)[nth % 3] * SAMPLE_RATE)
        whole = at_level(noise((len(sentence) + 2 * edge) / SAMPLE_RATE, 1000 * seed + nth), -35.0 - snr)
        whole[edge : edge + len(sentence)] += at_level(sentence, -35.0)
        yield whole, (edge, edge + len(sentence))


def scattered(
    words: Sequence[Samples], every_s: float, around: Callable[[float, int], Samples], seed: int = 1
) -> tuple[Samples, list[Word]]:
    """One word in each stretch of so many seconds, anywhere in it, over what is `around`; and where each is."""
    chance, stretch = random.Random(seed), round(every_s * SAMPLE_RATE)
    whole, places = around(every_s * len(words), seed).copy(), []
    for nth, word in enumerate(words):
        start = nth * stretch + chance.randrange(stretch - len(word))
        whole[start : start + len(word)] += word
        places.append((start, start + len(word)))
    return whole, places


def through_mulaw(sound: Samples) -> Samples:
    """As a telephone carries it: 8 kHz, 8 bits."""
    narrow = np.fft.irfft(np.fft.rfft(sound)[: len(sound) // 4 + 1], len(sound) // 2) / 2
    scaled = np.clip(narrow / 32768, -1, 1)
    steps = np.rint(np.sign(scaled) * np.log1p(255 * np.abs(scaled)) / np.log(256) * 127) / 127
    coarse = np.sign(steps) * ((256 ** np.abs(steps)) - 1) / 255 * 32768
    return np.asarray(np.fft.irfft(np.fft.rfft(coarse), 2 * len(coarse)) * 2)
