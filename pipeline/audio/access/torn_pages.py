"""Ogg (RFC 3533) of which pages were overwritten or cut out: its whole pages alone, each with when it is played.

A decoder that finds no page for 64 KiB gives up; so broken bytes are left out, and a page stands for them whose checksum is wrong,
of which it complains. A page of FLAC it takes to begin where the last one that it has seen has ended. So in front of the first
behind damage comes one without sound, which ends where that begins: before its own end by the samples of its frames (RFC 9639).

Pages of a stream whose first ones are lost, as where damage has hit the joint of two recordings, follow as if they were of the one
before, whose headers they need: where they are of Opus as that was (RFC 7845), or of FLAC with the same rate, channels and bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.audio.containers.flac_headers import LONGEST_FRAME_HEADER, flac_frame
from pipeline.audio.containers.ogg_pages import (
    FIRST,
    LAST,
    LONGEST_HEADER,
    MARK,
    UNKNOWN,
    Page,
    flagged,
    moved,
    packets,
    page,
    page_of,
    sums_up,
)
from pipeline.audio.duration.opus_packets import packet_samples

_LONGEST = LONGEST_HEADER + 255 * 255  # bytes of a page
_MOST_STREAMS = 64  # that are told apart, of either kind; a recording has one, joined ones as many as there are
_MOST_TRIES = 20_000  # to find a page where none is; what follows is left out
_FLAC, _OPUS = b"\x7fFLAC", b"OpusHead"
_FAMILY_AT = 18  # in the first packet of Opus: which channels there are, 0 for one or two
_NO_SOUND = b"\xff"  # which begins a frame of FLAC, and ends before there is anything to decode
_NUMBERS = 1 << 32  # of pages, which begin anew there


@dataclass(slots=True)
class _Stream:
    """`due`: the number of the page that should be next. `end`: the position of the last one; `before`: samples in front of the
    sound, by which every position is late. `layout`: of its frames of FLAC."""

    kind: bytes
    due: int
    before: int
    end: int = 0
    layout: tuple[int, int, int] | None = None
    ended: bool = False
    unplaced: bool = False  # FLAC that damage has hit

    @property
    def clock_end(self) -> int:
        return self.end - self.before


_Adoption = tuple[int, int, int]  # as which stream, how many pages and samples later


class TornPages:
    """`mended`, once; `unheard` is whole when that has come to its end. `lacks_begin`: something is missing before the first
    sound."""

    def __init__(self) -> None:
        self.lacks_begin = False
        self._streams: dict[int, _Stream] = {}
        self._adopted: dict[int, _Adoption] = {}
        self._orphans: dict[int, int] = {}  # streams without a first page that are left out, and their last positions

    @property
    def unheard(self) -> int:
        """Samples of streams that nobody can read without their first pages."""
        return sum(self._orphans.values())

    def mended(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """What is left of a recording's pages in `blocks`, bytes that follow each other from its beginning on."""
        broken = False
        for data in _split(blocks):
            one = _read(data)
            if one and one.flags & FIRST and len(self._streams) < _MOST_STREAMS:
                self._begin(one, data)
            if one and one.serial in self._streams:
                yield from self._mended(one, data, broken=broken)
            elif one and not one.flags & FIRST:
                yield from self._of_an_orphan(one, data, broken=broken)
            broken = one is None or not self._is_known(one)

    def _is_known(self, one: Page) -> bool:
        return one.serial in self._streams or one.serial in self._adopted

    def _begin(self, one: Page, data: bytes) -> None:
        head = data[one.content - one.at :]
        kind = next((kind for kind in (_FLAC, _OPUS) if head.startswith(kind)), b"")
        if kind == _OPUS and head[_FAMILY_AT : _FAMILY_AT + 1] != b"\0":
            kind = b""
        before = int.from_bytes(head[10:12], "little") if kind == _OPUS else 0
        self._streams[one.serial] = _Stream(kind, one.number, before)

    def _mended(self, one: Page, data: bytes, *, broken: bool) -> Iterator[bytes]:
        """`broken`: there are bytes before it that are no page."""
        stream = self._streams[one.serial]
        lacks = 0 < (one.number - stream.due) % _NUMBERS < _NUMBERS // 2
        stream.due = (one.number + 1) % _NUMBERS
        if lacks or broken:
            self.lacks_begin |= not stream.end and not one.flags & FIRST
            for other in self._streams.values():
                other.unplaced = other.kind == _FLAC
            yield _broken(page_of(_NO_SOUND, one.serial, one.number, one.position))
        if stream.unplaced and not one.flags & FIRST:
            begin = _begin(one, data, stream.kind)
            if begin is None:
                return
            stream.unplaced = False
            yield page_of(_NO_SOUND, one.serial, one.number, begin)
        self._pass(one, data, stream)
        yield _placed_by_its_end(one, data, stream.kind) if one.flags & LAST and (lacks or broken) else data

    def _pass(self, one: Page, data: bytes, stream: _Stream) -> None:
        stream.ended |= bool(one.flags & LAST)
        stream.end = stream.end if one.position == UNKNOWN else one.position
        if stream.kind == _FLAC and stream.layout is None:
            stream.layout = _layout(one, data)

    def _of_an_orphan(self, one: Page, data: bytes, *, broken: bool) -> Iterator[bytes]:
        """The page of a stream without headers as one of the stream that has ended before, if it can be."""
        if not self._is_known(one):
            broken = True
            if stream := self._fitting(one, data):
                self._adopted[one.serial] = stream
                self._orphans.pop(one.serial, None)  # a leap of the clock tells of what came before
        if one.serial in self._adopted:
            serial, pages, samples = self._adopted[one.serial]
            position = one.position if one.position == UNKNOWN else one.position + samples
            data = moved(data, serial, (one.number + pages) % _NUMBERS, position)
            if adopted := _read(data):
                yield from self._mended(adopted, data, broken=broken)
        elif one.position != UNKNOWN and (one.serial in self._orphans or len(self._orphans) < _MOST_STREAMS):
            self._orphans[one.serial] = one.position

    def _fitting(self, one: Page, data: bytes) -> _Adoption | None:
        """The only stream, and by how much the numbers and positions of this one are later in it."""
        if len(self._streams) != 1 or one.position == UNKNOWN:
            return None
        ((serial, stream),) = self._streams.items()
        begin = _begin(one, data, stream.kind) if stream.ended and stream.kind else None
        fits = stream.kind == _OPUS or stream.layout == _layout(one, data)
        return (serial, stream.due - one.number, stream.clock_end) if begin is not None and fits else None


def _placed_by_its_end(one: Page, data: bytes, kind: bytes) -> bytes:
    """The last page as one that others follow: of the last a decoder takes the end for cut short, and counts on from what it has
    seen. Its position is that cut; where packets of Opus are of one length, their own end is known."""
    try:
        samples = [_samples(data[at : at + size], kind) for at, size in packets(one)] if kind == _OPUS else []
    except ValueError:
        samples = []
    short = (sum(samples) - one.position) % samples[0] if samples and one.position != UNKNOWN else 0
    return flagged(data, one.flags & ~LAST, one.position + short)


def _layout(one: Page, data: bytes) -> tuple[int, int, int] | None:
    at = next((at for at, _ in packets(one)), 0)
    frame = flac_frame(data[at : at + LONGEST_FRAME_HEADER])
    return frame.layout if frame else None


def _read(data: bytes) -> Page | None:
    return page(lambda at, length: data[at : at + length], 0)


def _broken(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def _begin(one: Page, data: bytes, kind: bytes) -> int | None:
    """How many samples come before the first packet that begins on this page; None where it does not tell, or is of another
    kind: an encoder of Opus makes packets of one length, from zero on."""
    if one.position == UNKNOWN:
        return None
    try:
        samples = [_samples(data[at : at + size], kind) for at, size in packets(one)]
    except ValueError:
        return None
    begin = one.position - sum(samples)
    if kind == _OPUS and (begin < 0 or not samples or begin % samples[0]):
        return None
    return max(0, begin)


def _samples(packet: bytes, kind: bytes) -> int:
    """Raises ValueError for what is no such packet."""
    if kind == _OPUS and packet:
        return packet_samples(packet[0], packet[1] if len(packet) > 1 else 0)
    frame = flac_frame(packet[:LONGEST_FRAME_HEADER])
    if frame is None:
        raise ValueError
    return frame.samples


def _split(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Each page that is whole; nothing in the place of what is none."""
    held, ended, tries = b"", False, 0
    source = iter(blocks)
    while not ended and tries < _MOST_TRIES:
        block = next(source, b"")
        held, ended, at = held + block, not block, 0
        while at < len(held) and (ended or len(held) - at >= _LONGEST) and tries < _MOST_TRIES:
            size = _whole(held, at)
            yield held[at : at + size]
            tries += not size
            at += size or _up_to_mark(held, at)
        held = held[at:]


def _whole(data: bytes, at: int) -> int:
    """How long the page there is; 0 where none is, or not as it was."""
    one = page(lambda offset, length: data[offset : offset + length], at)
    return one.end - at if one and one.end <= len(data) and sums_up(data[at : one.end]) else 0


def _up_to_mark(data: bytes, at: int) -> int:
    """How far it is to where another page may begin, or to part of a mark at the end."""
    found = data.find(MARK, at + 1)
    return (found if found > 0 else max(at + 1, len(data) - len(MARK) + 1)) - at
