"""Words into cues that a person can read.

Rules as broadcasters have them: two lines of 42 characters, 5/6 to 7 seconds, two frames of gap, and breaks where the sense
breaks. A greedy writer breaks three times in four in the middle of a phrase; so the breaks of a whole stretch of speech are chosen
together, by dynamic programming over their costs, then each cue's lines in the same way. Words are never lost, whatever their times
say.

https://partnerhelp.netflixstudios.com/hc/en-us/articles/215758617 · https://www.bbc.co.uk/accessibility/forproducts/guides/subtitles/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from pipeline.captions.cue_bounds import LINGER, cue_bounds
from pipeline.captions.lines import lines
from pipeline.captions.options import Layout
from pipeline.captions.phrase import Phrase
from pipeline.captions.words import Timed, timed_words
from pipeline.transcript import Segment

_PHRASE_PAUSE = 1500  # ms; no cue spans more silence than this
_LATE = 1500  # ms a cue may begin after its first word, so that the one before can be seen
_CLOSE = 500  # ms; shorter gaps between cues flicker, so they are closed to the minimum


@dataclass(frozen=True, slots=True)
class Cue:
    """What is on the screen from `start` to `end`, in ms."""

    start: int
    end: int
    lines: tuple[str, ...]
    speaker: str | None = None


def cues(segments: Iterable[Segment], layout: Layout, *, duration: int | None = None) -> list[Cue]:
    """All words of the segments, as cues that begin in order, do not overlap and end after they begin.

    Tracks and channels are laid out each by itself: who speaks at the same time as another is shown at the same time.
    """
    by_place: dict[tuple[int | None, int | None], list[Segment]] = {}
    for segment in segments:
        by_place.setdefault((segment.track, segment.channel), []).append(segment)
    laid_out = [_one_after_the_other(mine, layout, duration) for mine in by_place.values()]
    return laid_out[0] if len(laid_out) == 1 else sorted(chain(*laid_out), key=lambda cue: cue.start)


def _one_after_the_other(segments: Iterable[Segment], layout: Layout, duration: int | None) -> list[Cue]:
    drafts = [
        _Draft(phrase.words[first:last], lines(phrase, first, last))
        for phrase in _phrases(timed_words(segments, layout.max_line_chars), layout)
        for first, last in cue_bounds(phrase, layout)
    ]
    return _timed(drafts, layout, duration)


@dataclass(frozen=True, slots=True)
class _Draft:
    words: Sequence[Timed]
    lines: tuple[str, ...]

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def speech_end(self) -> int:
        return max(self.words[-1].end, self.start)

    @property
    def chars(self) -> int:
        return sum(map(len, self.lines))


def _phrases(words: Iterable[Timed], layout: Layout) -> Iterator[Phrase]:
    """Stretches of words that may share a cue: one speaker, no long pause."""
    phrase: list[Timed] = []
    for word in words:
        if phrase and (word.speaker != phrase[-1].speaker or word.start - phrase[-1].end > _PHRASE_PAUSE):
            yield Phrase(phrase, layout.max_line_chars)
            phrase = []
        phrase.append(word)
    if phrase:
        yield Phrase(phrase, layout.max_line_chars)


def _timed(drafts: Sequence[_Draft], layout: Layout, duration: int | None) -> list[Cue]:
    """Give every cue its time: long enough to read, gone before the next one, which waits for that if need be."""
    timed: list[Cue] = []
    begins = _begins(drafts, layout, duration)
    for at, draft in enumerate(drafts):
        start = max(begins[at], timed[-1].end + layout.min_gap) if timed else begins[at]
        following = _following(begins[at + 1], start, layout) if at + 1 < len(drafts) else None
        end = _end(draft, start, following, layout)
        if duration is not None and following is None:
            end = min(end, max(duration, draft.speech_end))
        timed.append(Cue(start, max(end, start + 1), draft.lines, draft.words[0].speaker))
    return timed


def _begins(drafts: Sequence[_Draft], layout: Layout, duration: int | None) -> list[int]:
    """When each would come up by itself: with its first word, but the last one of a recording early enough to be read."""
    begins = [draft.start for draft in drafts]
    if drafts and duration is not None:
        free = drafts[-2].speech_end + layout.min_gap if len(drafts) > 1 else 0
        early = max(duration, drafts[-1].speech_end) - layout.min_cue
        begins[-1] = min(begins[-1], max(early, free, 0))
    return begins


def _following(begins: int, start: int, layout: Layout) -> int:
    """When the cue comes up whose first word begins then, the one before having come up at `start`."""
    return max(begins, min(start + layout.min_cue + layout.min_gap, begins + _LATE))


def _end(draft: _Draft, start: int, following: int | None, layout: Layout) -> int:
    reading = start + max(layout.min_cue, round(1000 * draft.chars / layout.chars_per_second))
    end = max(draft.speech_end, min(reading, draft.speech_end + LINGER), start + layout.min_cue)
    if following is not None:
        latest = following - layout.min_gap
        end = latest if end > latest or following - end < _CLOSE else end
    return min(end, start + layout.max_cue)
