"""An MP4 out of which a stretch of bytes is missing, as a bad copy leaves it: where, and how many.

Its index names the place of every frame of sound or of pictures (ISO/IEC 14496-12), and behind the stretch none is there. How many
bytes are missing is told by the box of the sound, whose length is that of the whole file, or by a piece, which knows where it
stood. Where they are missing is where frames begin as those of this track do when they are looked for so much nearer to the front.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.containers.chunks import Read
from pipeline.audio.joined.lost_pieces import lost_pieces
from pipeline.audio.mp4.contradictions import is_sound
from pipeline.audio.mp4.linear_track import linear_track
from pipeline.audio.mp4.sample_table import LONGEST_INDEX, Places, placed, sample_table
from pipeline.audio.mp4_boxes import Box, boxes, inside

Missing = tuple[int, int]  # before which byte of the file, and how many
Heads = NDArray[np.uint8]
Flags = NDArray[np.bool_]

_INDEX, _SOUND, _PIECE = b"moov", b"mdat", b"moof"
_BLOCK = 256 * 1024  # bytes that are read at once
_HEAD = 2  # bytes of a frame that are compared
_SHARE = 20  # of the frames, a twentieth at either end shows how one begins,
_LEARNT = 10  # of them at least
_MOSTLY = 0.95  # by the bits that are alike in so many of them,
_LEAST_BITS = 4  # if they are so many
_CERTAIN, _FEWEST = 0.9, 16  # of the frames behind the stretch begin so, and so many are there
_COUNTS_FROM = 1  # a flag of a piece's track: it says where in the file


def cut_out(read: Read, at: int, size: int) -> tuple[Missing, ...]:
    """Of the MP4 that begins at `at`; nothing where it is whole, ends too soon, or does not tell. Raises what `read` does alone."""
    outer = list(boxes(read, at, size))
    try:
        if any(box.name == _PIECE for box in outer):
            return tuple(_between_pieces(read, at, size))
        index = next((box for box in outer if box.name == _INDEX), None)
        # Where less is missing than the index has bytes, the sound seems to end inside that.
        sound = next((box for box in outer[::-1] if box.name == _SOUND and (box.end > size or not index)), None)
        index = index or (sound and _last_index(read, sound, size))
        if sound is None or index is None or index.end - index.at > LONGEST_INDEX:
            return ()
        missing = sound.end - (index.at if index.at > sound.at else size)
        return _in_sound(read, at, (index, sound), min(missing, size + 1), size)
    except (ArithmeticError, IndexError, ValueError, struct.error):
        return ()


def _between_pieces(read: Read, at: int, size: int) -> Iterator[Missing]:
    """Before each that can be read again, by the place from which it counts."""
    before = 0
    for _, again in lost_pieces(read, at, size):
        piece = next(boxes(read, again, size))
        track = inside(read, piece, b"traf")
        head = inside(read, track, b"tfhd")
        flags, _, base = struct.unpack(">IIQ", read(head.content, 16))
        missing = base - (again - at) - before if flags & _COUNTS_FROM else 0
        if 0 < missing <= size:
            yield again, missing
            before += missing


def _last_index(read: Read, sound: Box, size: int) -> Box | None:
    """One that stands behind the sound, nearer to the front than that says. It is the last thing in a file, or nearly."""
    end = size
    while end > max(sound.content, size - LONGEST_INDEX):
        start = max(sound.content, end - _BLOCK)
        data = read(start, end - start + 16)
        place = data.rfind(_INDEX + b"\0", 4)
        if place >= 0 and (found := _index_at(read, start + place - 4, size)):
            return found
        end = start
    return None


def _index_at(read: Read, at: int, size: int) -> Box | None:
    box = next(boxes(read, at, size), None)
    first = next(boxes(read, box.content, box.end), None) if box and box.end <= size else None
    return box if first and first.name == b"mvhd" else None


def _in_sound(read: Read, at: int, known: tuple[Box, Box], missing: int, size: int) -> tuple[Missing, ...]:
    index, sound = known
    if not 0 < missing <= size:
        return ()
    end = min(size, index.at if index.at > sound.at else size)
    tracks = [box for box in boxes(read, index.content, index.end) if box.name == b"trak"]
    for track in sorted(tracks, key=lambda track: not is_sound(read, track)):
        if linear_track(read, track):
            continue
        places = placed(sample_table(read, inside(read, track, b"mdia", b"minf", b"stbl")))[0] + at
        if (place := first_moved(read, places, missing, end)) is not None:
            return ((place, missing),)
    return ()


def first_moved(read: Read, places: Places, missing: int, end: int) -> int | None:
    """Where the first frame behind the stretch begins now; None where no frames begin in a way of their own."""
    if (np.diff(places) < 0).any():
        raise ValueError
    here, moved = _heads(read, places, end), _heads(read, places - missing, end)
    few = max(_LEARNT, len(places) // _SHARE)
    bits = np.unpackbits(
        np.concatenate((here[1 : few + 1], moved[-few:])), axis=1
    )  # the first may hold its encoder's name
    ones = bits.mean(axis=0)
    usual = ones.round()
    alike = np.abs(ones - usual) <= 1 - _MOSTLY
    if alike.sum() < _LEAST_BITS:
        return None
    here, moved = ((np.unpackbits(heads, axis=1)[:, alike] == usual[alike]).all(axis=1) for heads in (here, moved))
    first = split(here, moved & (places - missing >= places[0]))  # nothing moves to before all sound
    return None if first is None else int(places[first]) - missing


def split(here: Flags, moved: Flags) -> int | None:
    """The first frame that has moved, of those that begin as a frame does where they should (`here`), and where they would have
    moved to. None where many do both: where all are of one length nobody can tell."""
    if len(moved) < _FEWEST:
        return None
    before = np.concatenate(([0], np.cumsum(here)))
    behind = np.concatenate((np.cumsum(moved[::-1])[::-1], [0]))
    best = np.flatnonzero(before + behind == (before + behind).max())
    in_a_row = np.convolve(moved, np.ones(_FEWEST), "valid") >= _CERTAIN * _FEWEST
    runs = np.flatnonzero(in_a_row & moved[: len(in_a_row)])
    first = int(next((run for run in runs if run >= best[-1]), len(moved)))
    is_certain = len(moved) - first >= _FEWEST and behind[first] >= _CERTAIN * (len(moved) - first)
    return first if is_certain and (here & moved)[best[0] : first].sum() < _FEWEST else None


def _heads(read: Read, places: Places, end: int) -> Heads:
    """The first bytes of each; zeros of what is not in the file."""
    heads, first = np.zeros((len(places), _HEAD), np.uint8), int(np.searchsorted(places, 0))
    while first < len(places) and places[first] + _HEAD <= end:
        at = int(places[first])
        data = np.frombuffer(read(at, min(_BLOCK, end - at)), np.uint8)
        last = max(first + 1, int(np.searchsorted(places, at + len(data) - _HEAD, "right")))
        inside = (places[first:last] - at)[:, np.newaxis] + np.arange(_HEAD)
        heads[first:last] = data[inside.clip(0, len(data) - 1)]
        first = last
    return heads
