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
from itertools import accumulate, chain, pairwise
from math import inf

from pipeline.captions.words import Timed, is_wide, timed_words
from pipeline.text.punctuation import CLOSING, SENTENCE_ENDS
from pipeline.transcript import Segment
from pipeline.word_spacing import space_between

_PHRASE_PAUSE = 1500  # ms; no cue spans more silence than this
_LINGER = 1500  # ms a cue may stay after its last word
_LATE = 1500  # ms a cue may begin after its first word, so that the one before can be seen
_BRISK = 1.2  # s; a cue shorter than this costs more
_CLOSE = 500  # ms; shorter gaps between cues flicker, so they are closed to the minimum
_PHRASE_ENDS = (",", ";", ":", "،", "，", "、", "；", "：", "–", "—")  # noqa: RUF001 - they are what is meant
_OPENERS = frozenset(
    "and or but nor so yet because although though while when where which who that if unless until since as than "  # noqa: SIM905
    "with without in on at by for from to of into onto over under after before between about through during "
    "und oder aber denn weil dass wenn mit ohne von zu für et ou mais car que qui dans avec sans pour par "
    "y o pero porque cuando con sin para por e ma perché che con senza per".split()
)
_UNREADABLE = 50.0  # what a cue costs that is gone before anybody has read it: more than any break
_NO_BREAK, _OPENER, _PHRASE, _SENTENCE = 6.0, 3.0, 1.5, 0.0  # what a break costs after such a word


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How cues are to look; times in ms, widths in columns (a Chinese or Japanese character takes two)."""

    max_line_chars: int = 42
    max_lines: int = 2
    min_cue: int = 833
    max_cue: int = 7000
    min_gap: int = 84
    chars_per_second: float = 20.0


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
        _Draft(phrase[first:last], _lines(phrase[first:last], layout))
        for phrase in _phrases(timed_words(segments, layout.max_line_chars))
        for first, last in _cuts(phrase, layout)
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


def _phrases(words: Iterable[Timed]) -> Iterator[list[Timed]]:
    """Stretches of words that may share a cue: one speaker, no long pause."""
    phrase: list[Timed] = []
    for word in words:
        if phrase and (word.speaker != phrase[-1].speaker or word.start - phrase[-1].end > _PHRASE_PAUSE):
            yield phrase
            phrase = []
        phrase.append(word)
    if phrase:
        yield phrase


def _cuts(words: Sequence[Timed], layout: Layout) -> list[tuple[int, int]]:
    """The cheapest division of a phrase into cues, as [first, last) pairs."""
    best: list[tuple[float, int]] = [(0.0, 0), *((inf, 0) for _ in words)]
    breaks = [_break_cost(words, at) for at in range(len(words))]
    ends = [0, *accumulate(cost == _SENTENCE for cost in breaks)]
    chars = [0, *accumulate(len(word.text) + 1 for word in words)]
    sizes = _Sizes(words)
    for first in range(len(words)):
        for last in range(first + 1, sizes.reach(first, layout) + 1):
            cost = best[first][0] + _cue_cost(words, first, last, chars[last] - chars[first] - 1, layout)
            cost += breaks[last - 1] + 1.5 * (ends[last - 1] - ends[first])
            if cost < best[last][0]:
                best[last] = (cost, first)
    cuts, last = [], len(words)
    while last:
        cuts.append((best[last][1], last))
        last = best[last][1]
    return cuts[::-1]


class _Sizes:
    """The columns that each word of a phrase takes, and the space before it."""

    def __init__(self, words: Sequence[Timed]) -> None:
        self._words = words
        self._widths = [_width(word.text) for word in words]
        self._spaces = [0, *(len(space_between(before.text, word.text)) for before, word in pairwise(words))]

    def reach(self, first: int, layout: Layout) -> int:
        """How far a cue can go that begins with this word: the last it can end before. One word always fits."""
        lines, width, latest = 1, self._widths[first], self._words[first].start + layout.max_cue
        for at in range(first + 1, len(self._words)):
            width += self._spaces[at] + self._widths[at]
            if width > layout.max_line_chars:
                lines, width = lines + 1, self._widths[at]
            if lines > layout.max_lines or self._words[at].end > latest:
                return at
        return len(self._words)


def _cue_cost(words: Sequence[Timed], first: int, last: int, chars: int, layout: Layout) -> float:
    """What a cue costs by itself: being one more, being hard to read in its time; a pause after it is a gain."""
    start, speech_end = words[first].start, words[last - 1].end
    following = words[last].start if last < len(words) else speech_end + _LINGER
    seconds = min(max(following - layout.min_gap - start, 1), layout.max_cue) / 1000
    pause = min(max(following - speech_end, 0) / 1000, 1.0)
    cost = 2.0 - 3.0 * pause
    if (hurry := chars / seconds - 0.85 * layout.chars_per_second) > 0:
        cost += 0.5 * hurry
    if seconds < layout.min_cue / 1000:
        cost += _UNREADABLE
    return cost + 6.0 * (_BRISK - seconds) if seconds < _BRISK else cost


def _break_cost(words: Sequence[Timed], at: int) -> float:
    """How bad a break after this word is."""
    text = words[at].text.rstrip(CLOSING)
    if at == len(words) - 1 or text.endswith(SENTENCE_ENDS):
        return _SENTENCE
    if text.endswith(_PHRASE_ENDS):
        return _PHRASE
    return _OPENER if words[at + 1].text.lower() in _OPENERS else _NO_BREAK


def _lines(words: Sequence[Timed], layout: Layout) -> tuple[str, ...]:
    """As few lines as will do, of even length, broken where the sense breaks."""
    wanted = len(_greedy(words, layout))
    if wanted == 1:
        return (_joined(words),)
    ideal = _width(_joined(words)) / wanted
    breaks = [_break_cost(words, at) for at in range(len(words))]
    best: dict[tuple[int, int], tuple[float, tuple[str, ...]]] = {(0, 0): (0.0, ())}
    for count, first in ((count, first) for count in range(wanted) for first in range(len(words))):
        if (count, first) not in best:
            continue
        so_far, before = best[count, first]
        for last, line in _fitting(words, first, layout):
            cost = so_far + ((_width(line) - ideal) / 6) ** 2 + breaks[last - 1]
            if (count + 1, last) not in best or cost < best[count + 1, last][0]:
                best[count + 1, last] = (cost, (*before, line))
    return best[wanted, len(words)][1]


def _fitting(words: Sequence[Timed], first: int, layout: Layout) -> Iterator[tuple[int, str]]:
    """Every line that can begin with this word, with the number of the word after it."""
    line = words[first].text
    yield first + 1, line
    for last in range(first + 1, len(words)):
        line += space_between(words[last - 1].text, words[last].text) + words[last].text
        if _width(line) > layout.max_line_chars:
            return
        yield last + 1, line


def _greedy(words: Sequence[Timed], layout: Layout) -> list[int]:
    """The widths of the lines when each is filled up: the fewest that will do."""
    widths = [_width(words[0].text)]
    for before, word in pairwise(words):
        wider = widths[-1] + len(space_between(before.text, word.text)) + _width(word.text)
        if wider <= layout.max_line_chars:
            widths[-1] = wider
        else:
            widths.append(_width(word.text))
    return widths


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
    end = max(draft.speech_end, min(reading, draft.speech_end + _LINGER), start + layout.min_cue)
    if following is not None:
        latest = following - layout.min_gap
        end = latest if end > latest or following - end < _CLOSE else end
    return min(end, start + layout.max_cue)


def _joined(words: Sequence[Timed]) -> str:
    return words[0].text + "".join(space_between(a.text, b.text) + b.text for a, b in pairwise(words))


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + is_wide(character) for character in text)
