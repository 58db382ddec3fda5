"""What is missing at a link's end, or somewhere in it: what was heard of it against what it says of its own length."""

from __future__ import annotations

from pipeline.audio.clock.link_reader import MOST_SECONDS, LinkReader
from pipeline.audio.clock.link_start import LinkStart
from pipeline.audio.clock.stated_length import Heard, lacking, tells_by_end
from pipeline.audio.clock.stream_clock import Leap, StreamClock
from pipeline.audio.duration.truncation import STREAMED
from pipeline.audio.ffmpeg.frame_events import JITTER
from pipeline.audio.ffmpeg.log_parser import Log
from pipeline.audio.source import Recording


class LinkEnd:
    """Of one link, whose start is that. What `compare` found: `unfinished` is what is missing at the end because it could not be
    decoded, `lacking` are the samples that are missing somewhere."""

    def __init__(self, recording: Recording, start: LinkStart, reader: LinkReader, *, is_edited: bool) -> None:
        self.unfinished: Leap | None = None
        self.lacking = 0
        self._container, self._claim, self._is_edited = recording.found.container, recording.claim, is_edited
        self._start, self._reader = start, reader
        self._rate, self._longest = reader.settings.sample_rate, reader.settings.max_seconds or MOST_SECONDS

    def compare(self, clock: StreamClock | None, reached: int) -> None:
        """All that was heard of it, up to that sample; on the clock, where it was followed."""
        missing = self._said_to_be_missing(clock, reached) + self._without_headers()
        is_open = not (self._is_cut or self._has_all(reached) or self._claim == STREAMED)
        if clock and not self._is_edited:
            clock.forget_leaps_behind(reached)
        if clock and clock.absent:
            self.unfinished = Leap(reached, reached + round(clock.absent), damaged=True)
        elif not self._start.is_stamped:
            self.lacking = missing
        elif missing or (is_open and clock and clock.in_damage):
            self.unfinished = Leap(reached, reached + missing, damaged=True)

    def _said_to_be_missing(self, clock: StreamClock | None, reached: int) -> int:
        """In samples, by what the file says of its length; where it leaps it does not know. What is cut off is another matter."""
        if self._is_cut or self._is_edited or (clock and clock.closed_up):
            return 0
        heard = Heard(
            reached=reached / self._rate,
            zero=self._start.zero,
            damaged=clock is not None and bool(clock.damages),
            ends_damaged=clock is not None and clock.in_damage,
        )
        return self._believed(lacking(self._container, self._told_of_all(), heard))

    def _without_headers(self) -> int:
        """In samples, what is left of streams in an Ogg that cannot be read."""
        torn = self._start.torn_pages
        return self._believed(torn.unheard / self._start.sound.sample_rate) if torn else 0

    def _believed(self, seconds: float) -> int:
        """In samples; nothing where it is more than a recording may last."""
        return round(seconds * self._rate) if seconds <= self._longest else 0

    def _told_of_all(self) -> Log:
        """What ffmpeg says of the recording; what it did not see the end of, it is shown again, with its end."""
        told = self._start.listing
        if not told.duration and tells_by_end(self._container):
            log = self._reader.listing()
            if log and log.duration:
                self._start.listing = log
        return self._start.listing

    def _has_all(self, reached: int) -> bool:
        """Whether it has reached the length that it states: tags behind the last frame are no frame, and no loss."""
        log = self._told_of_all()
        return not log.guessed and 0 < log.duration <= reached / self._rate + JITTER

    @property
    def _is_cut(self) -> bool:
        return self._claim is not None and (self._claim.cut or not self._start.is_stamped)
