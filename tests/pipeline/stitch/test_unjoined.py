"""A provider's times in a chunk with holes, on the clock: exact inside the sound, and never as long as a hole."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cut.cutter import Span
from pipeline.cut.short_stretches import runs
from pipeline.stitch.unjoined import unjoined
from pipeline.transcript import SAMPLES_PER_MS, Segment, Word

MS = SAMPLES_PER_MS
STRETCHES = st.lists(st.tuples(st.integers(400, 3000), st.integers(1000, 90_000)), min_size=1, max_size=6)


def run_of(stretches: list[tuple[int, int]]) -> tuple[Span, list[tuple[int, int, int]]]:
    """A chunk of stretches (ms of sound after a hole of so many), and for each its length and place in the chunk, on the clock."""
    pieces, at = [], 0
    for sound, hole in stretches:
        pieces.append(((at + hole) * MS, bytes(2 * MS * sound)))
        at += hole + sound
    ((run, blocks),) = [(run, b"".join(blocks)) for run, blocks in runs(pieces, 10**9)]
    length = len(blocks) // 2
    span = run.place(Span(0, 0, length, 0, length, "start", "end", 0, (), length))
    places, inside = [], 0
    for at_, (sound, _) in zip((at // MS for at, _ in pieces), stretches, strict=True):
        places.append((sound, inside, at_))
        inside += sound + min(300, sound)
    return span, places


@given(STRETCHES, st.data())
def test_words_inside_the_sound_are_exact(stretches: list[tuple[int, int]], data: st.DataObject) -> None:
    span, places = run_of(stretches)
    words, wanted = [], []
    for sound, inside, clock in places:
        start = data.draw(st.integers(0, sound - 2))
        end = data.draw(st.integers(start + 1, sound))
        words.append(Word("a", inside + start, inside + end))
        wanted.append((clock + start, clock + end))
    told = unjoined([Segment("a", words[0].start, words[-1].end, tuple(words))], span)
    offset = span.audio_start // MS
    assert [(word.start + offset, word.end + offset) for word in told[0].words] == wanted
    assert (told[0].start + offset, told[0].end + offset) == (wanted[0][0], wanted[-1][1])


@given(STRETCHES, st.integers(0, 20_000), st.integers(1, 300))
def test_no_word_lasts_as_long_as_a_hole(stretches: list[tuple[int, int]], start: int, length: int) -> None:
    span, places = run_of(stretches)
    ends = places[-1][0] + places[-1][1]
    word = Word("a", start % ends, min(start % ends + length, ends))
    (told,) = unjoined([Segment("a", word.start, word.end, (word,))], span)
    assert 0 <= told.words[0].end - told.words[0].start <= length
    assert told.start <= told.end


def test_a_word_on_the_edge_belongs_to_where_most_of_it_lies() -> None:
    span, _ = run_of([(1000, 0), (1000, 60_000)])
    early, late = Word("early", 800, 1050), Word("late", 1260, 1500)
    (told,) = unjoined([Segment("early late", 800, 1500, (early, late))], span)
    assert [(word.start, word.end) for word in told.words] == [(800, 1000), (61_000, 61_200)]


def test_without_holes_nothing_is_made_anew() -> None:
    span, _ = run_of([(1000, 0)])
    segments = (Segment("a", 0, 1000),)
    assert unjoined(segments, span) is segments
