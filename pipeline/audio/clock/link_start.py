"""Where the first sample of a link stands on its clock, which begins at zero: by its stamp, or by the delay that its codec adds."""

from __future__ import annotations

import math

from pipeline.audio.access.torn_pages import TornPages
from pipeline.audio.containers.table import (
    AAC,
    AC3,
    AMR,
    ASF,
    AVI,
    DTS,
    EAC3,
    FLAC,
    FLV,
    MATROSKA,
    MP3,
    MP4,
    MPEG,
    MPEGTS,
    OGG,
    W64,
    WAV,
)
from pipeline.audio.ffmpeg.frame_events import beginning
from pipeline.audio.ffmpeg.log_parser import AudioStream, Log
from pipeline.audio.source import Recording

# A stream of bare frames, in WAV too, does not say that its first samples are the codec's own delay. Every decoder adds it, so
# every time would be late. MP3: LAME's 576 + 529 (also where the tag that tells is missing); AAC: one frame of its transform.
_UNSTATED_DELAY = {
    ("mp3", "mp3"): 1105, ("wav", "mp3"): 1105, ("w64", "mp3"): 1105, ("avi", "mp3"): 1105, ("aac", "aac"): 1024
}  # fmt: skip
UNSTAMPED = (MP3, AAC, AC3, EAC3, DTS, AMR, WAV, W64, AVI)  # ffmpeg reckons their stamps from bytes or headers
_FROM_ZERO = (MP4, MATROSKA)  # whose clock begins at zero, whenever the sound does; others are moved there,
_FROM_FIRST = (ASF, FLV, MPEG, MPEGTS)  # these always
_LONGEST_TORN = (
    10.0  # seconds that damage may have hit of a FLAC's beginning; one that starts later was recorded on the air
)
_TORN, _LONG_PAGE = 4, 2.0  # times as much as was damaged is lost with the rest of its pages, of so many seconds each


def is_stamped(recording: Recording, track: int) -> bool:
    """Whether its container says when each piece of sound is played, and can be believed; those that count samples do not where
    some are absent."""
    doubt = recording.contradictions[track] if track < len(recording.contradictions) else None
    is_absent = any(recording.absent[track : track + 1])
    return recording.found.container not in UNSTAMPED and not is_absent and not (doubt and doubt.times)


class LinkStart:
    """Of one track, from 0, as far as ffmpeg has told of it; `stamp`: that of the first sample of all, in seconds."""

    def __init__(self, recording: Recording, track: int) -> None:
        self.listing = Log()
        self.stamp = math.nan
        self.torn_pages: TornPages | None = None  # those that were mended
        self._sounds: list[AudioStream] = []
        self._complained_first = False  # a decoder, before it made any sound
        self.is_stamped = is_stamped(recording, track)
        self._container, self._broken, self._track = recording.found.container, recording.broken, track
        self._torn_front = recording.torn_front
        self._lacks_end = recording.claim is not None and (recording.claim.cut or recording.claim.unended)

    def see(self, listing: Log) -> None:
        """What was said by the time of the first sound."""
        self.listing, self.stamp, self._sounds = listing, beginning(listing.printed), listing.sounds
        self._complained_first = listing.damaged_before or (bool(listing.printed) and listing.printed[0] is None)

    @property
    def sound(self) -> AudioStream:
        """As it was listed."""
        return self._sounds[self._track]

    def place(self, rate: int) -> float:
        """In samples of `rate`."""
        if self.is_stamped:
            return 0.0 if math.isnan(self.stamp) else max(self.stamp - self.zero, -1.0) * rate
        return -self.unstated_delay(rate)

    def unstated_delay(self, rate: int) -> float:
        """In samples of `rate`."""
        delay = 0 if self.listing.start else _UNSTATED_DELAY.get((self._container.name, self.sound.codec), 0)
        return delay * rate / self.sound.sample_rate

    @property
    def zero(self) -> float:
        """The stamp of the recording's beginning, in seconds."""
        return 0.0 if self._container in _FROM_ZERO or self._lacks_begin else self.listing.start

    @property
    def _lacks_begin(self) -> bool:
        """Whether damaged pages of an Ogg, or damaged frames of a FLAC, come before the first sound: it counts from zero."""
        if self._container is FLAC:
            is_torn = self._complained_first or self.stamp > self.listing.start  # a frame was passed over
            return is_torn and self.listing.start <= _LONGEST_TORN
        return self._is_torn_in_front and not self.is_early

    @property
    def is_early(self) -> bool:
        """Whether it counts from its first sound although damage has hit what comes before: where that can by far not be as long as
        it is late by its stamp, and its end is missing, too, an Ogg was recorded on the air, from the middle of a page on. And of
        what always counts from there nobody knows what stood before it."""
        if self._torn_front and self._container in _FROM_FIRST:
            return True
        late = self.listing.start
        damaged = self._broken / max(1 - self._broken, self._broken) * max(0.0, self.listing.duration - late)
        return self._is_torn_in_front and self._lacks_end and late > _TORN * damaged + _LONG_PAGE

    @property
    def _is_torn_in_front(self) -> bool:
        lacks_begin = self.torn_pages is not None and self.torn_pages.lacks_begin
        return self._container is OGG and (self.listing.damaged_before or lacks_begin)
