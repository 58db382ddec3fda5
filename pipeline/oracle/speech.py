"""Speech whose truth is in the signal: every word is a chirp and four chords that a program can read back.

A test that sends it through any codec, cutter and stitcher knows exactly which words were lost, doubled, broken or moved.
A word lasts 256 to 424 ms:

    chirp 64 ms          500 to 3,000 Hz; its correlation peak gives the word's start to a fraction of a millisecond
    4 chords of 48 ms    one of eight tones in 420 to 1,260 Hz and one of eight in 1,480 to 3,020 Hz: the word's eight digits
    hold 0 to 168 ms        the last chord again; how long depends on the word

A hum of 110 to 220 Hz runs under the chords, and each swells and fades, so that a speech detector takes it for speech. All of it
lies in the telephone band, so that every codec keeps it. `pipeline.oracle.ear` reads it.

    python -m pipeline.oracle.speech --seconds 300 --style natural --seed 1 out.wav --truth out.json
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.oracle.words import VOCABULARY as VOCABULARY
from pipeline.oracle.words import codes, index_of

Style = Literal["natural", "dense", "sparse"]
Wave = NDArray[np.float32]

CHIRP_S, CHORD_S, HOLD_STEP_S = 0.064, 0.048, 0.024
CHORDS = 4
CHIRP_HZ = (500.0, 3000.0)
LOW_TONES = tuple(420.0 + 120.0 * digit for digit in range(8))
HIGH_TONES = tuple(1480.0 + 220.0 * digit for digit in range(8))
LONGEST_WORD_S = CHIRP_S + CHORDS * CHORD_S + 7 * HOLD_STEP_S
PEAK = 0.5  # of full scale, before the word's own level; leaves room for a codec's overshoot
NOISE_LEVEL = 0.0005  # -66 dB: pauses of real rooms are never digital silence
GENTLE_GAP_S = 0.06
BREATH = 0.015  # of a word's peak: Opus' speech mode predicts pure tones so well that they ring on into the next word
_HUM_BELOW_HZ = 400.0
_SILENCE_BLOCK_S = 1.0


@dataclass(frozen=True)
class Spoken:
    """One word that was really said, in samples of the stream."""

    text: str
    start: int
    end: int


def hold_seconds(word: int) -> float:
    """How long the word's last chord is held."""
    return HOLD_STEP_S * ((word * 5 + word // 8) % 8)


def word_seconds(word: int) -> float:
    """How long the word lasts."""
    return CHIRP_S + CHORDS * CHORD_S + hold_seconds(word)


@functools.cache
def chirp(sample_rate: int) -> Wave:
    """The sweep every word begins with."""
    t = np.arange(round(CHIRP_S * sample_rate)) / sample_rate
    low, high = CHIRP_HZ
    sweep = np.sin(2 * np.pi * (low * t + (high - low) / (2 * CHIRP_S) * t**2))
    return np.asarray(sweep * _swell(len(t), sample_rate, floor=0.0), dtype=np.float32)


@functools.lru_cache(maxsize=4096)
def word_wave(word: int, sample_rate: int, hum_hz: float = 140.0) -> Wave:
    """The word's sound, peak about 1."""
    digits = codes()[word].astype(int)
    lengths = [CHORD_S] * (CHORDS - 1) + [CHORD_S + hold_seconds(word)]
    starts = np.round((CHIRP_S + np.cumsum([0.0, *lengths])) * sample_rate).astype(int)
    pieces = [chirp(sample_rate)]
    for chord in range(CHORDS):
        t = np.arange(starts[chord], starts[chord + 1]) / sample_rate
        tones = np.sin(2 * np.pi * LOW_TONES[digits[2 * chord]] * t)
        tones += np.sin(2 * np.pi * HIGH_TONES[digits[2 * chord + 1]] * t)
        pieces.append((tones * 0.4 + _hum(t, hum_hz)) * _swell(len(t), sample_rate, floor=0.35))
    sound = np.concatenate(pieces) / 1.1
    breath = np.random.default_rng(word).normal(0.0, BREATH, len(sound))
    return np.asarray(sound + breath, dtype=np.float32)


def _hum(t: NDArray[np.float64], hum_hz: float) -> NDArray[np.float64]:
    """The buzz of a voice below the chords: the fundamental and what harmonics fit under 400 Hz."""
    harmonics = [k for k in (1, 2, 3) if k * hum_hz < _HUM_BELOW_HZ]
    return np.asarray(sum(np.sin(2 * np.pi * k * hum_hz * t) for k in harmonics) * (0.3 / len(harmonics)))


def _swell(length: int, sample_rate: int, *, floor: float) -> NDArray[np.float64]:
    """Rise and fall of 8 ms at both ends, from `floor` to 1."""
    ramp = max(1, round(0.008 * sample_rate))
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
    shape = np.ones(length)
    shape[:ramp] *= rise
    shape[-ramp:] *= rise[::-1]
    return floor + (1 - floor) * shape


def say(
    words: Sequence[str],
    *,
    sample_rate: int = 16_000,
    gap_s: float = GENTLE_GAP_S,
    hum_hz: float = 140.0,
    edge_s: float = 0.2,
) -> bytes:
    """These words, `gap_s` apart, with `edge_s` of silence before and after. Raises KeyError for a word not in VOCABULARY."""
    edge = bytes(2 * round(edge_s * sample_rate))
    gap = bytes(2 * round(gap_s * sample_rate))
    sounds = [_pcm(word_wave(index_of(word), sample_rate, hum_hz) * PEAK) for word in words]
    return edge + gap.join(sounds) + edge


def generate(
    *, seconds: float, style: Style, seed: int, sample_rate: int = 16_000
) -> Iterator[tuple[bytes, list[Spoken]]]:
    """A stream of exactly `seconds`: blocks of s16le mono of at most about a second, each with the words that end in it.

    natural: phrases with pauses of 0.3 to 1 s. dense: not one pause. sparse: phrases with silences of 5 to 60 s.
    """
    noise = _Noise(seed, sample_rate)
    total = round(seconds * sample_rate)
    position = 0
    for gap, word, level in _script(random.Random(seed), style):  # noqa: S311 - a seeded speaker, not a secret
        sound = word_wave(word, sample_rate) * np.float32(PEAK * level)
        start = position + round(gap * sample_rate)
        if start + len(sound) > total:
            break
        yield from ((noise.over(silence), []) for silence in _silence(start - position, sample_rate))
        position = start + len(sound)
        yield noise.over(sound), [Spoken(VOCABULARY[word], start, position)]
    yield from ((noise.over(silence), []) for silence in _silence(total - position, sample_rate))


def _script(chance: random.Random, style: Style) -> Iterator[tuple[float, int, float]]:
    """Endless (pause before it in seconds, word, level 0.5 to 1)."""
    pauses = {"natural": (0.3, 1.0), "dense": (0.0, 0.0), "sparse": (5.0, 60.0)}[style]
    gaps = (0.0, 0.0) if style == "dense" else (0.02, 0.08)
    while True:
        pause, loudness = chance.uniform(*pauses), chance.uniform(0.7, 1.0)
        for nth in range(chance.randint(3, 12)):
            gap = chance.uniform(*gaps) if nth else pause
            yield gap, chance.randrange(len(VOCABULARY)), loudness * chance.uniform(0.8, 1.0)


def _silence(samples: int, sample_rate: int) -> Iterator[Wave]:
    block = round(_SILENCE_BLOCK_S * sample_rate)
    for start in range(0, samples, block):
        yield np.zeros(min(block, samples - start), dtype=np.float32)


class _Noise:
    """The room's own faint sound: a loop of ten seconds, so that ten hours cost nothing."""

    def __init__(self, seed: int, sample_rate: int) -> None:
        self._loop = np.random.default_rng(seed).normal(0.0, NOISE_LEVEL, 10 * sample_rate).astype(np.float32)
        self._at = 0

    def over(self, sound: Wave) -> bytes:
        """The sound with the room around it, as s16le."""
        places = np.arange(self._at, self._at + len(sound)) % len(self._loop)
        self._at = (self._at + len(sound)) % len(self._loop)
        return _pcm(sound + self._loop[places])


def _pcm(sound: Wave) -> bytes:
    return np.clip(np.rint(sound * 32767), -32768, 32767).astype("<i2").tobytes()


def write_wav(path: Path, stream: Iterable[tuple[bytes, list[Spoken]]], sample_rate: int = 16_000) -> list[Spoken]:
    """Write a generated stream to disk as it comes; returns the truth."""
    truth: list[Spoken] = []
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(sample_rate)
        for block, spoken in stream:
            sound.writeframesraw(block)
            truth += spoken
    return truth


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a WAV file of oracle speech, and its words with their times in samples as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--style", choices=get_args(Style), default="natural")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample-rate", type=int, default=16_000)
    parser.add_argument("--truth", type=Path)
    asked = parser.parse_args(arguments)
    stream = generate(seconds=asked.seconds, style=asked.style, seed=asked.seed, sample_rate=asked.sample_rate)
    truth = write_wav(asked.out, stream, asked.sample_rate)
    if asked.truth:
        asked.truth.write_text(json.dumps([asdict(word) for word in truth]), encoding="utf-8")


if __name__ == "__main__":
    main()
