"""Ogg, whose pages state how many samples come before: up to a place, their packets have to agree to the sample."""

from __future__ import annotations

from pipeline.audio.access.entry import Entry
from pipeline.audio.containers.ogg_pages import CONTINUED, UNKNOWN
from pipeline.audio.duration.ogg import pages
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.seek.walks.packet_sizes import LOOK, PacketSizes, packet_sizes
from pipeline.audio.step_budget import StepBudget

_HEADERS = {"opus": 2, "vorbis": 3}  # packets before the first with sound
_FLAC_COUNT_AT = 7  # in the first packet of FLAC: how many follow it before the sound
_LONGEST_HEADERS = 2**20  # bytes
_COMMENTS = 2  # the header that they are


def ogg_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of one stream that begins at `at`. Raises TooManySteps, ValueError, IndexError."""
    walk = _Walk(sound, at)
    for one, packets in pages(window.head, at, window.size, steps):
        walk.begin_page(one.at, continues=bool(one.flags & CONTINUED))
        for place, size in packets:
            walk.take(window.head(place, size if walk.in_headers else min(size, LOOK)), size)
        if not walk.in_headers and one.position not in (0, UNKNOWN) and one.position != walk.counted:
            return None
        walk.end_page(one.end)
        if walk.counted > latest:
            return walk.entry(latest)
    return None


class _Walk:
    """The pages up to a place: the last one that can be begun with."""

    def __init__(self, sound: AudioStream, at: int) -> None:
        self.counted = 0
        self._sound, self._at = sound, at
        self._seen, self._bytes, self._headers = 0, 0, _HEADERS.get(sound.codec, 1)
        self._setup = b""
        self._sizes: PacketSizes | None = None
        self._behind_headers = 0
        self._page: int | None = None  # where it begins, if a decoder can begin there and nothing has come of it yet
        # Where the last two of them begin, and how many samples come before what a decoder makes of each.
        self._places: list[tuple[int, int]] = []

    @property
    def in_headers(self) -> bool:
        return self._seen < self._headers

    def begin_page(self, at: int, *, continues: bool) -> None:
        self._page = None if continues or self.in_headers else at

    def end_page(self, end: int) -> None:
        if self.in_headers or not self._behind_headers:
            self._behind_headers = 0 if self.in_headers else end

    def take(self, head: bytes, size: int) -> None:
        """The next packet. Raises ValueError."""
        self._seen += 1
        if self._seen <= self._headers:
            self._take_header(head, size)
            return
        if self._sizes is None:
            self._sizes = self._sizes_of()
        before = self.counted
        if size or self._sound.codec != "opus":
            self.counted += self._sizes.samples(head, size)
        if self._page is not None:
            self._places = [*self._places[-1:], (self._page, self.counted if self._sizes.unready else before)]
            self._page = None

    def _take_header(self, packet: bytes, size: int) -> None:
        self._bytes += size
        if self._bytes > _LONGEST_HEADERS:
            raise ValueError
        if self._seen == 1:
            self._headers += self._more_headers(packet)
        self._setup += packet if self._seen != _COMMENTS else b""

    def _more_headers(self, first: bytes) -> int:
        count = int.from_bytes(first[_FLAC_COUNT_AT : _FLAC_COUNT_AT + 2], "big")
        if self._sound.codec == "flac" and not count:
            raise ValueError
        return count if self._sound.codec == "flac" else 0

    def _sizes_of(self) -> PacketSizes:
        sizes = packet_sizes(self._sound, self._setup)
        if sizes is None:
            raise ValueError
        return sizes

    def entry(self, latest: int) -> Entry | None:
        """The last one at that sample or before."""
        near = [place for place in self._places if place[1] <= latest]
        return Entry(((self._at, self._behind_headers),), *near[-1]) if near and self._behind_headers else None
