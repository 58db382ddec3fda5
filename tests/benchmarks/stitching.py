"""Ten hours natural and an hour dense, heard by providers of every kind: errors per forced seam, times, and how long it takes."""

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from infra.memory_tuning import tune_memory
from pipeline.catalog.toml_file import load_catalog
from pipeline.cut.cutter import Span
from pipeline.options import TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import transcribe
from pipeline.stitch.stitcher import stitch
from pipeline.stitch.timeline import runs_forward
from pipeline.transcript import Heard, Transcript, Word
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording, truth
from tests.pipeline.hearers import Detail, Hearer, Style, cut_timeline, timeline
from tests.support.word_error_rate import word_errors

HOUR = 3600
CLOCKS = ((0, 0), (60, 0), (60, 250))  # ms of jitter per word and of bias per chunk
MOST = {"word": 0.0, "segment": 0.1, "text": 1.0}  # errors per forced seam
CATALOG = """
[providers.oracle]
scripted = true

[models.oracle]
tasks = ["transcription"]
routes = [{ provider = "oracle", model = "oracle" }]
"""


def in_any_order(hearer: Hearer, spans: Sequence[Span]) -> list[tuple[Span, Heard]]:
    """Every chunk's answer; they come shuffled, and one in ten fails and is asked for again."""
    chance, waiting, found = random.Random(1), list(spans), dict[int, Heard]()
    while waiting:
        span = waiting.pop(chance.randrange(len(waiting)))
        if chance.random() < 0.1:
            waiting.append(span)
        else:
            found[span.index] = hearer.hear(span)
    return [(span, found[span.index]) for span in spans]


def start_error(said: Sequence[Word], whole: Transcript) -> int:
    """The worst, in ms; the words must be the same."""
    return max(abs(one.start - other.start) for one, other in zip(said, whole.words, strict=True))


def simulated(style: Style, hours: int, detail: Detail, jitter: int, bias: int) -> Figure:
    said = timeline(hours * HOUR, style)
    spans = cut_timeline(said, hours * HOUR * 1000)
    hard = sum(span.right_edge == "hard" for span in spans)
    whole = stitch(in_any_order(Hearer(said, detail, jitter, bias), spans), duration=hours * HOUR * 1000)
    found = [word.text for word in whole.words] or whole.text.split()
    errors = word_errors([word.text for word in said], found)
    rate = sum(errors) / hard if hard else float(sum(errors))
    late = start_error(said, whole) if detail == "word" and not sum(errors) else 0
    good = rate <= (MOST[detail] if hard else 0) and late <= 20 + jitter + bias and runs_forward(whole.segments)
    title = f"{hours} h {style}, {detail}s, +-{jitter} ms, chunks +-{bias} ms, {hard} forced"
    target = f"<= {MOST[detail] if hard else 0:g} a seam" + (f", {20 + jitter + bias} ms" if detail == "word" else "")
    return Figure(title, f"{rate:.3f} a seam", f"worst {late} ms" if detail == "word" else "", None, target, good)


def with_sound(detail: Detail, registry: ProviderRegistry, recording: Path) -> Figure:
    spoken = [word.text for word in truth(seconds=HOUR, style="dense")]
    options = TranscriptionOptions(model="oracle", prompt=f"oracle: detail={detail}")
    whole = transcribe(recording, options, registry, workers=2)
    errors = word_errors(spoken, whole.text.split())
    forced = whole.seams.hard + whole.seams.soft
    rate, moved = sum(errors) / forced, 0.0
    if whole.words and not sum(errors):
        starts = np.array([word.start / 16 for word in truth(seconds=HOUR, style="dense")])
        moved = float(np.abs(np.array([word.start for word in whole.words]) - starts).max())
    good = rate <= MOST[detail] and moved <= 20
    title = f"an hour of dense sound, {detail}s, {forced} forced seams"
    return Figure(title, f"{rate:.3f} a seam", f"worst {moved:.1f} ms", None, f"<= {MOST[detail]:g} a seam", good)


def speed(style: Style, detail: Detail) -> Figure:
    """Ten hours, as a worker stitches them: everything that lived before is left alone by the collector."""
    said = timeline(10 * HOUR, style)
    spans = cut_timeline(said, 10 * HOUR * 1000)
    parts = [(span, Hearer(said, detail, 60).hear(span)) for span in spans]
    tune_memory()
    took = []
    for _ in range(3):
        started = time.perf_counter()
        stitch(parts, duration=10 * HOUR * 1000)
        took.append(time.perf_counter() - started)
    title = f"stitching 10 h {style}, {detail}s: {len(said)} words, {len(spans)} chunks"
    return Figure(title, f"{min(took):.2f} s", "", None, "< 1 s", min(took) < 1)


def run() -> Iterator[Figure]:
    details: tuple[Detail, ...] = ("word", "segment", "text")
    for detail in details:
        for jitter, bias in CLOCKS:
            yield simulated("natural", 10, detail, jitter, bias)
            yield simulated("dense", 1, detail, jitter, bias)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "catalog.toml").write_text(CATALOG)
        recording = oracle_recording(folder, seconds=HOUR, style="dense", suffixes=["flac"])["flac"]
        with ProviderRegistry(
            load_catalog(folder / "catalog.toml", embedded_engines="off"), engine_processes=1
        ) as registry:
            for detail in details:
                yield with_sound(detail, registry, recording)
    for style, detail in (("natural", "word"), ("dense", "word"), ("dense", "segment"), ("dense", "text")):
        yield speed(style, detail)
