"""Bare frames, one behind the other and all of one kind: how many of them there are is how much sound there is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from pipeline.audio.access.entry import Entry, Span
from pipeline.audio.access.mp3_tag import mp3_tag
from pipeline.audio.containers.link_syntax import amr_frame
from pipeline.audio.containers.surround_frames import surround_frame
from pipeline.audio.duration.aac import FRAME_SAMPLES, RATES
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.mpeg_frames import aac_frame, mpeg_frame
from pipeline.audio.step_budget import StepBudget

_LASTING = 0xFD  # bits of the third byte of an ADTS header that no stream changes: all but a private one
_AC3_SYNC, _LAST_AC3, _DEPENDENT = b"\x0b\x77", 10, 1
_AMR_SAMPLES, _AMR_SPEECH = (
    (160, 320),
    (8, 9),
)  # narrow and wide: samples of a frame, and how many kinds of it are speech
_AMR_HEADERS = (b"#!AMR\n", b"#!AMR-WB\n")

Read = tuple[int, int, Hashable]  # a frame: bytes, samples, and what is the same in all of a stream


@dataclass(frozen=True)
class Frames:
    """How the frames of a codec are read by the first `size` bytes: None where there is none."""

    size: int
    read: Callable[[bytes, int], Read | None]  # of a stream of so many samples a second


@lru_cache(1024)  # headers repeat
def _mpeg(header: bytes, _: int) -> Read | None:
    frame = mpeg_frame(header)
    kind = frame and (frame.samples, frame.rate, frame.layer, frame.version1, frame.mono, frame.checked)
    return (frame.length, frame.samples, kind) if frame else None


def _adts(header: bytes, rate: int) -> Read | None:
    """Where a finer band is added, both rate and samples double."""
    frame = aac_frame(header)
    core = RATES[frame[2]] if frame else 0
    if frame is None or rate not in (core, 2 * core):
        return None
    return frame[0], FRAME_SAMPLES * rate // core, (header[1], header[2] & _LASTING, header[3] >> 6)


def _surround(header: bytes, rate: int) -> Read | None:
    """What adds channels to the frame before it brings no samples, and is of its kind; another programme is none."""
    frame = surround_frame(header, 0)
    if frame is None:
        return None
    kind: Hashable = frame[1] or None
    if header[:2] == _AC3_SYNC:
        is_plain = header[5] >> 3 <= _LAST_AC3
        kind = (header[4] & 0xC0, header[5], header[6] >> 5) if is_plain else (header[4], header[5] >> 3)
        if not is_plain and header[2] >> 6 != _DEPENDENT and header[2] >> 3 & 7:
            return None
        kind = None if not frame[1] else kind
    return frame[0], round(frame[1] * rate), kind


def _amr(header: bytes, _: int, *, wide: bool) -> Read | None:
    """Speech alone: what a pause is made of, not every decoder knows."""
    length = amr_frame(header[0], wide=wide) if header else 0
    return (length, _AMR_SAMPLES[wide], wide) if length and header[0] >> 3 & 15 < _AMR_SPEECH[wide] else None


FRAMES: Mapping[str, Frames] = {
    "mp3": Frames(4, _mpeg),
    "mp2": Frames(4, _mpeg),
    "aac": Frames(7, _adts),
    "ac3": Frames(18, _surround),
    "eac3": Frames(18, _surround),
    "dts": Frames(18, _surround),
    "amr_nb": Frames(1, partial(_amr, wide=False)),
    "amr_wb": Frames(1, partial(_amr, wide=True)),
}


def frame_before(
    window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget
) -> tuple[int, int, int] | None:
    """(its first byte, how many samples precede it, how many frames with sound) of the last frame that begins at the sample
    `latest` or before, of those that follow each other from `at` on. Raises TooManySteps."""
    frames = FRAMES[sound.codec]
    samples = count = 0
    kind: Hashable = None
    while at < window.size:
        steps.take()
        frame = frames.read(window.head(at, frames.size), sound.sample_rate)
        if frame is None:
            return None
        length, brings, own = frame
        kind = own if kind is None else kind
        if own is not None and own != kind:
            return None
        if brings and samples + brings > latest:
            return at, samples, count
        at, samples, count = at + length, samples + brings, count + bool(brings)
    return None


def bare_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of frames without a container."""
    found = frame_before(window, at, sound, latest, steps)
    return Entry((), found[0], found[1]) if found else None


def mp3_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """The same behind a tag that says how many frames there are: of those that are left it says so."""
    tag = mp3_tag(window.read, at)
    begin = at + len(tag.data) if tag else at
    found = frame_before(window, begin, sound, latest, steps)
    if found is None:
        return None
    place, samples, count = found
    head: tuple[Span, ...] = ()
    if tag:
        head = (tag.retold(max(0, tag.believed(window.size - at) - count)),)
    return Entry(head, place, samples)


def amr_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """The same behind the header of a file of AMR."""
    header = next((one for one in _AMR_HEADERS if window.head(at, len(one)) == one), None)
    found = frame_before(window, at + len(header), sound, latest, steps) if header else None
    return Entry((header,), found[0], found[1]) if header and found else None
