"""Ogg (RFC 3533) of which pages were overwritten or cut out: its whole pages alone, each with when it is played.

A decoder that finds no page for 64 KiB gives up; so broken bytes are left out, and a page stands for them whose checksum is wrong,
of which it complains. A page of FLAC it takes to begin where the last one that it has seen has ended. So in front of the first
behind damage comes one without sound, which ends where that begins: before its own end by the samples of its frames (RFC 9639).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.audio.containers.flac_headers import LONGEST_FRAME_HEADER, flac_frame
from pipeline.audio.containers.ogg_pages import (
    FIRST,
    LONGEST_HEADER,
    MARK,
    UNKNOWN,
    Page,
    packets,
    page,
    page_of,
    sums_up,
)

_LONGEST = LONGEST_HEADER + 255 * 255  # bytes of a page
_MOST_TRIES = 20_000  # to find a page where none is; what follows is left out
_FLAC = b"\x7fFLAC"
_NO_SOUND = b"\xff"  # which begins a frame of FLAC, and ends before there is anything to decode
_NUMBERS = 1 << 32  # of pages, which begin anew there


def whole_pages(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """What is left of a recording's pages in `blocks`, bytes that follow each other from its beginning on."""
    torn, broken = _Torn(), False
    for data in _split(blocks):
        one = page(lambda at, length, data=data: data[at : at + length], 0)  # type: ignore[misc]
        if one:
            yield from torn.mended(one, data, broken=broken)
        broken = one is None


class _Torn:
    """Pages one by one, each with what has to stand in front of it."""

    def __init__(self) -> None:
        self._due: dict[int, int] = {}  # by stream, the number of the page that should be next
        self._flac, self._unplaced = set[int](), set[int]()  # streams of FLAC, and those of them that damage has hit

    def mended(self, one: Page, data: bytes, *, broken: bool) -> Iterator[bytes]:
        """`broken`: there are bytes before it that are no page."""
        if one.flags & FIRST and data.startswith(_FLAC, one.content):
            self._flac.add(one.serial)
        if self._lacks_pages(one) or broken:
            self._unplaced = set(self._flac)
            yield _broken(page_of(_NO_SOUND, one.serial, one.number, one.position))
        if one.serial in self._unplaced and not one.flags & FIRST:
            begin = _begin(one, data)
            if begin is None:
                return
            self._unplaced.discard(one.serial)
            yield page_of(_NO_SOUND, one.serial, one.number, begin)
        yield data

    def _lacks_pages(self, one: Page) -> bool:
        due = one.number if one.flags & FIRST else self._due.get(one.serial, one.number)
        self._due[one.serial] = (one.number + 1) % _NUMBERS
        return 0 < (one.number - due) % _NUMBERS < _NUMBERS // 2


def _broken(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def _begin(one: Page, data: bytes) -> int | None:
    """How many samples come before the first frame that begins on this page; None where it does not tell."""
    frames = [flac_frame(data[at : at + LONGEST_FRAME_HEADER]) for at, _ in packets(one)]
    if one.position == UNKNOWN or None in frames:
        return None
    return max(0, one.position - sum(frame.samples for frame in frames if frame))


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
