"""Words laid over human speech by the embedded aligner, against times that another engine gave them.

`WORD_TIMES=FOLDER python -m tests.benchmarks word_times`: the folder holds the recordings; the reference times of their words lie
in `word_times_of_recordings`, made once by PocketSphinx's own forced alignment (frames of 10 ms) of what is said in them. Each
chunk gets the words of its own as a bare text, as a provider would give it that tells no times.
"""

import csv
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.settings import Settings
from pipeline.audio.decode import decode
from pipeline.cut.cutter import CutProfile, cut
from pipeline.provider_protocol import Align
from pipeline.provider_registry import ProviderRegistry
from pipeline.recognition.word_times import with_words
from pipeline.transcript import Heard, Segment, samples_to_ms
from tests.benchmarks.report import Figure

REFERENCES = Path(__file__).parent / "word_times_of_recordings"
ENDINGS = (".flac", ".wav", ".mp3")
GOAL_MS = 100


@dataclass(frozen=True)
class Timed:
    """A word of a recording, in ms."""

    word: str
    start: int
    end: int


def reference(path: Path) -> list[Timed]:
    """The words of a recording in order."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Timed(row["word"], int(row["start_ms"]), int(row["end_ms"])) for row in csv.DictReader(file)]


def laid(pcm: bytes, words: list[Timed], align: Align) -> Iterator[tuple[Timed, Timed]]:
    """(the reference, what the aligner says) for every word."""
    for chunk in cut([pcm], CutProfile()):
        begin, until = samples_to_ms(chunk.span.own_start), samples_to_ms(chunk.span.own_end)
        owned = [one for one in words if begin <= (one.start + one.end) / 2 < until]
        text = " ".join(one.word for one in owned)
        heard = with_words(Heard((Segment(text, 0, 0),), "en", timed=False), chunk.pcm, align)
        told = [word for segment in heard.segments for word in segment.words]
        assert len(told) == len(owned), f"{len(told)} words of {len(owned)} have times"
        offset = samples_to_ms(chunk.span.audio_start)
        for one, word in zip(owned, told, strict=True):
            yield one, Timed(word.text, offset + word.start, offset + word.end)


def figures(name: str, pairs: list[tuple[Timed, Timed]]) -> Iterator[Figure]:
    """How far beginnings and ends are off."""
    for edge in ("start", "end"):
        off = sorted(abs(getattr(one, edge) - getattr(other, edge)) for one, other in pairs)
        median, worst = statistics.median(off), off[round(0.95 * (len(off) - 1))]
        title = f"{name}: {len(pairs)} words, their {edge}: median"
        yield Figure(title, f"{median:.0f} ms", f"95th {worst} ms", None, f"<= {GOAL_MS} ms", median <= GOAL_MS)


def run() -> Iterator[Figure]:
    folder = os.environ.get("WORD_TIMES")
    if not folder:
        yield Figure("nothing to align: set WORD_TIMES to a folder of recordings", "")
        return
    everything: list[tuple[Timed, Timed]] = []
    with ProviderRegistry(Settings.from_env(os.environ).load_catalog(), engine_processes=1) as registry:
        align = registry.aligner()
        assert align is not None, "no aligner: stenopool models install whisper-base"
        for path in sorted(one for one in Path(folder).iterdir() if one.suffix in ENDINGS):
            known = REFERENCES / f"{path.stem}.csv"
            if known.exists():
                with decode(path) as decoding:
                    pcm = b"".join(decoding)
                everything += (pairs := list(laid(pcm, reference(known), align)))
                yield from figures(path.stem, pairs)
    yield from figures("all", everything)
