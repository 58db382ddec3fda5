"""The speech gate: calls in vain, words lost, and how much of a call's sound is sent to its provider."""

import random
from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.cut.cutter import Chunk, CutProfile, cut
from pipeline.oracle.speech import generate
from pipeline.transcript import SAMPLE_RATE
from tests.benchmarks.report import Figure
from tests.pipeline import sounds
from tests.pipeline.cut.spoken import at_level, lone_words, of_the_colour_of_speech, room, scattered, under_noise
from tests.pipeline.cut.steady_noises import STEADY
from tests.support.sound_files import decoded_again

MINUTES = 10
LEVELS = (2, 30, 300, 3000)
CODECS = {
    "AAC, 48 kbit/s": ("-c:a", "aac", "-b:a", "48k"),
    "mp3, 64 kbit/s": ("-c:a", "libmp3lame", "-b:a", "64k"),
    "Opus, 32 kbit/s": ("-c:a", "libopus", "-b:a", "32k"),
}
CALL_MINUTES = 60
# Of the same call, when speech of a quarter second decided whether a chunk was sent, and everything quiet was cut off.
SENT_BEFORE = 33.9  # %


def cut_up(blocks: Iterable[bytes]) -> list[Chunk]:
    """For a provider that takes 30 s."""
    return list(cut(blocks, CutProfile()))


def in_vain(sound: bytes) -> tuple[int, int]:
    """(calls, chunks) of sound in which nobody speaks."""
    found = cut_up([sound])
    return sum(chunk.span.is_sent for chunk in found), len(found)


def steady() -> Iterator[Figure]:
    """Each noise at four levels, and what codecs make of it."""
    for name, noise in STEADY.items():
        told = [in_vain(sounds.pcm(noise(60.0 * MINUTES, 1) * level)) for level in LEVELS]
        calls, chunks = (sum(counts) for counts in zip(*told, strict=True))
        yield Figure(
            f"calls in vain: {name}, {MINUTES * len(LEVELS)} min", f"{calls}", f"of {chunks}", None, "0", calls == 0
        )
    for codec, options in CODECS.items():
        for name in ("white", "pink", "brown", "fan", "hum"):
            calls, chunks = in_vain(decoded_again(sounds.pcm(STEADY[name](60.0 * MINUTES, 1) * 300), *options))
            yield Figure(f"calls in vain: {name}, through {codec}", f"{calls}", f"of {chunks}")


def sentences() -> Iterator[Figure]:
    """Each in its own recording, 10 dB under a noise; the last noise has the very colour of speech."""
    for name, noise in {**STEADY, "the colour of speech": of_the_colour_of_speech}.items():
        lost = 0
        for whole, (first, last) in under_noise(120, noise, -10):
            sent = [one.span for one in cut_up([sounds.pcm(whole)]) if one.pcm]
            lost += not any(span.audio_start <= first and last <= span.audio_end for span in sent)
        good = lost == 0 if name in STEADY else None
        title = f"sentences lost 10 dB under noise: {name}"
        yield Figure(title, f"{lost}", "of 120", None, "" if good is None else "0", good)


def words() -> Iterator[Figure]:
    """One word every 20 and 45 s."""
    for every_s in (20.0, 45.0):
        for decibels in (-20, -45):
            whole, places = scattered([at_level(word, decibels) for word in lone_words(120)], every_s, room)
            found = cut_up(sounds.in_blocks(sounds.pcm(whole), 65_536))
            sent = [(one.span.audio_start, one.span.audio_end) for one in found if one.pcm]
            lost = sum(not any(start <= first and last <= end for start, end in sent) for first, last in places)
            share = sum(end - start for start, end in sent) / len(whole)
            name = f"words lost: one every {every_s:.0f} s at {decibels} dB"
            yield Figure(name, f"{lost}", f"{100 * share:.0f} % sent", None, "0 of 120", lost == 0)


def one_side_of_a_call() -> Iterator[bytes]:
    """Turns of 2 to 15 s; between them, while the other one talks, a room, breath now and then, and a click."""
    chance = random.Random(1)
    talk = generate(seconds=3600.0 * 2, style="natural", seed=4)
    samples, nth = 0, 0
    while samples < 60 * CALL_MINUTES * SAMPLE_RATE:
        for block, _ in (next(talk) for _ in range(chance.randint(5, 40))):
            samples += len(block) // 2
            yield block
        nth += 1
        quiet = room(chance.choice((3.0, 8.0, 20.0, 60.0)), nth)
        if chance.random() < 0.5:
            at, length = chance.randrange(len(quiet) - 8000), chance.choice((200, 6000))
            quiet[at : at + length] += np.hanning(length) * sounds.white(length / SAMPLE_RATE, 150, nth)
        samples += len(quiet)
        yield sounds.pcm(quiet)


def run() -> Iterator[Figure]:
    yield from steady()
    yield from sentences()
    yield from words()
    found = cut_up(one_side_of_a_call())
    total = found[-1].span.own_end
    share = sum(len(chunk.pcm) // 2 for chunk in found) / total
    calls = sum(bool(chunk.pcm) for chunk in found)
    name = f"sent of a call's side, {total / SAMPLE_RATE / 60:.0f} min, in {calls} calls"
    yield Figure(name, f"{100 * share:.1f} %", f"before {SENT_BEFORE} %")
