"""What of a recording was put to no provider, as its owner is told: in ms, neighbours joined, nothing short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.transcript import NotSent, samples_to_ms

_LEAST = 2_000  # ms; shorter pauses are nothing to wonder about


def not_sent(left_out: Iterable[tuple[int, int, str]], duration: int) -> Iterator[NotSent]:
    """Of each chunk's stretches in samples, in order; inside the recording."""
    for start, end, reason in _joined(left_out):
        told = NotSent(min(samples_to_ms(start), duration), min(samples_to_ms(end), duration), reason)
        if told.end - told.start >= _LEAST:
            yield told


def _joined(left_out: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """What follows on each other as one: where not all of it is silence, it is steady."""
    held: tuple[int, int, str] | None = None
    for start, end, reason in left_out:
        if held is not None and held[1] == start:
            held = held[0], end, reason if reason == held[2] else "steady"
            continue
        if held is not None:
            yield held
        held = start, end, reason
    if held is not None:
        yield held
