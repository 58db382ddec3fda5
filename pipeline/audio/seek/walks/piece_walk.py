"""MP4 in pieces (ISO/IEC 14496-12, 8.8), as browsers and live streams write it: each piece tells when it begins, and of how many
frames it is."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audio.access.entry import Entry
from pipeline.audio.duration.aac import FRAME_SAMPLES
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.mp4_boxes import Box, boxes
from pipeline.audio.step_budget import StepBudget

_SAMPLES = {
    "aac": FRAME_SAMPLES,
    "alac": 4096,
    "mp3": 1152,
    "ac3": 1536,
}  # of a frame; of AAC with a finer band another rate
_MOST_HEAD = 2**20
_ABSOLUTE = 1  # a flag of a piece: its places count from the front of the file


def piece_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of the only track of sound. Raises TooManySteps, ValueError, KeyError and what else garbage leads to."""
    each, track, scale, start, begin = _SAMPLES[sound.codec], 0, 0, at, 0
    counted, first = 0, 0
    last: tuple[int, int] | None = None
    for box in _steps(window, at, steps):
        if box.name == b"moov":
            track, scale = _track(window, box)
            if scale != sound.sample_rate:
                return None
        elif box.name == b"moof":
            begin = begin or box.at
            if begin - start > _MOST_HEAD:
                return None
            found = _piece(window, box, track)
            if found is None:
                continue
            time, frames = found
            first = time if last is None else first
            if time - first != counted:
                return None
            if counted > latest:
                break
            last = (box.at, counted)
            counted += frames * each
    return Entry(((start, begin),), *last) if last and last[1] and counted > latest else None


def _steps(window: Window, at: int, steps: StepBudget) -> Iterator[Box]:
    return steps.over(boxes(window.head, at, window.size))


def _inside(window: Window, box: Box, name: bytes) -> Box:
    """Raises ValueError where there is none, or several."""
    (found,) = [inner for inner in boxes(window.head, box.content, box.end) if inner.name == name]
    return found


def _track(window: Window, movie: Box) -> tuple[int, int]:
    """(number, units of time a second) of the only track of sound. Raises ValueError."""
    found = []
    for box in boxes(window.head, movie.content, movie.end):
        media = _inside(window, box, b"mdia") if box.name == b"trak" else None
        if media and window.head(_inside(window, media, b"hdlr").content + 8, 4) == b"soun":
            header, times = _inside(window, box, b"tkhd"), _inside(window, media, b"mdhd")
            number = _number(window, header.content + (20 if window.head(header.content, 1)[0] else 12))
            found.append((number, _number(window, times.content + (20 if window.head(times.content, 1)[0] else 12))))
    (only,) = found
    return only


def _number(window: Window, at: int, width: int = 4) -> int:
    return int.from_bytes(window.head(at, width), "big")


def _piece(window: Window, box: Box, track: int) -> tuple[int, int] | None:
    """(when it begins, of how many frames it is) of that track's part; None without one. Raises ValueError."""
    for part in boxes(window.head, box.content, box.end):
        header = _inside(window, part, b"tfhd") if part.name == b"traf" else None
        if header is None or _number(window, header.content + 4) != track:
            continue
        if window.head(header.content + 3, 1)[0] & _ABSOLUTE:
            raise ValueError
        time = _inside(window, part, b"tfdt")
        wide = window.head(time.content, 1)[0]
        runs = [run for run in boxes(window.head, part.content, part.end) if run.name == b"trun"]
        frames = sum(_number(window, run.content + 4) for run in runs)
        return _number(window, time.content + 4, 8 if wide else 4), frames
    return None
