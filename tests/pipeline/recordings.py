"""Imaginary recordings: words with times, the chunks they are cut into, and a provider that hears exactly what is in a chunk."""

import random
from collections.abc import Sequence
from itertools import pairwise

from pipeline.cut.cutter import Span
from pipeline.transcript import SAMPLES_PER_MS, Heard, Segment, Word, samples_to_ms

REACH = {"silence": 0, "soft": 500, "hard": 1500}  # ms heard beyond the cut


def talk(chance: random.Random, words: int, vocabulary: int) -> list[Word]:
    """Words of 60 to 450 ms, some after pauses, in ms of the recording."""
    said, now = [], chance.randint(0, 2000)
    for _ in range(words):
        now += chance.choice([0, 0, 30, 100, 700, 2500])
        end = now + chance.randint(60, 450)
        said.append(Word(f"w{chance.randrange(vocabulary)}", now, end))
        now = end
    return said


def spans(
    chance: random.Random, said: Sequence[Word], kinds: Sequence[str] = ("silence", "soft", "hard")
) -> list[Span]:
    """Chunks of 5 s and more: silence seams only where nobody speaks, forced ones anywhere."""
    end = (said[-1].end if said else 0) + chance.randint(1, 1000)
    edges: list[tuple[int, str]] = [(0, "start")]
    while True:
        kind = chance.choice(kinds)
        at = edges[-1][0] + chance.randint(5000, 9000)
        if kind == "silence":
            at = next((word.end for word in said if word.end >= at), end)
        if at + 4000 >= end:
            break
        edges.append((at, kind))
    edges.append((end, "end"))
    return [_span(index, left, right, said) for index, (left, right) in enumerate(pairwise(edges))]


def _span(index: int, left: tuple[int, str], right: tuple[int, str], said: Sequence[Word]) -> Span:
    (start, left_edge), (stop, right_edge) = left, right
    first = max(start - REACH.get(left_edge, 0), 0) * SAMPLES_PER_MS
    last = (stop + REACH.get(right_edge, 0)) * SAMPLES_PER_MS
    speech = [(word.start * SAMPLES_PER_MS, word.end * SAMPLES_PER_MS) for word in said]
    speech = [(max(begin, first), min(end, last)) for begin, end in speech if begin < last and end > first]
    return Span(
        index=index,
        audio_start=first,
        audio_end=last,
        own_start=start * SAMPLES_PER_MS,
        own_end=stop * SAMPLES_PER_MS,
        left_edge=left_edge,
        right_edge=right_edge,
        speech_samples=sum(end - begin for begin, end in speech),
        speech_map=tuple(speech),
        switch_point=stop * SAMPLES_PER_MS,
    )


def hear(said: Sequence[Word], span: Span) -> Heard:
    """Every word that lies wholly in the chunk's sound, in one segment, on the chunk's clock."""
    first, last = samples_to_ms(span.audio_start), samples_to_ms(span.audio_end)
    inside = [
        Word(word.text, word.start - first, word.end - first)
        for word in said
        if first <= word.start and word.end <= last
    ]
    if not inside:
        return Heard()
    text = " ".join(word.text for word in inside)
    return Heard((Segment(text, inside[0].start, inside[-1].end, tuple(inside)),))
