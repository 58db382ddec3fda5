"""Real speech through PocketSphinx, cut and stitched against heard in one piece; and how often a cut falls inside a word.

`REAL_SPEECH=FOLDER python -m tests.benchmarks real_speech`: the folder holds recordings, each with what is said in it beside it
as a .txt. They are laid end to end in random order, with pauses of random length between them.
"""

import os
import random
import re
import tempfile
import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.audio.decode import decode
from pipeline.catalog.toml_file import load_catalog
from pipeline.cut.cutter import CutProfile, cut
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.engines.process_pool import EnginePool
from pipeline.options import TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import transcribe
from pipeline.transcript import SAMPLE_RATE
from tests.benchmarks.report import Figure
from tests.support.word_error_rate import word_error_rate

SECONDS = 600.0
PAUSES = (0.05, 0.9)  # seconds
SEEDS = range(30)  # arrangements that are cut; hearing takes long, so only the first one is heard
FRAME = SAMPLE_RATE // 100  # samples: the engine's times are of 10 ms
EDGE = FRAME  # at a word's ends, not inside it
FILLERS = ("<", "[", "+")

Found = list[tuple[str, int, int, float]]  # as the engine tells it: word, first and last frame, posterior
Piece = tuple[int, int, str]  # first and last sample, word


@dataclass(frozen=True)
class Recording:
    """Samples, the words in them, and where the engine finds words when it hears nothing else."""

    pcm: bytes
    words: list[str]
    placed: list[Piece]


def spelled(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def placed(found: Found) -> list[Piece]:
    """The words without fillers, nor the numbers of their pronunciations."""
    words = ((first * FRAME, (last + 1) * FRAME, word.partition("(")[0]) for word, first, last, _ in found)
    return [piece for piece in words if piece[2] and not piece[2].startswith(FILLERS)]


def recordings(folder: Path, engine: EnginePool) -> list[Recording]:
    """All that have a text."""
    found = []
    for path in sorted(folder.iterdir()):
        text = path.with_suffix(".txt")
        if path.suffix in (".wav", ".flac", ".mp3") and text.exists():
            with decode(path) as decoding:
                pcm = b"".join(decoding)
            words = placed(engine.call("decode", pcm, timeout=600))
            found.append(Recording(pcm, spelled(text.read_text(encoding="utf-8")), words))
    return found


def arranged(recordings: list[Recording], seed: int) -> Recording:
    """One long recording of them."""
    chance, sound = random.Random(seed), bytearray()
    noise = np.random.default_rng(seed)
    words, pieces = list[str](), list[Piece]()
    while len(sound) < 2 * SECONDS * SAMPLE_RATE:
        taken, at = chance.choice(recordings), len(sound) // 2
        words += taken.words
        pieces += [(at + start, at + end, word) for start, end, word in taken.placed]
        pause = noise.normal(0, 3, round(chance.uniform(*PAUSES) * SAMPLE_RATE)).astype("<i2")
        sound += taken.pcm + pause.tobytes()
    return Recording(bytes(sound), words, pieces)


def heard(recording: Recording) -> list[str]:
    """What the whole pipeline makes of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes(recording.pcm)
        with ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=2) as registry:
            return spelled(transcribe(path, TranscriptionOptions(model="pocketsphinx-en-us"), registry, workers=2).text)


def inside(recording: Recording) -> tuple[int, int]:
    """(cuts inside a word, cuts) at 30 s."""
    cuts = [chunk.span.own_end for chunk in cut(iter([recording.pcm]), CutProfile(max_s=30))][:-1]
    hit = [at for at in cuts if any(start + EDGE < at < end - EDGE for start, end, _ in recording.placed)]
    return len(hit), len(cuts)


def run() -> Iterator[Figure]:
    folder = os.environ.get("REAL_SPEECH")
    if not folder:
        yield Figure("nothing to hear: set REAL_SPEECH to a folder", "")
        return
    with closing(EnginePool(EngineSpec("bare", "pipeline.providers.pocketsphinx:Recogniser"))) as engine:
        found = recordings(Path(folder), engine)
        long = arranged(found, SEEDS[0])
        bare = [word for _, _, word in placed(engine.call("decode", long.pcm, timeout=3600))]
    theirs, ours = (100 * word_error_rate(long.words, words) for words in (bare, heard(long)))
    minutes = len(long.pcm) / 2 / SAMPLE_RATE / 60
    good = ours <= theirs + 0.5
    yield Figure(
        f"word errors in {minutes:.0f} min", f"{ours:.1f} %", f"in one piece {theirs:.1f} %", None, "+ 0.5", good
    )
    hits, cuts = (sum(counts) for counts in zip(*(inside(arranged(found, seed)) for seed in SEEDS), strict=True))
    share = 100 * hits / cuts
    yield Figure(f"of {cuts} cuts at 30 s inside a word", f"{share:.2f} %", "", None, "<= 2 %", share <= 2)
