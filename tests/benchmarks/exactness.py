"""An hour of oracle speech through six codecs: words lost, doubled, broken, moved; drift over the hour."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.catalog.toml_file import load_catalog
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import Spoken
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import transcribe
from pipeline.transcript import Transcript
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import CODECS, oracle_recording, truth

SECONDS = 3600.0


def compare(transcript: Transcript, spoken: Sequence[Spoken]) -> tuple[bool, float, float]:
    """(same words in the same order, worst start error in ms, drift over the file in ms)."""
    words = transcript.words
    if [word.text for word in words] != [word.text for word in spoken]:
        return False, float("nan"), float("nan")
    starts = np.array([word.start / 16 for word in spoken])
    errors = np.array([word.start for word in words]) - starts
    slope = np.polyfit(starts, errors, 1)[0]
    return True, float(np.abs(errors).max()), float(slope * starts[-1])


def run() -> Iterator[Figure]:
    spoken = truth(seconds=SECONDS, style="natural")
    registry = ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=1)
    options = TranscriptionOptions(model="oracle", timestamp_granularities=("word",))
    try:
        with tempfile.TemporaryDirectory() as folder:
            for suffix, path in oracle_recording(
                Path(folder), seconds=SECONDS, style="natural", suffixes=list(CODECS)
            ).items():
                started = time.monotonic()
                transcript = transcribe(path, options, registry, workers=2)
                took = time.monotonic() - started
                same, worst, drift = compare(transcript, spoken)
                title = f"{suffix}: {len(spoken)} words, {len(transcript.words)} heard, in {took:.0f} s"
                good = same and worst <= 20 and abs(drift) <= 5
                yield Figure(title, f"{worst:.1f} ms", f"drift {drift:.2f} ms", None, "all, <= 20 ms", good)
    finally:
        registry.close()
