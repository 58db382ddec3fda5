"""Words of a text without times, in windows as an aligner takes them, and put into the segments of which the text is made."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import EngineLost
from pipeline.oracle.ear import listen
from pipeline.oracle.speech import say
from pipeline.oracle.words import VOCABULARY
from pipeline.recognition.long_alignment import laid_over
from pipeline.recognition.words_beside import placed
from pipeline.transcript import Segment, Word, samples_to_ms

LONGEST = 30_000  # ms that an aligner hears
SOUND = b"".join(
    say(VOCABULARY[at : at + 12], edge_s=edge) for at, edge in zip(range(0, 96, 12), (0.3, 2.5) * 4, strict=True)
)
TRUTH = [Word(word.text, samples_to_ms(word.start), samples_to_ms(word.end)) for word in listen(SOUND)]
TEXT = " ".join(word.text for word in TRUTH)


class Ear:
    """Tells the times of words that are said in the sound it is given; those that are not, it presses into its end, as DTW does."""

    def __init__(self, fails_at: int = 1000) -> None:
        self.asked, self._fails_at = 0, fails_at

    def __call__(self, pcm: bytes, text: str, language: str | None) -> Sequence[Word]:
        self.asked += 1
        if self.asked == self._fails_at:
            raise EngineLost(provider="ear")
        end = samples_to_ms(len(pcm) // 2)
        assert language == "en" and end <= LONGEST
        said = iter([Word(one.text, samples_to_ms(one.start), samples_to_ms(one.end)) for one in listen(pcm)])
        return [next(said, Word(word, end, end)) for word in text.split()]


def test_all_words_of_a_long_sound_are_found_where_they_are() -> None:
    ear = Ear()
    found = laid_over(TEXT, SOUND, "en", ear)
    assert samples_to_ms(len(SOUND) // 2) > 1.5 * LONGEST
    assert 1 < ear.asked <= 6
    assert [word.text for word in found] == TEXT.split()
    assert all(abs(word.start - true.start) < 250 for word, true in zip(found, TRUTH, strict=True))


@pytest.mark.parametrize("fails_at", [1, 2])
def test_behind_a_window_that_tells_nothing_no_times_are_invented(fails_at: int) -> None:
    found = laid_over(TEXT, SOUND, "en", Ear(fails_at))
    assert [word.text for word in found] == TEXT.split()[: len(found)]
    assert (len(found) > 0) == (fails_at > 1) and len(found) < len(TRUTH)


def test_segments_get_the_times_of_their_words_and_keep_their_texts() -> None:
    segments = [Segment("Brown, river", 0, 5_000), Segment("fox lamp!", 5_000, 9_000)]
    words = [Word("Brown,", 100, 400), Word("river", 500, 800), Word("lamp!", 7_000, 7_300)]
    first, second = placed(segments, words)
    assert (first.text, second.text) == ("Brown, river", "fox lamp!")
    assert first.words == tuple(words[:2]) and second.words[1] == words[2]
    assert second.words[0].text == "fox" and 800 <= second.words[0].start <= 7_000


TEXTS = st.lists(
    st.lists(st.sampled_from(("ab", "Ab.", "c", "漢字", "d")), min_size=1, max_size=5), min_size=1, max_size=5
)


@given(TEXTS, st.lists(st.tuples(st.sampled_from(("ab", "c", "漢", "x")), st.integers(0, 900)), max_size=9))
def test_whatever_the_words_are_time_runs_forward(texts: list[list[str]], said: list[tuple[str, int]]) -> None:
    segments = [Segment(" ".join(text), 1000 * at, 1000 * at + 900) for at, text in enumerate(texts)]
    starts = sorted(start for _, start in said)
    words = [Word(text, start, start + 50) for (text, _), start in zip(said, starts, strict=True)]
    told = placed(segments, words)
    assert [one.text for one in told] == [one.text for one in segments]
    times = [word.start for one in told for word in one.words]
    assert times == sorted(times)
    for one in told:
        assert all(one.start <= word.start <= word.end <= one.end for word in one.words)
        assert not words or "".join(word.text for word in one.words) == "".join(one.text.split())


def test_segments_with_words_of_their_own_are_left_alone() -> None:
    told = [Segment("brown", 0, 500, (Word("brown", 0, 500),))]
    assert placed(told, [Word("brown", 100, 200)]) == told
