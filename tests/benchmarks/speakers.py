"""Talks of several voices, told apart by the whole pipeline: error, count, processor time and memory.

`SPEAKERS=FOLDER python -m tests.benchmarks speakers`: the folder holds recordings, each of one voice and with what is said beside
it as a .txt; files whose names begin alike, up to a "-", are of one voice. Kokoro's styles are more voices. Weights of Whisper
base, Kokoro and the voices have to be installed. `SPEAKERS_TALKS` (12) talks of each kind are made, always the same ones.
"""

import io
import os
import random
import time
import tracemalloc
import wave
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infra.settings import Settings
from pipeline.audio.decode import decode
from pipeline.audio.encode import encode
from pipeline.kokoro.folder import SAMPLE_RATE as KOKORO_RATE
from pipeline.kokoro.voices import STYLES
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak, transcribe
from pipeline.speakers.comparison import compared
from pipeline.speakers.excerpts import HOP, LONG
from pipeline.speakers.voice_reader import VoiceReader
from pipeline.transcript import SAMPLE_RATE
from tests.benchmarks.report import Figure
from tests.benchmarks.spoken_prose import prose
from tests.support.diarization_error import Errors, Turns, errors

TALKS = int(os.environ.get("SPEAKERS_TALKS", "12"))
SENTENCES = 14  # that each style of Kokoro's says
SHORTEST, LONGEST = 2.0, 10.0  # seconds of a turn
WRONG, CONFUSED = 12.0, 5.0  # percent, at most
QUIET, BRIDGE = 0.03, 0.3  # of the loudest frame; seconds that still are the same speech
KINDS = ("plain", "overlapping", "phone")
HOURS = 24

Wave = np.ndarray


@dataclass(frozen=True)
class Talk:
    """Its sound, and who speaks when."""

    wav: bytes
    truth: Turns
    speakers: int


def voiced(sound: Wave) -> list[tuple[int, int]]:
    """Stretches of samples in which something is loud, by a rule that the product does not know."""
    frame = SAMPLE_RATE // 50
    levels = np.sqrt(np.mean(sound[: len(sound) // frame * frame].reshape(-1, frame) ** 2, axis=1))
    loud = np.flatnonzero(levels > QUIET * levels.max())
    found: list[tuple[int, int]] = []
    for at in loud.tolist():
        start, end = at * frame, (at + 1) * frame
        if found and start - found[-1][1] < BRIDGE * SAMPLE_RATE:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def turns_of(sound: Wave) -> list[Wave]:
    """Pieces of 2 to 10 s that begin and end with speech."""
    pieces, open_ = list[Wave](), None
    for start, end in voiced(sound):
        first = start if open_ is None else open_
        if end - first > LONGEST * SAMPLE_RATE:
            open_ = start
            continue
        open_ = first
        if end - first >= SHORTEST * SAMPLE_RATE:
            pieces.append(sound[first:end])
            open_ = None
    return pieces


def recorded(folder: Path) -> dict[str, list[Wave]]:
    """By voice, the turns out of its recordings."""
    voices: dict[str, list[Wave]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".wav", ".flac", ".mp3") and path.with_suffix(".txt").exists():
            with decode(path) as decoding:
                sound = np.frombuffer(b"".join(decoding), "<i2").astype(np.float32)
            voices.setdefault(path.stem.split("-")[0], []).extend(turns_of(sound))
    return voices


def spoken(registry: ProviderRegistry) -> dict[str, list[Wave]]:
    """The same of Kokoro's styles, each with sentences of its own."""
    sentences = [one for one in prose() if 8 <= len(one.split()) <= 22]
    voices: dict[str, list[Wave]] = {}
    for number, style in enumerate(STYLES):
        for text in sentences[number * SENTENCES : (number + 1) * SENTENCES]:
            asked = SpeechOptions(model="kokoro", voice=style, input=text, response_format="pcm")
            wav = b"".join(encode(iter([b"".join(speak(asked, registry))]), sample_rate=KOKORO_RATE, target="wav"))
            with decode(wav) as decoding:
                sound = np.frombuffer(b"".join(decoding), "<i2").astype(np.float32)
            voices.setdefault(style, []).extend(turns_of(sound))
    return voices


def talk(voices: Mapping[str, Sequence[Wave]], kind: str, seed: int) -> Talk:
    """Of one to four of these, 45 to 180 s long."""
    chance = random.Random(seed)
    count = (2, 3, 2, 4, 2, 1)[seed % 6]
    chosen = chance.sample(sorted(voices), min(count, len(voices)))
    levels = {who: 10 ** (chance.uniform(-4, 4) / 20) for who in chosen}
    length, at, end = round(chance.uniform(45, 180) * SAMPLE_RATE), SAMPLE_RATE // 2, 0
    sound, truth, last = np.zeros(length + 20 * SAMPLE_RATE, np.float32), list[tuple[int, int, str]](), ""
    while at < length:
        who = chance.choice([one for one in chosen if one != last] or chosen)
        piece = chance.choice(voices[who])
        piece = piece / np.abs(piece).max() * 9000 * levels[who]
        sound[at : at + len(piece)] += piece
        truth += [((at + a) * 1000 // SAMPLE_RATE, (at + b) * 1000 // SAMPLE_RATE, who) for a, b in voiced(piece)]
        end, last = at + len(piece), who
        overlaps = kind == "overlapping" and chance.random() < 0.4
        at = (
            end - round(chance.uniform(0.2, 1.0) * SAMPLE_RATE)
            if overlaps
            else end + round(chance.uniform(0.1, 1.2) * SAMPLE_RATE)
        )
    sound = sound[: end + SAMPLE_RATE // 2] + np.random.default_rng(seed).normal(0, 8, end + SAMPLE_RATE // 2)
    pcm = np.clip(sound, -32768, 32767).astype("<i2").tobytes()
    return Talk(
        over_the_phone(pcm) if kind == "phone" else as_wav(pcm, SAMPLE_RATE), truth, len({one[2] for one in truth})
    )


def as_wav(pcm: bytes, rate: int) -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(pcm)
    return memory.getvalue()


def over_the_phone(pcm: bytes) -> bytes:
    """300 to 3,400 Hz, 8 kHz, in the steps of µ-law."""
    spectrum = np.fft.rfft(np.frombuffer(pcm, "<i2").astype(np.float64))
    hertz = np.fft.rfftfreq(len(pcm) // 2, 1 / SAMPLE_RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    sound = np.fft.irfft(spectrum, len(pcm) // 2)[::2] / 32768
    companded = np.round(np.sign(sound) * np.log1p(255 * np.abs(sound)) / np.log(256) * 127) / 127
    heard = np.sign(companded) * np.expm1(np.abs(companded) * np.log(256)) / 255
    return as_wav((np.clip(heard, -1, 1) * 32767).astype("<i2").tobytes(), SAMPLE_RATE // 2)


def told_apart(registry: ProviderRegistry, talks: Sequence[Talk], speakers: str | int) -> tuple[Errors, Counter[int]]:
    """All errors, and by how many the number of speakers was off, how often."""
    total, off = Errors(), Counter[int]()
    for one in talks:
        asked = TranscriptionOptions(
            model="gpt-4o-transcribe-diarize",
            response_format="diarized_json",
            speakers=one.speakers if speakers == "known" else "auto",
        )
        heard = transcribe(one.wav, asked, registry, workers=2)
        told = [(segment.start, segment.end, segment.speaker) for segment in heard.segments]
        total += errors(one.truth, told)
        off[len({who for _, _, who in told}) - one.speakers] += 1
    return total, off


def quality(registry: ProviderRegistry, voices: Mapping[str, Sequence[Wave]]) -> Iterator[Figure]:
    whole, counts = Errors(), Counter[int]()
    for kind in KINDS:
        talks = [talk(voices, kind, seed) for seed in range(TALKS)]
        found, off = told_apart(registry, talks, "auto")
        whole, counts = whole + found, counts + off
        parts = "/".join(f"{100 * part / found.spoken:.1f}" for part in (found.missed, found.false, found.confused))
        yield Figure(f"{kind}: missed/false/wrong speaker, {off[0]} of {TALKS} counted right", f"{parts} %")
        known, wrong = told_apart(registry, talks, "known")
        yield Figure(f"{kind}, their number told: {wrong[0]} of {TALKS} counted right", f"{known.confusion:.1f} %")
    yield Figure("error in all", f"{whole.rate:.1f} %", "", None, f"<= {WRONG} %", whole.rate <= WRONG)
    yield Figure(
        "wrong speaker in all", f"{whole.confusion:.1f} %", "", None, f"<= {CONFUSED} %", whole.confusion <= CONFUSED
    )
    right = counts[0] / counts.total()
    good = right >= 0.8 and all(abs(off) <= 1 for off in counts)
    yield Figure(
        "number of speakers right",
        f"{100 * right:.0f} %",
        str(dict(sorted(counts.items()))),
        None,
        ">= 80 %, by one",
        good,
    )


def cost(folder: str) -> Iterator[Figure]:
    """Of the engine alone, in this process."""
    reader, chance = VoiceReader(folder, 2), np.random.default_rng(1)
    seconds = 60
    pcm = chance.normal(0, 2000, seconds * SAMPLE_RATE).astype("<i2").tobytes()
    windows = [[at, at + LONG] for at in range(0, len(pcm) // 2 - LONG, HOP)]
    reader.measure([{"pcm": pcm, "windows": windows[:4]}])
    began = time.process_time()
    reader.measure([{"pcm": pcm, "windows": windows}])
    each = (time.process_time() - began) * 3600 / seconds
    yield Figure("vectors of an hour of speech, processor", f"{each:.0f} s", "", None, "<= 240 s", each <= 240)
    for hours in (1, HOURS):
        count = hours * 3600 * SAMPLE_RATE // HOP
        people = chance.normal(size=(4, 192))
        people /= np.linalg.norm(people, axis=1, keepdims=True)
        noise = chance.normal(size=(count, 192)).astype(np.float32)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        vectors = (0.74 * people[np.arange(count) // 9 % 4] + 0.67 * noise).astype("<f2").tobytes()
        places = np.stack([np.arange(count) * HOP, np.arange(count) * HOP + LONG], axis=1).astype("<i8")
        whole = np.array([[0, int(places[-1, 1])]], "<i8").tobytes()
        tracemalloc.start()
        began = time.process_time()
        compared({"places": places.tobytes(), "vectors": vectors, "mixed": []}, whole, None, [])
        used, most = time.process_time() - began, tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        yield Figure(f"{count} windows of {hours} h compared, processor", f"{used:.1f} s", f"{most:.0f} MB more")


def run() -> Iterator[Figure]:
    folder = os.environ.get("SPEAKERS")
    settings = Settings.from_env(os.environ)
    voices_folder = settings.weights.speakers
    if voices_folder is None:
        yield Figure("nobody to tell apart: stenopool models install speakers", "")
        return
    yield from cost(str(voices_folder))
    if not {"kokoro", "whisper-base"} <= set(settings.weights.serving):
        yield Figure("nobody to speak or to hear: stenopool models install kokoro", "")
        return
    with ProviderRegistry(settings.load_catalog(), engine_processes=1) as registry:
        voices = spoken(registry) | (recorded(Path(folder)) if folder else {})
        yield Figure("voices, and turns of theirs", f"{len(voices)}", f"{sum(map(len, voices.values()))}")
        yield from quality(registry, voices)
