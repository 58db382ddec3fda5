"""Subtitles of a six-hour word timeline: our layout beside whisper's greedy writer of two lines of 42, and every file parsed."""

import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import srt
import webvtt

from pipeline.captions.layout import Cue, cues
from pipeline.captions.options import Layout
from pipeline.formats import load
from pipeline.formats.base import RenderOptions
from pipeline.transcript import Segment, Transcript, Word
from tests.benchmarks.report import Figure

HOURS = 6
LAYOUT = Layout()
SHORTEST, LONGEST, GAP, FASTEST = 833, 7000, 84, 20.0  # ms, ms, ms (two frames), characters a second
WRITTEN_LINE, WRITTEN_LINES, WRITTEN_PAUSE = 42, 2, 3000  # as whisper's writer has them; the pause in ms
LITTLE = "the a of to and in that it is was for on with he as you at by we have from or one had but not what all were when".split()  # noqa: SIM905
SYLLABLES = "ba ke li mo nu ra te so vi da for men ter ing con per al is en ur ca ti on pre gra stel".split()  # noqa: SIM905


def timeline(seed: int = 1) -> list[Segment]:
    """Sentences of a few phrases each, spoken at 1.5 to 5 words a second, with breath at commas and pauses at full stops.

    Now and then somebody stops in the middle of a phrase, says one word alone, or hurries on without a breath.
    """
    chance, segments, now = random.Random(seed), list[Segment](), 500
    while now < HOURS * 3_600_000:
        pace = chance.uniform(0.5, 1.2)
        words, texts = list[Word](), list[str]()
        for text in sentence(chance):
            length = round(pace * (90 + 52 * len(text.strip(".,?")) + chance.randint(-40, 80)))
            words.append(Word(text.strip(".,?"), now, now + max(length, 60)))
            texts.append(text)
            now = words[-1].end + breath(chance, text)
        segments.append(Segment(" ".join(texts), words[0].start, words[-1].end, tuple(words)))
    return segments


def sentence(chance: random.Random) -> list[str]:
    """A few words, punctuated; one in ten is a single one."""
    count = 1 if chance.random() < 0.1 else min(40, max(2, round(chance.lognormvariate(2.4, 0.6))))
    spoken = [word(chance) for _ in range(count)]
    at = chance.randint(4, 12)
    while at < count - 2:
        spoken[at] += ","
        at += chance.randint(4, 12)
    return [*spoken[:-1], spoken[-1] + chance.choice("...?")]


def word(chance: random.Random) -> str:
    if chance.random() < 0.45:
        return chance.choice(LITTLE)
    return "".join(chance.choices(SYLLABLES, k=chance.choices((1, 2, 3, 4, 6), (4, 6, 4, 2, 1))[0]))


def breath(chance: random.Random, text: str) -> int:
    """ms after this word."""
    if text.endswith((".", "?")):
        return chance.choice((60, 150, 300, 500, 800, 1500, 3000))
    if text.endswith(","):
        return chance.choice((0, 80, 200, 400))
    return chance.choice((700, 2000)) if chance.random() < 0.01 else chance.choice((0, 0, 10, 30))


def greedy(segments: Sequence[Segment]) -> list[Cue]:
    """What whisper's writer does: fill the line, then the next one, then begin a cue; a long pause begins one, too."""
    found, lines, width = list[Cue](), list[list[str]](), 0
    start, end = 0, 0
    for text, spoken in words_of(segments):
        pause = spoken.start - end > WRITTEN_PAUSE and lines
        fits = lines and not pause and width + 1 + len(text) <= WRITTEN_LINE
        if not fits and lines and (pause or len(lines) == WRITTEN_LINES):
            found.append(Cue(start, end, tuple(map(" ".join, lines))))
            lines = []
        if not lines:
            start = spoken.start
        if fits:
            lines[-1].append(text)
            width += 1 + len(text)
        else:
            lines.append([text])
            width = len(text)
        end = spoken.end
    return [*found, Cue(start, end, tuple(map(" ".join, lines)))]


def words_of(segments: Sequence[Segment]) -> Iterator[tuple[str, Word]]:
    """Every word as it is written, with its time."""
    for segment in segments:
        yield from zip(segment.text.split(), segment.words, strict=True)


@dataclass(frozen=True)
class Rule:
    """What counts as a fault; `most` is the share in % that is allowed, inf: fewer than greedy, None: only told."""

    name: str
    broken: Callable[[Sequence[Cue]], int]
    most: float | None = 0.0


def each(broken: Callable[[Cue], bool]) -> Callable[[Sequence[Cue]], int]:
    return lambda found: sum(map(broken, found))


def between(broken: Callable[[Cue, Cue], bool]) -> Callable[[Sequence[Cue]], int]:
    return lambda found: sum(broken(one, other) for one, other in pairwise(found))


def characters_a_second(cue: Cue) -> float:
    return 1000 * sum(map(len, cue.lines)) / max(cue.end - cue.start, 1)


RULES = (
    Rule("a line over 42 characters", each(lambda cue: max(map(len, cue.lines)) > WRITTEN_LINE)),
    Rule("over two lines", each(lambda cue: len(cue.lines) > WRITTEN_LINES)),
    Rule("under 5/6 s", each(lambda cue: cue.end - cue.start < SHORTEST)),
    Rule("over 7 s", each(lambda cue: cue.end - cue.start > LONGEST)),
    Rule("overlapping the next", between(lambda one, other: other.start < one.end)),
    Rule("closer than two frames", between(lambda one, other: other.start - one.end < GAP)),
    Rule("ending inside a phrase", each(lambda cue: cue.lines[-1][-1] not in ".,?"), inf),
    Rule("over 20 characters a second", each(lambda cue: characters_a_second(cue) > FASTEST), None),
)


def compared(rule: Rule, ours: Sequence[Cue], theirs: Sequence[Cue]) -> Figure:
    mine, other = (100 * rule.broken(found) / len(found) for found in (ours, theirs))
    good = None if rule.most is None else mine < other / 2 if rule.most == inf else mine <= rule.most
    target = "" if rule.most is None else "< half" if rule.most == inf else f"{rule.most:g} %"
    return Figure(rule.name, f"{mine:.2f} %", f"greedy {other:.1f} %", None, target, good)


def shifted(found: Sequence[Cue], spoken: Sequence[Word]) -> Iterator[Figure]:
    """How far cues begin from their first word and end before their last one."""
    begins, ends, at = list[int](), list[int](), 0
    for cue in found:
        count = sum(len(line.split()) for line in cue.lines)
        begins.append(abs(cue.start - spoken[at].start))
        ends.append(spoken[at + count - 1].end - cue.end)
        at += count
    for name, values, most in (("begin over 0.25 s from", begins, 250), ("end over 0.5 s before", ends, 500)):
        share = 100 * sum(value > most for value in values) / len(values)
        worst = f"worst {max(values) / 1000:.2f} s"
        yield Figure(f"cues that {name} the word", f"{share:.2f} %", worst, None, "<= 1 %", share <= 1)


def parsed(segments: Sequence[Segment], expected: Sequence[Cue]) -> Iterator[Figure]:
    """The files, read by somebody else's parsers."""
    transcript = Transcript(tuple(segments), segments[-1].end + 5000)
    text = " ".join(line for cue in expected for line in cue.lines)
    for name, read in (("srt", _srt), ("vtt", _vtt)):
        found = read(load(name).render(transcript, RenderOptions()))
        good = len(found) == len(expected) and " ".join(" ".join(found).split()) == text
        yield Figure(f"cues of the {name} read back", str(len(found)), f"laid out {len(expected)}", None, "all", good)


def _srt(file: str) -> list[str]:
    return [cue.content for cue in srt.parse(file)]


def _vtt(file: str) -> list[str]:
    return [cue.text for cue in webvtt.from_buffer(io.StringIO(file))]


def run() -> Iterator[Figure]:
    segments = timeline()
    began = time.perf_counter()
    ours = cues(segments, LAYOUT)
    took = time.perf_counter() - began
    theirs = greedy(segments)
    said = [text for text, _ in words_of(segments)]
    same = [word for cue in ours for line in cue.lines for word in line.split()] == said
    yield Figure(f"words of {len(said)} shown in order", "all" if same else "not all", "", None, "all", same)
    yield Figure("cues", str(len(ours)), f"greedy {len(theirs)}", len(ours) / len(theirs))
    yield from (compared(rule, ours, theirs) for rule in RULES)
    yield from shifted(ours, [spoken for _, spoken in words_of(segments)])
    yield Figure("layout, seconds for six hours", f"{took:.1f} s", "", None)
    yield from parsed(segments, ours)
