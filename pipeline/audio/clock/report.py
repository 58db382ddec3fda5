"""What a decoded link tells besides its samples: holes, damage, wrong stamps, channels that would have cancelled each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.audio.clock.link_decoding import LinkDecoding
from pipeline.audio.clock.mixdown import Mixdown
from pipeline.audio.clock.placement import SHORTEST_HOLE
from pipeline.audio.clock.stream_clock import Leap, StreamClock
from pipeline.audio.duration.truncation import Claim
from pipeline.transcript import Caution, Gap

_TOGETHER = 10.0  # seconds; damage that lies so near to other damage is told with it
_CANCELLED = 0.25  # seconds of it that cannot be chance
_ROUNDED = 500  # ms
_LEAST_LOST = 0.1  # seconds of damage that may hide a word
_COMPLAINTS = 3  # of a decoder of bare frames, that mean something wherever they are
_NEAR_END = 1.5  # seconds; a decoder is so far ahead of what comes out of the filters
_UNREADABLE = "Another recording follows here in the same file, but it could not be decoded."
_UNREAD = "Behind the sound the file goes on with {count} bytes that are no recording of a kind that is taken: they were not heard."
_DAMAGED = "The recording is damaged here: parts of it could not be decoded, and silence stands for them."
_MOVED = (
    "The recording is damaged here: parts of it could not be decoded. It has no time stamps, so that what follows them is heard "
    "earlier or later than it was."
)
_BROKEN = "The file is damaged here: parts of it are none of the stream that it holds. No sound is known to be missing."
_TRUNCATED = (
    "The file is cut off: it says that it is longer. It was heard as far as it goes. If it was not its end that was lost, what "
    "followed that is early."
)
_NO_END = "The file has no end mark. That is so where a live stream was recorded; if this was none, what came behind is missing."
_LONGER = (
    "The file's header says that it ends here, as it does where a recorder was switched off too soon; but sound of the same kind "
    "follows, and was heard."
)
_CONTRADICTION = (
    "The file's index (moov) is damaged: what it says of its sound contradicts itself. What it names was heard; other parts may be "
    "missing, or heard at another time."
)
_EARLY = "The file is damaged before its first sound: what was there is missing, and all that follows may be early."
_STAMPS = (
    "The file is damaged: its time stamps contradict its sound. What was found was heard; other sound may be missing, and words be "
    "heard earlier or later than they were."
)
_FIELD = "The file's header contradicts itself: its {name} is {told}, but all else in it says {true}, and by that it was heard."
_STRANGE = (
    "The file says that it has {rate:.0f} samples a second, as nothing makes them. It was heard so; if that is damage, words may "
    "not have been understood, and all times are wrong."
)
_START = (
    "What the file's header says of where its sound begins cannot be right. It was heard from where its samples begin."
)
_LEAP = "A time stamp leaps further than any recording may last: it was taken for wrong, and what follows for the continuation."
_OPPOSITE = "The channels are in opposite phase, and mixed they would be silent: their difference was heard."


def unreadable_link(at: int, rate: int) -> Caution:
    """Of several recordings in the file, the one that should begin here."""
    ms = round(at * 1000 / rate)
    return Caution("damaged", ms, ms, _UNREADABLE, lost=True)


def unreadable_part(start: int, end: int, rate: int) -> Gap:
    """What is played from there to there, in samples, and is of a format that cannot be read."""
    return Gap(round(start * 1000 / rate), round(end * 1000 / rate), "undecodable", retryable=False, lost=True)


def unread_bytes(count: int, at: int, rate: int) -> Caution:
    """So many, behind what ended here."""
    ms = round(at * 1000 / rate)
    return Caution("unread", ms, ms, _UNREAD.format(count=count))


def is_long(leap: Leap, rate: int) -> bool:
    """Whether it stays a hole on the clock."""
    return leap.end - leap.start >= SHORTEST_HOLE * rate


class Report:
    """Over one link, whose clock begins at `offset` samples on that of the recording. `end`: where it ended, if it has."""

    def __init__(self, link: LinkDecoding, offset: int, end: int | None, rate: int) -> None:
        self._offset, self._rate = offset, rate
        clock, leaps = link.clock, link.leaps
        self._leaps = leaps
        self._end = None if end is None else end - offset
        self.gaps = [self._gap(leap) for leap in leaps if is_long(leap, rate)]
        self.warnings = [
            *self._damages(link),
            *self._unstamped_damage(link),
            *self._broken(link),
            *self._contradiction(link),
            *self._early(link),
            *self._wrong_header(link),
            *(self._wrong_stamps(clock) if clock else ()),
            *(self._closed_up(clock) if clock else ()),
            *(self._cancelled(link.mixdown) if link.mixdown else ()),
            *(self._cut_off(link.claim) if link.claim else ()),
            *(self._longer(link.told_end) if link.told_end is not None else ()),
        ]

    def _ms(self, samples: float) -> int:
        return round((self._offset + samples) * 1000 / self._rate)

    def _gap(self, leap: Leap) -> Gap:
        code = "undecodable" if leap.damaged else "hole"
        start, end = self._ms(leap.start), self._ms(leap.end)
        return Gap(start, end, code, retryable=False, lost=leap.damaged)

    def _damages(self, link: LinkDecoding) -> Iterator[Caution]:
        """Short leaps, where a decoder has made something up for what it could not decode, and where zeros were put in for it."""
        leaps = [leap for leap in self._leaps if leap.damaged and not is_long(leap, self._rate)]
        made_up, silenced = self._made_up(link), self._silenced(link)
        stretches = sorted((*((leap.start, leap.end) for leap in leaps), *made_up, *silenced))
        for start, end in _together(stretches, _TOGETHER * self._rate):
            missing = sum(leap.end - leap.start for leap in leaps if start <= leap.start < end)
            many = sum(start <= at < end for at, _ in made_up) >= _COMPLAINTS
            lost = many or missing >= _LEAST_LOST * self._rate or any(start <= at < end for at, _ in silenced)
            yield Caution("damaged", self._ms(start), self._ms(end), _DAMAGED, lost=lost)

    def _silenced(self, link: LinkDecoding) -> list[tuple[int, int]]:
        """What is played of zeros that stand for missing bytes, and that no long leap tells of."""
        end, near = self._end, round(_NEAR_END * self._rate)
        told = [leap for leap in self._leaps if leap.damaged and is_long(leap, self._rate)]
        stretches = [
            (round(start * self._rate), round(stop * self._rate)) for start, stop in link.silenced if end is not None
        ]
        return [
            (start, stop)
            for start, stop in stretches
            if all(not (leap.start - near <= start and stop <= leap.end + near) for leap in told)
        ]

    def _made_up(self, link: LinkDecoding) -> list[tuple[int, int]]:
        """From where to where each complaint of a decoder may reach that no long leap tells of."""
        clock, end = link.clock, self._end
        if clock is None or end is None or not clock.is_stamped or link.undecoded < _COMPLAINTS:
            return []
        near = round(_NEAR_END * self._rate)
        told = [leap for leap in self._leaps if leap.damaged and is_long(leap, self._rate)]
        places = [at for at in clock.damages if all(not leap.start - near <= at <= leap.end for leap in told)]
        return [self._about(at, at, end) for at in places if 0 <= at < end]

    def _about(self, first: int, last: int, end: int) -> tuple[int, int]:
        """In whole seconds: how far ahead a decoder is when it complains is chance, and two who hear the same are told the same."""
        second = self._rate
        return first - first % second, min(end, last - last % second + 2 * second)

    def _unstamped_damage(self, link: LinkDecoding) -> Iterator[Caution]:
        """Without stamps nobody knows how much is missing, or even where; where there are some, the leaps have told."""
        clock, end = link.clock, self._end
        if end is None:
            return
        if link.lacking >= _LEAST_LOST * self._rate:
            yield Caution("damaged", self._ms(0), self._ms(end), _MOVED, lost=True)
        elif clock and not clock.is_stamped and self._is_serious(clock.damages, end):
            first, last = self._about(clock.damages[0], clock.damages[-1], end)
            yield Caution("damaged", self._ms(first), self._ms(last), _MOVED, lost=True)

    def _broken(self, link: LinkDecoding) -> Iterator[Caution]:
        """Where a decoder has passed over what is none of the stream's frames, and neither it nor a stamp has told."""
        end, told = self._end, any(leap.damaged for leap in self._leaps) or next(self._unstamped_damage(link), None)
        if end is None or told or link.begins_early or not (link.broken or link.filled):
            return
        least = _LEAST_LOST * self._rate
        much, leapt = link.broken * end >= least, any(leap.end - leap.start >= least for leap in self._leaps)
        lost, text = (leapt, _DAMAGED) if link.is_stamped else (much, _MOVED)
        if lost or much or link.filled or not link.is_stamped:
            yield Caution("damaged", self._ms(0), self._ms(end), text if lost else _BROKEN, lost=lost)

    def _contradiction(self, link: LinkDecoding) -> Iterator[Caution]:
        if link.contradiction and self._end is not None:
            end = max(self._end, link.contradiction.seconds * self._rate)
            yield Caution("damaged", self._ms(0), self._ms(end), _CONTRADICTION, lost=True)

    def _early(self, link: LinkDecoding) -> Iterator[Caution]:
        if link.begins_early and self._end is not None:
            yield Caution("damaged", self._ms(0), self._ms(self._end), _EARLY, lost=True)

    def _wrong_header(self, link: LinkDecoding) -> Iterator[Caution]:
        if self._end is None:
            return
        whole, wrong = (self._ms(0), self._ms(self._end)), link.wrong_field
        if wrong:
            yield Caution("damaged", *whole, _FIELD.format(name=wrong.name, told=wrong.told, true=wrong.true))
        if link.strange_rate:
            yield Caution("damaged", *whole, _STRANGE.format(rate=link.strange_rate), lost=True)
        if link.misplaced:
            yield Caution("damaged", *whole, _START)

    def _wrong_stamps(self, clock: StreamClock) -> Iterator[Caution]:
        if clock.has_wrong_stamps and self._end is not None:
            yield Caution("damaged", self._ms(0), self._ms(self._end), _STAMPS, lost=True)

    def _is_serious(self, damages: Sequence[int], end: int) -> bool:
        """One or two at the ends are what is left of frames where a file was cut."""
        return len(damages) >= _COMPLAINTS or any(0 < at < end - _NEAR_END * self._rate for at in damages)

    def _closed_up(self, clock: StreamClock) -> Iterator[Caution]:
        for at in clock.closed_up:
            yield Caution("time_leap", self._ms(at), self._ms(at), _LEAP)

    def _cancelled(self, mixdown: Mixdown) -> Iterator[Caution]:
        if mixdown.cancelled and mixdown.cancelled_samples >= _CANCELLED * self._rate:
            first, last = map(self._on_clock, mixdown.cancelled)
            yield Caution("opposite_phase", self._ms(first), self._ms(last), _OPPOSITE)

    def _cut_off(self, claim: Claim) -> Iterator[Caution]:
        """Where it has come to its end; a few samples less than claimed are a codec's."""
        if self._end is None:
            return
        end = self._ms(self._end)
        claimed = max(end, self._ms(0) + (claim.ms or 0))
        is_short = claimed - end > _ROUNDED
        if is_short or (claim.cut and not (claim.ms and self._has_lost())):
            yield Caution("truncated", end, claimed, _TRUNCATED, lost=True)
        elif claim.unended:
            yield Caution("unended", end, end, _NO_END)

    def _longer(self, told_end: float) -> Iterator[Caution]:
        at = self._ms(told_end * self._rate)
        if self._end is not None and at <= self._ms(self._end):
            yield Caution("longer", at, self._ms(self._end), _LONGER)

    def _has_lost(self) -> bool:
        """Whether a gap or a caution has told already of what is missing."""
        return any(leap.damaged for leap in self._leaps)

    def _on_clock(self, samples: int) -> int:
        """Where a decoded sample stands: behind all leaps before it."""
        for leap in sorted(self._leaps, key=lambda leap: leap.start):
            if samples >= leap.start:
                samples += leap.end - leap.start
        return samples


def _together(stretches: Sequence[tuple[int, int]], reach: float) -> Iterator[tuple[int, int]]:
    """Those that lie near each other as one."""
    begin = end = None
    for start, stop in stretches:
        if begin is not None and end is not None and start - end <= reach:
            end = max(end, stop)
            continue
        if begin is not None and end is not None:
            yield begin, end
        begin, end = start, stop
    if begin is not None and end is not None:
        yield begin, end
