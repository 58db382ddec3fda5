"""What the embedded ears hear of real speech: errors, and what a second of sound costs.

`ENGINES=FOLDER python -m tests.benchmarks engines`: the folder holds recordings, each with what is said in it beside it as a .txt.
Whisper base is heard where it is installed.
"""

import os
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.settings import Settings
from pipeline.catalog.toml_file import load_catalog
from pipeline.options import TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import transcribe
from tests.benchmarks.real_speech import spelled
from tests.benchmarks.report import Figure
from tests.support.word_error_rate import word_errors

GOOD = {"whisper-base": 6.0}  # % of words at most


def recordings(folder: Path) -> list[tuple[Path, list[str]]]:
    """Each that has a text, and its words."""
    sounds = [path for path in sorted(folder.iterdir()) if path.suffix in (".wav", ".flac", ".mp3")]
    texts = {path: path.with_suffix(".txt") for path in sounds}
    return [(path, spelled(text.read_text("utf-8"))) for path, text in texts.items() if text.exists()]


def processor_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(ear: str, found: Sequence[tuple[Path, list[str]]], settings: Settings) -> Iterator[Figure]:
    """One for each recording, then one for all."""
    catalog = load_catalog(None, embedded_engines="auto", stock=settings.stock_providers)
    errors, words, seconds = 0, 0, 0.0
    used, began = processor_seconds(), time.monotonic()
    with ProviderRegistry(catalog, engine_processes=1) as registry:
        for path, said in found:
            heard = transcribe(path, TranscriptionOptions(model=ear), registry)
            wrong = word_errors(said, spelled(heard.text)).all if said else len(spelled(heard.text))
            yield Figure(
                f"{ear}, {path.name}", f"{wrong} of {len(said)} words", f"{heard.model_used}, {heard.language}"
            )
            errors, words, seconds = errors + wrong, words + len(said), seconds + heard.duration / 1000
    rate, spent = 100 * errors / max(words, 1), time.monotonic() - began
    told = f"{(processor_seconds() - used) / seconds:.2f} s of processor and {spent / seconds:.2f} s for each of {seconds:.0f} s"
    limit = GOOD.get(ear)
    target = f"<= {limit} %" if limit else ""
    yield Figure(f"{ear}, word errors", f"{rate:.1f} %", told, None, target, rate <= limit if limit else None)


def run() -> Iterator[Figure]:
    folder = os.environ.get("ENGINES")
    if not folder:
        yield Figure("nothing to hear: set ENGINES to a folder", "")
        return
    settings, found = Settings.from_env(os.environ), recordings(Path(folder))
    for ear in (*settings.weights.serving, "pocketsphinx-en-us"):
        yield from figures(ear, found, settings)
