"""How long a recording lasts, guessed from its two ends while it streams by: enough to hold money for.

Nothing is billed by this. A file whose beginning is the whole of it is counted frame by frame, so that what is held for it is what
it will cost. Of a longer one a header may say anything, so what it says is bounded by what so many bytes can hold at the lowest
rate that the container's codecs are used at; what turns out longer is held for when it is decoded. Where the file says
nothing, the rate is guessed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.audio import sniff
from pipeline.audio.containers.ebml import CLUSTER, GROUP, SIMPLE_BLOCK, TIME, element, elements, number
from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.surround_frames import surround_frame
from pipeline.audio.containers.wav_format import riff_chunks
from pipeline.audio.containers.wav_layout import sample_layout
from pipeline.audio.duration.exact import measured_ms
from pipeline.audio.duration.stated import STATED
from pipeline.audio.joined.links import links
from pipeline.audio.mpeg_frames import adts_frame, mpeg_audio_frame
from pipeline.audio.raw_sound import RawSound
from pipeline.audio.step_budget import StepBudget, TooManySteps
from pipeline.errors import InvalidRequest

HEAD_BYTES = 1024 * 1024  # from the front, as many as there are
TAIL_BYTES = 512 * 1024  # from the end
UNKNOWN_MS = 60_000  # of a recording that nobody has seen yet
GUESSED_RATE = 8_000  # bytes a second: 64 kbit/s
_STRANGE_RATE = 4_000  # bytes a second: what is recorded with less is refused when it is decoded
_AMR_RATE = 1_600  # the same of what telephones record
_LOWEST_RATE = 400  # bytes a second: 3.2 kbit/s, the lowest that speech codecs are used at
_SECOND = 1000  # ms
_LONGEST_MS = 10**15
_IMA_SAMPLES = 64  # of a packet, which AIFF counts as one frame
_BEHIND_SOUND = 64 * 1024  # bytes of notes and pictures
_LONG_TAG = HEAD_BYTES // 2
_LEAST_SOUND = 1024  # bytes; fewer hold no sound
_CHUNK_NAME = re.compile(rb"\0?[\x20-\x7e]{4}")  # behind a byte of padding, perhaps
_MOST_STEPS = 20_000  # frames or chunks that are looked at


@dataclass(frozen=True, slots=True)
class Estimate:
    """Milliseconds. `sure` where they follow from the number of bytes, so that only a cut off file can be shorter;
    `guessed` where the file itself says nothing."""

    ms: int
    sure: bool = False
    guessed: bool = False


def estimate(head: bytes, tail: bytes, size: int, declared: RawSound | None = None) -> Estimate:
    """Of a file of `size` bytes that begins with `head` and ends with `tail`. Never raises: what is no audio is guessed at."""
    if declared:
        return Estimate(declared.ms(size), sure=True)
    try:
        found = _told(head, tail, size)
    except (InvalidRequest, ValueError, IndexError, struct.error, ArithmeticError):
        found = None
    if found is not None and found.sure:
        return found
    counted = _counted(head) if size == len(head) else None
    if counted is not None:
        return Estimate(counted)
    if found is None:
        return Estimate(size * _SECOND // GUESSED_RATE, guessed=True)
    return Estimate(max(0, min(found.ms, size * _SECOND // _LOWEST_RATE)))


def _told(head: bytes, tail: bytes, size: int) -> Estimate | None:
    """What the file says, or lets see."""
    seen = sniff.sniff_file(lambda offset: head[offset:])
    name, head, size = seen.container.name, head[seen.start :], size - seen.start
    tail = tail[-size:]
    if reader := _READERS.get(name):
        return reader(head, tail, size)
    seconds = STATED[name](head, tail, size) if name in STATED else None
    return Estimate(round(min(seconds * _SECOND, _LONGEST_MS))) if seconds and seconds > 0 else None


def _counted(data: bytes) -> int | None:
    """Of a whole file, also of one that was joined of several."""
    whole = measured_ms(data)
    if whole is not None:
        return whole
    read = StepBudget.for_bytes(len(data)).counted(lambda at, length: data[at : at + length])
    try:
        found = sniff.sniff_file(lambda offset: data[offset : offset + sniff.LOOK_BYTES])
        joined = links(read, len(data), found)
    except (InvalidRequest, TooManySteps):
        return None
    parts = [measured_ms(data[link.start : link.end]) for link in joined[1:] and joined]
    return sum(part for part in parts if part is not None) if parts and None not in parts else None


class Ends:
    """Both ends of what streams by, and how much it was."""

    def __init__(self) -> None:
        self._head, self._tail, self._size = bytearray(), bytearray(), 0
        self._tag: int | None = None  # bytes of a tag that are still to come

    def add(self, data: bytes) -> None:
        """The next bytes. A tag in front that is so long that it would hide the beginning, for its picture, is left out."""
        if self._tag is None:
            tag = tag_length(data[:TAG_HEADER])
            self._tag = tag if tag > _LONG_TAG else 0
        if self._tag:
            passed = min(self._tag, len(data))
            self._tag -= passed
            data = data[passed:]
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        self._tail += data
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        self._size += len(data)

    def skip(self, count: int) -> None:
        """So many bytes, the last ones, pass by unseen."""
        self._tail.clear()
        self._size += count

    def estimate(self, declared: RawSound | None = None) -> Estimate:
        """Of what has passed by."""
        return estimate(bytes(self._head), bytes(self._tail), self._size, declared)


def _nearest(count: int, rate: int) -> int:
    """Milliseconds, rounded as those that are billed: one too few, and a job would have to hold more for it."""
    return (2 * _SECOND * count + rate) // (2 * rate)


def _is_no_chunk(behind: bytes) -> bool:
    """Whether sound goes on where a file's header says that it ends, or another recording follows: all of it is as the first."""
    return len(behind) >= _LEAST_SOUND and not _CHUNK_NAME.match(behind) and len(set(behind[:64])) > 1


def _wav(head: bytes, tail: bytes, size: int) -> Estimate | None:
    rate = 0
    plain = False
    for name, start, length in StepBudget(_MOST_STEPS).over(riff_chunks(head)):
        if name == b"fmt ":
            layout = sample_layout(head[start : start + length])
            plain = layout is not None
            rate = layout.rate * layout.block if layout else struct.unpack_from("<I", head, start + 8)[0]
        elif name == b"data" and rate:
            if not length:  # a recorder that was never stopped; ffmpeg reads on
                return Estimate(_nearest(size - start, rate))
            behind = size - start - length
            if behind > max(_BEHIND_SOUND, length // 100) or _is_no_chunk((tail or head)[-max(1, behind) :]):
                return Estimate(_nearest(size - start, rate))
            return Estimate(_nearest(min(length, size - start), rate), sure=plain and rate >= _STRANGE_RATE)
    return None


def _aiff(head: bytes, _tail: bytes, _size: int) -> Estimate | None:
    for name, start, _ in StepBudget(_MOST_STEPS).over(riff_chunks(head, ">")):
        if name == b"COMM":
            frames = struct.unpack_from(">I", head, start + 2)[0]
            if head[start + 18 : start + 22] == b"ima4":
                frames *= _IMA_SAMPLES
            exponent, mantissa = struct.unpack_from(">HQ", head, start + 8)
            return Estimate(int(frames * _SECOND / (mantissa * 2.0 ** (exponent - 16446))))
    return None


def _flac(head: bytes, _tail: bytes, _size: int) -> Estimate | None:
    start = tag_length(head) + 8  # behind the magic and the first block's header
    fields = int.from_bytes(head[start + 10 : start + 18], "big")
    rate, samples = fields >> 44, fields & (1 << 36) - 1
    return Estimate(_nearest(samples, rate)) if samples else None


def _mp3(head: bytes, _tail: bytes, size: int) -> Estimate | None:
    start = tag_length(head)
    frames = _frames(head, start, mpeg_audio_frame)
    first = next(frames, None)
    if first is None:
        return None
    offset, length, seconds = first
    told = re.search(
        rb"(?:Xing|Info)\x00\x00\x00[\x01\x03\x05\x07\x09\x0b\x0d\x0f](.{4})", head[offset : offset + length], re.S
    )
    if told:
        return Estimate(int(int.from_bytes(told[1], "big") * seconds * _SECOND))
    return _by_rate([first, *frames], size - start)


def _surround(head: bytes, _tail: bytes, size: int) -> Estimate | None:
    return _by_rate(list(_frames(head, 0, surround_frame)), size)


def _aac(head: bytes, _tail: bytes, size: int) -> Estimate | None:
    return _by_rate(list(_frames(head, tag_length(head), adts_frame)), size)


def _amr(_head: bytes, _tail: bytes, size: int) -> Estimate | None:
    return Estimate(size * _SECOND // _AMR_RATE)


def _frames(
    head: bytes, offset: int, read: Callable[[bytes, int], tuple[int, float] | None]
) -> Iterator[tuple[int, int, float]]:
    """(offset, bytes, seconds) of each frame."""
    for _ in range(_MOST_STEPS):  # all of it is as those, so that more need not be looked at
        frame = read(head, offset)
        if frame is None or offset + frame[0] > len(head):
            return
        yield offset, *frame
        offset += frame[0]


def _by_rate(frames: list[tuple[int, int, float]], size: int) -> Estimate | None:
    """All of it is as the frames that were seen."""
    seen = sum(length for _, length, _ in frames)
    return Estimate(int(sum(seconds for _, _, seconds in frames) * _SECOND * size / seen)) if seen else None


def _ogg(head: bytes, tail: bytes, _size: int) -> Estimate | None:
    """The last page says how many samples came before it, at the rate that the first one names."""
    rate = _ogg_rate(head)
    last = (tail or head).rfind(b"OggS")
    if not rate or last < 0:
        return None
    granule = struct.unpack_from("<q", tail or head, last + 6)[0]
    return Estimate(_nearest(granule, rate)) if granule > 0 else None


def _ogg_rate(head: bytes) -> int:
    if (at := head.find(b"\x01vorbis", 0, 512)) >= 0:
        return int(struct.unpack_from("<I", head, at + 12)[0])
    if head.find(b"OpusHead", 0, 512) >= 0:
        return 48_000  # whatever the sound's own rate was
    if (at := head.find(b"Speex   ", 0, 512)) >= 0:
        return int(struct.unpack_from("<I", head, at + 36)[0])
    if (at := head.find(b"\x7fFLAC", 0, 512)) >= 0:
        return int.from_bytes(head[at + 27 : at + 30], "big") >> 4
    return 0


def _mp4(head: bytes, tail: bytes, _size: int) -> Estimate | None:
    """The movie header stands at the beginning of `moov`, which is either at the front or at the end."""
    for data in (head, tail):
        at = data.find(b"mvhd")
        if at >= 0:
            version = data[at + 4]
            scale, length = struct.unpack_from(">IQ" if version else ">II", data, at + (24 if version else 16))
            return Estimate(_nearest(length, scale)) if length else None
    return None


def _matroska(head: bytes, tail: bytes, _size: int) -> Estimate | None:
    """Segment information: a time scale in ns, and the duration as a float of it. A live recording has none: then the time of its
    last block."""
    told = re.search(rb"\x44\x89(?:\x84(.{4})|\x88(.{8}))", head[:65_536], re.S)
    if told:
        duration = struct.unpack(">f", told[1])[0] if told[1] else struct.unpack(">d", told[2])[0]
    else:
        duration = _last_block(tail or head)
    if not duration:
        return None
    scaled = re.search(rb"\x2a\xd7\xb1[\x81-\x88](.{1,8})", head[:65_536], re.S)
    width = (head[scaled.start() + 3] & 15) if scaled else 0
    scale = int.from_bytes(head[scaled.start() + 4 : scaled.start() + 4 + width], "big") if scaled else 1_000_000
    return Estimate(int(min(duration * scale / 1_000_000, 1e15)))


def _last_block(tail: bytes) -> int:
    """When it begins, in the file's unit; 0 where no cluster begins in `tail`."""
    at, last = tail.rfind(CLUSTER.to_bytes(4, "big")), 0

    def read(at: int, length: int) -> bytes:
        return tail[at : at + length]

    cluster = element(read, at) if at >= 0 else None
    begin = 0
    for one in StepBudget(_MOST_STEPS).over(
        elements(read, cluster.start if cluster else len(tail), len(tail), _MOST_STEPS)
    ):
        if one.name == TIME:
            begin = number(read, one)
        elif one.name in (SIMPLE_BLOCK, GROUP):
            inner = element(read, one.start) if one.name == GROUP else one
            last = begin + int.from_bytes(read((inner or one).start + 1, 2), "big", signed=True)
    return last


_READERS: dict[str, Callable[[bytes, bytes, int], Estimate | None]] = {
    "wav": _wav,
    "aiff": _aiff,
    "flac": _flac,
    "mp3": _mp3,
    "aac": _aac,
    "amr": _amr,
    "ogg": _ogg,
    "mp4": _mp4,
    "matroska": _matroska,
    "ac3": _surround,
    "eac3": _surround,
    "dts": _surround,
}
