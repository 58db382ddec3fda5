"""Pieces of an MP4 (moof; ISO/IEC 14496-12, 8.8) that contradict the others: a bad copy changes the length of a sample, and all
behind it in the piece are other bytes; or when the piece is played, and it stands elsewhere on the clock.

The samples of a piece fill the box of sound behind it, and what a track has in the next piece is played when this one ends: so
writers do it, and where nearly all pieces of a file are so, one that is not is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.audio.containers.chunks import Read
from pipeline.audio.joined.window import Window
from pipeline.audio.mp4.piece_index import Extent, Time, Told, Usual, tracks_in, usual_tracks
from pipeline.audio.mp4_boxes import Box, boxes

_LONGEST = 1 << 20  # bytes of a piece's index
_MOST = 500_000  # boxes
_MOSTLY = 0.75  # of the pieces
_FEWEST = 4
_CLOSE = 0.02  # seconds
_SENSELESS = (ArithmeticError, LookupError, ValueError, struct.error)  # what garbage leads to


@dataclass(frozen=True, slots=True)
class _Piece:
    """From `start` to `end` in the file; whether the samples of all its sound are where they should be; when each of its tracks of
    sound is played, by their numbers, where it says so; None where it makes no sense."""

    start: int
    end: int
    filled: bool
    times: Mapping[int, Time | None] | None


def wrong_pieces(read: Read, at: int, size: int, lost: Sequence[Extent]) -> tuple[Extent, ...]:
    """From where to where those reach, in the MP4 from `at` to `size`, of whose sound that cannot be true which they tell of it.
    What is `lost` is passed over. Raises what `read` does alone."""
    try:
        usual, pieces = _pieces(Window(read, size), at, size, dict(lost))
    except _SENSELESS:
        return ()
    if len(pieces) < _FEWEST:
        return ()
    wrong = {number for track, one in usual.items() if one.is_sound for number in _moved(pieces, track)}
    if sum(piece.filled for piece in pieces) >= _MOSTLY * len(pieces):
        wrong |= {number for number, piece in enumerate(pieces) if not piece.filled}
    return tuple((pieces[number].start, pieces[number].end) for number in sorted(wrong))


def _moved(pieces: Sequence[_Piece], track: int) -> list[int]:
    """Those in which that is not played when it should be."""
    here = [number for number, piece in enumerate(pieces) if piece.times is None or track in piece.times]
    times = [None if (told := pieces[number].times) is None else told[track] for number in here]
    return [here[number] for number in _out_of_time(times)] if len(here) >= _FEWEST else []


def _out_of_time(times: Sequence[Time | None]) -> Iterator[int]:
    """Those that are not played where the ones around them leave room; nothing where pieces do not follow each other."""
    follow = [bool(one and other and abs(other.begin - one.end) <= _CLOSE) for one, other in pairwise(times)]
    if sum(follow) < _MOSTLY * len(follow):
        return
    for number, this in enumerate(times):
        before = times[number - 1] if number else Time(0.0, 0.0)
        behind = times[number + 1] if number + 1 < len(times) else None
        is_late, is_over = number > 0 and not follow[number - 1], number < len(follow) and not follow[number]
        has_moved = this is None or (is_late and before is not None and _is_elsewhere(before, this, behind))
        if has_moved or (this and is_over and not is_late and behind and this.end > behind.begin + _CLOSE):
            yield number


def _is_elsewhere(before: Time, this: Time, behind: Time | None) -> bool:
    """Whether it would follow the one before it, and the one behind it, if it began when that ends; the last one goes back."""
    if behind is None:
        return this.begin < before.end - _CLOSE
    return abs(before.end + this.lasts - behind.begin) <= _CLOSE


def _pieces(window: Window, at: int, size: int, lost: Mapping[int, int]) -> tuple[dict[int, Usual], list[_Piece]]:
    """All tracks, and all pieces; none where nothing tells of the tracks before them."""
    usual, piece, found = dict[int, Usual](), None, list[_Piece]()
    for box in _outer(window, at, size, lost):
        if box.name == b"moov":
            usual = usual_tracks(window.read, box)
        elif box.name == b"moof" and not usual:
            break
        elif box.name == b"moof":
            piece = box
        elif box.name == b"mdat" and piece and piece.end == box.at:
            found.append(_piece(window, at, (piece, box), usual))
    return usual, found


def _outer(window: Window, at: int, size: int, lost: Mapping[int, int]) -> Iterator[Box]:
    for _ in range(_MOST):
        at = lost.get(at, at)
        box = next(boxes(window.head, at, size), None)
        if box is None or box.end > size:
            return
        yield box
        at = box.end


def _piece(window: Window, origin: int, both: tuple[Box, Box], usual: Mapping[int, Usual]) -> _Piece:
    index, sound = both
    data = window.head(index.at, min(_LONGEST, index.end - index.at))

    def read(at: int, length: int) -> bytes:
        return data[at - index.at : at - index.at + length]

    try:
        tracks = list(tracks_in(read, index, origin, usual))
    except _SENSELESS:
        return _Piece(index.at, sound.end, filled=False, times=None)
    times = {track.number: track.times for track in tracks if usual[track.number].is_sound}
    is_told_once = len({track.number for track in tracks}) == len(tracks) > 0
    filled = is_told_once and _fills(tracks, (sound.content, sound.end), usual)
    return _Piece(index.at, sound.end, filled, times if is_told_once else None)


def _fills(tracks: Sequence[Told], place: Extent, usual: Mapping[int, Usual]) -> bool:
    """Whether each run of sound ends where another one begins, or the place of all of them ends: what is behind a size or an offset
    that damage has changed does not."""
    begin, end = place
    starts = {start for track in tracks for start, _ in track.runs} | {end}
    runs = [run for track in tracks if usual[track.number].is_sound for run in track.runs]
    return all(begin <= start < last and last in starts for start, last in runs)
