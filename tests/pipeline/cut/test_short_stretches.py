"""Sound with holes: few chunks however many holes, every sample once and in its place, and none paid for that is not there."""

import itertools
from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.clock.placement import Piece
from pipeline.cut.cutter import Chunk, CutProfile, Span, cut, span_as_dict, span_from_dict
from pipeline.cut.holes import on_clock
from pipeline.cut.short_stretches import runs
from pipeline.transcript import SAMPLE_RATE

S = SAMPLE_RATE
PROFILE = CutProfile(max_s=30.0, min_s=10.0, gated=False)
STRETCHES = st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 9000)), min_size=1, max_size=12)


def pieces(stretches: list[tuple[int, int]], block: int) -> Iterator[Piece]:
    """Sound that is the number of its sample, each stretch in blocks, after a hole before it."""
    at = number = 0
    for sound, hole in stretches:
        at += hole
        values = np.arange(number, number + sound, dtype="<i2").tobytes()
        for begin in range(0, sound, block):
            yield at + begin, values[2 * begin : 2 * min(sound, begin + block)]
        at, number = at + sound, number + sound


@given(STRETCHES, st.integers(1, 3000), st.integers(1, 6000))
def test_every_sample_has_its_place(stretches: list[tuple[int, int]], block: int, shortest: int) -> None:
    clock = {at + n: value for at, pcm in pieces(stretches, block) for n, value in enumerate(np.frombuffer(pcm, "<i2"))}
    found: dict[int, int] = {}
    for run, blocks in runs(pieces(stretches, block), shortest):
        sound = np.frombuffer(b"".join(blocks), "<i2")
        span = run.place(Span(0, 0, len(sound), 0, len(sound), "start", "end", 0, (), len(sound)))
        assert span.heard == len(sound)
        places = {on_clock(span.audio_start + n, span.holes): int(value) for n, value in enumerate(sound)}
        made = {at for hole in span.holes for at in range(hole.resumed, hole.end)}
        assert not any(places[at] for at in made), "silence where there is nothing"
        found |= {at: value for at, value in places.items() if at not in made}
        assert span.owned == len(places) - len(made)
    assert found == clock


@given(STRETCHES)
def test_a_pause_is_no_longer_than_the_sound_before_it(stretches: list[tuple[int, int]]) -> None:
    (sound,) = [b"".join(blocks) for _, blocks in runs(pieces(stretches, 500), 10**9)]
    assert len(sound) // 2 <= 2 * sum(sound for sound, _ in stretches)


def chunks(stretches: list[tuple[bytes, int]]) -> list[Chunk]:
    """Each stretch after a hole of so many samples."""
    placed, at = [], 0
    for pcm, hole in stretches:
        placed.append((at + hole, pcm))
        at += hole + len(pcm) // 2
    found: list[Chunk] = []
    for run, blocks in runs(placed, round(PROFILE.min_s * S)):
        before = len(found)
        found += [Chunk(run.place(chunk.span, index=before), chunk.pcm) for chunk in cut(blocks, PROFILE)]
    return found


def noise(samples: int) -> bytes:
    return np.random.default_rng(1).integers(-3000, 3000, samples).astype("<i2").tobytes()


def test_the_number_of_chunks_goes_by_the_sound_and_not_by_the_holes() -> None:
    """Two thousand times a twentieth of a second, a minute apart: 100 s of sound, and as much silence in its holes."""
    found = [chunk.span for chunk in chunks([(noise(S // 20), 60 * S)] * 2000)]
    assert len(found) <= 2 * 100 / PROFILE.min_s
    assert sum(span.owned for span in found) == 2000 * (S // 20)
    assert all(before.own_end <= after.own_start for before, after in itertools.pairwise(found))
    assert sum(span.heard for span in found) <= 2 * 2000 * (S // 20)
    assert all(len(chunk.pcm) == 2 * chunk.span.heard for chunk in chunks([(noise(S // 20), 60 * S)] * 20))


def test_what_is_long_ends_at_a_hole_as_ever() -> None:
    found = [chunk.span for chunk in chunks([(noise(12 * S), S), (noise(3 * S), 5 * S), (noise(12 * S), 9 * S)])]
    assert [(span.own_start // S, span.own_end // S, len(span.holes)) for span in found] == [(1, 13, 0), (18, 42, 1)]
    assert found[1].owned == 15 * S


def test_what_is_left_out_and_where_somebody_speaks_is_told_without_the_holes() -> None:
    quiet, loud = bytes(2 * 5 * S), noise(2 * S)
    placed = [(10 * S * n, loud if n == 5 else quiet) for n in range(12)]
    found = runs(placed, 10**9)
    spans = [run.place(chunk.span) for run, blocks in found for chunk in cut(blocks, CutProfile())]
    holes = [(at + len(pcm) // 2, after) for (at, pcm), (after, _) in itertools.pairwise(placed)]
    told = [stretch for span in spans for stretch in (*span.left_out, *span.speech_map)]
    assert len(told) > 8, "nearly all of it is silence"
    assert not any(start < end_ and begin < end for start, end, *_ in told for begin, end_ in holes)


def test_holes_survive_a_row() -> None:
    spans = [chunk.span for chunk in chunks([(noise(S), S)] * 3)]
    assert [span_from_dict(span_as_dict(span)) for span in spans] == spans
    assert spans[0].holes and "holes" in span_as_dict(spans[0])
    assert "holes" not in span_as_dict(chunks([(noise(S), S)])[0].span), "a process of before reads rows as they were"
