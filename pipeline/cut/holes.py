"""Holes in the sound of a chunk: no number of the clock is lost by them, and nobody pays for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Hole(NamedTuple):
    """There is no sound on the clock from `start` to `end`, in samples. In the chunk's own, silence stands for it from `resumed`
    on, and nothing for what comes before that."""

    start: int
    resumed: int
    end: int


def holes_from(values: Mapping[str, Any]) -> tuple[Hole, ...]:
    """Those of a span in plain values, which mostly has none."""
    return tuple(Hole(*hole) for hole in values.get("holes") or ())


def between(holes: Iterable[Hole], first: int, last: int) -> Iterator[Hole]:
    """Those that have something in [first, last)."""
    return (hole for hole in holes if hole.start < last and first < hole.end)


def on_clock(at: int, holes: Iterable[Hole]) -> int:
    """Where a sample stands that would stand at `at` if nothing were left out of these holes, which come in order."""
    for hole in holes:
        if at < hole.start:
            break
        at += hole.resumed - hole.start
    return at


def owned(start: int, end: int, holes: Iterable[Hole]) -> int:
    """How many samples of sound there are on the clock from `start` to `end`: what is counted and paid."""
    return end - start - sum(min(end, hole.end) - max(start, hole.start) for hole in between(holes, start, end))


def heard(start: int, end: int, holes: Iterable[Hole]) -> int:
    """How many samples the chunk itself has there, silence in holes included."""
    skipped = (min(end, hole.resumed) - max(start, hole.start) for hole in between(holes, start, end))
    return end - start - sum(max(0, samples) for samples in skipped)


def owned_by(span: Mapping[str, Any]) -> int:
    """`owned` of a span in plain values."""
    return owned(int(span["own_start"]), int(span["own_end"]), holes_from(span))


def heard_in(span: Mapping[str, Any]) -> int:
    """`heard` of a span in plain values."""
    return heard(int(span["audio_start"]), int(span["audio_end"]), holes_from(span))
