"""Talks of several people out of what single voices have said: recordings of a folder, and sentences spoken by Kokoro."""

import io
import random
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.audio.decode import decode
from pipeline.audio.encode import encode
from pipeline.kokoro.folder import SAMPLE_RATE as KOKORO_RATE
from pipeline.kokoro.voices import STYLES
from pipeline.options import SpeechOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak
from pipeline.transcript import SAMPLE_RATE
from tests.benchmarks.spoken_prose import prose
from tests.support.diarization_error import Turns

SENTENCES = 14  # that each style of Kokoro's says
SHORTEST, LONGEST = 2.0, 10.0  # seconds of a turn
QUIET, BRIDGE = 0.03, 0.3  # of the loudest frame; seconds that still are the same speech
KINDS = ("plain", "overlapping", "phone")
LENGTHS = (45.0, 180.0)  # seconds of a talk

Wave = np.ndarray
Voices = Mapping[str, Sequence[Wave]]  # by name, turns of 2 to 10 s


@dataclass(frozen=True)
class Talk:
    """Its sound, and who speaks when, in ms."""

    wav: bytes
    truth: Turns

    @property
    def speakers(self) -> list[str]:
        """Each once, in the order in which they are first heard."""
        return list(dict.fromkeys(str(who) for _, _, who in self.truth))


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


def talk(voices: Voices, kind: str, seed: int) -> Talk:
    """Of one to four of these, 45 to 180 s long."""
    chance = random.Random(seed)
    count = (2, 3, 2, 4, 2, 1)[seed % 6]
    chosen = {who: voices[who] for who in chance.sample(sorted(voices), min(count, len(voices)))}
    return conversation(chosen, kind, chance.uniform(*LENGTHS), chance)


def conversation(voices: Voices, kind: str, seconds: float, chance: random.Random) -> Talk:
    """Of all of these, as loud as they happen to be."""
    levels = {who: 10 ** (chance.uniform(-4, 4) / 20) for who in sorted(voices)}
    length, at, end = round(seconds * SAMPLE_RATE), SAMPLE_RATE // 2, 0
    sound, truth, last = np.zeros(length + 20 * SAMPLE_RATE, np.float32), list[tuple[int, int, str]](), ""
    while at < length:
        who = chance.choice([one for one in sorted(voices) if one != last] or sorted(voices))
        piece = chance.choice(voices[who])
        piece = piece / np.abs(piece).max() * 9000 * levels[who]
        sound[at : at + len(piece)] += piece
        truth += [((at + a) * 1000 // SAMPLE_RATE, (at + b) * 1000 // SAMPLE_RATE, who) for a, b in voiced(piece)]
        end, last = at + len(piece), who
        at = end + _pause(kind, chance)
    sound = sound[: end + SAMPLE_RATE // 2]
    sound = sound + np.random.default_rng(chance.randrange(2**32)).normal(0, 8, len(sound)).astype(np.float32)
    pcm = np.clip(sound, -32768, 32767).astype("<i2").tobytes()
    return Talk(over_the_phone(pcm) if kind == "phone" else as_wav(pcm, SAMPLE_RATE), truth)


def _pause(kind: str, chance: random.Random) -> int:
    """Samples until the next one speaks; less than none where he does not wait."""
    if kind == "overlapping" and chance.random() < 0.4:
        return -round(chance.uniform(0.2, 1.0) * SAMPLE_RATE)
    return round(chance.uniform(0.1, 1.2) * SAMPLE_RATE)


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
