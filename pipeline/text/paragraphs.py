"""Running text in paragraphs: a new one where somebody else speaks, after a rest, and where one has become long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.text.punctuation import CLOSING, SENTENCE_ENDS
from pipeline.text.speaker_turns import label
from pipeline.transcript import Segment
from pipeline.word_spacing import joined

_REST_MS = 1500  # between two sentences: a new thought
_LONG_REST_MS = 4000  # even in the middle of a sentence
_LONG = 700  # characters, after which the next sentence's end will do


def paragraphs(segments: Iterable[Segment]) -> Iterator[str]:
    """The segments' text, nothing lost; where speakers are known, each paragraph names its own."""
    held: list[Segment] = []
    for segment in segments:
        if not segment.text.strip():
            continue
        if held and _begins_anew(held, segment):
            yield _written(held)
            held = []
        held.append(segment)
    if held:
        yield _written(held)


def _begins_anew(held: list[Segment], segment: Segment) -> bool:
    last = held[-1]
    rest = segment.start - last.end
    if label(segment) != label(last) or rest >= _LONG_REST_MS:
        return True
    if not last.text.rstrip().rstrip(CLOSING).endswith(SENTENCE_ENDS):
        return False
    return rest >= _REST_MS or sum(len(one.text) for one in held) >= _LONG


def _written(held: list[Segment]) -> str:
    who, text = label(held[0]), joined(one.text.strip() for one in held)
    return f"{who}: {text}" if who else text
