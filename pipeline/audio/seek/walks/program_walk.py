"""Sound in MPEG's program and transport streams (ISO/IEC 13818-1): its frames are counted, and the stamps of its packets have to
agree. What belongs to other tracks is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.audio.access.entry import Entry
from pipeline.audio.containers.table import MPEG
from pipeline.audio.containers.transport_stream import programs, sounds
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.units import UNITS, packet_run
from pipeline.audio.joined.window import Window
from pipeline.audio.seek.walks.cut_frames import CutFrames
from pipeline.audio.step_budget import StepBudget

_TICKS = 90_000  # of a stamp, a second
_SLACK = 0.005  # seconds that a stamp may be off
_STUFFING, _MPEG2 = 0xFF, 0x80  # bytes before an old header's content; how a new one begins
_PRIVATE, _FIRST_SOUND, _LAST_SOUND = 0xBD, 0xC0, 0xDF  # kinds of packets
_SURROUND = range(
    0x80, 0x90
)  # what a private packet's first byte is when it carries AC-3 or DTS, whose header has 4 bytes
_SURROUND_HEAD = 4
_HEADER, _STAMP = 9, 5  # bytes of a packet, up to the length of its own header's rest; and of a stamp
_PACKET, _STAMPED = 188, 14  # bytes of a transport packet, and of a packet's header with a stamp in it
_MOST_REST = _PACKET - 5 - _STAMPED


class Stamps:
    """Whether the stamps of packets go with the samples that are counted."""

    def __init__(self, rate: int) -> None:
        self._rate, self._first = rate, 0.0
        self._begun = False

    def check(self, stamp: float | None, counted: int) -> None:
        """Of the packet, in seconds, whose first frame has so many samples before it. Raises ValueError where they do not."""
        if stamp is None:
            return
        if not self._begun:
            self._begun, self._first = True, stamp - counted / self._rate
        if abs(stamp - self._first - counted / self._rate) > _SLACK:
            raise ValueError

    def of(self, counted: int) -> int:
        """The stamp of a frame with so many samples before it, in ticks."""
        return round((self._first + counted / self._rate) * _TICKS) % 2**33


def _stamp(told: bytes) -> float | None:
    """When the first frame of a packet is played, in seconds, by the five bytes that tell it."""
    if len(told) < _STAMP or not told[0] & 0x20:
        return None
    high, middle, low = told[0] >> 1 & 7, int.from_bytes(told[1:3], "big") >> 1, int.from_bytes(told[3:5], "big") >> 1
    return (high << 30 | middle << 15 | low) / _TICKS


def program_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of a program stream. The packet that is begun with is written anew, without the end of a frame that it begins with. Raises
    TooManySteps, ValueError, IndexError, KeyError."""
    frames, stamps, length = CutFrames(sound), Stamps(sound.sample_rate), UNITS[MPEG].length
    last: tuple[int, int, int] | None = None  # where a packet is, where in it a frame begins, samples before that
    mine: tuple[int, int] | None = None
    while frames.counted <= latest and (size := length(window, at)):
        steps.take()
        packet = window.head(at, min(size, 4))
        if packet[3] == _PRIVATE or _FIRST_SOUND <= packet[3] <= _LAST_SOUND:
            packet = window.head(at, size)
            begin, stamp, kind = _content(packet)
            mine = kind if mine is None else mine
            if kind == mine and (found := frames.take(packet[begin:])):
                stamps.check(stamp, found[1])
                last = (at, found[0], found[1]) if found[1] <= latest else last
        at += size
    if last is None or frames.counted <= latest:
        return None
    place, inside, before = last
    size = length(window, place)
    packet = window.read(place, size)
    begin, _, _ = _content(packet)
    return Entry((_with_length(packet[:begin] + packet[begin + inside :]),), place + size, before)


def _content(packet: bytes) -> tuple[int, float | None, tuple[int, int]]:
    """(where what a packet of sound carries begins, its stamp, which of the tracks it is of). Raises ValueError for one without
    frames."""
    if packet[6] & 0xC0 == _MPEG2:
        begin, stamp = _HEADER + packet[8], _stamp(packet[_HEADER : _HEADER + _STAMP]) if packet[7] & 0x80 else None
    else:
        begin, stamp = _old_content(packet)
    inside = 0
    if packet[3] == _PRIVATE:
        inside = packet[begin]
        if inside not in _SURROUND:
            raise ValueError
        begin += _SURROUND_HEAD
    return begin, stamp, (packet[3], inside)


def _old_content(packet: bytes) -> tuple[int, float | None]:
    """The same of MPEG-1 (ISO/IEC 11172-1, 2.4.3.3): stuffing, the size of a buffer, one stamp or two, or a byte for none."""
    at = 6
    while packet[at] == _STUFFING:
        at += 1
    at += 2 * (packet[at] >> 6 == 1)
    stamps = packet[at] >> 4
    return at + {2: _STAMP, 3: 2 * _STAMP}.get(stamps, 1), _stamp(packet[at : at + _STAMP]) if stamps in (
        2,
        3,
    ) else None


def _with_length(packet: bytes) -> bytes:
    return packet[:4] + (len(packet) - 6).to_bytes(2, "big") + packet[6:]


def transport_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of a transport stream: a packet is written anew that begins with a frame, with its stamp. Raises TooManySteps, ValueError,
    IndexError, KeyError."""
    frames, stamps, tables = CutFrames(sound), Stamps(sound.sample_rate), _Tables()
    header = kind = b""  # of what the packets carry: the last one whose stamp was not looked at yet
    last: tuple[int, bytes, int] | None = (
        None  # where the packet behind it begins, what stands instead of it, samples before that
    )
    for behind, row, packet in _packets(window, at, tables, steps):
        content = packet[4:] if not packet[3] & 0x20 else packet[5 + packet[4] :]
        begin = 0
        if packet[1] & 0x40:
            begin, header, kind = _HEADER + content[8], content, content[3:4]
        found = frames.take(content[begin:])
        if found and header:
            stamps.check(_stamp(header[_HEADER : _HEADER + _STAMP]) if header[7] & 0x80 else None, found[1])
            header = b""
        if found and found[1] <= latest and len(rest := content[begin + found[0] :]) <= _MOST_REST:
            made = _packet(packet, kind, stamps.of(found[1]), rest)
            last = behind, row.replace(packet, made, 1), found[1]
        if frames.counted > latest:
            return Entry((tables.head, last[1]), last[0], last[2]) if last else None
    return None


def _packet(like: bytes, kind: bytes, stamp: int, content: bytes) -> bytes:
    """One that begins with this content."""
    stuffing = _PACKET - 5 - _STAMPED - len(content)
    field = bytes([stuffing]) + (b"\0" + b"\xff" * (stuffing - 1) if stuffing else b"")
    told = bytes([0x21 | stamp >> 29 & 0x0E]) + (stamp >> 14 & 0xFFFE | 1).to_bytes(2, "big")
    told += (stamp << 1 & 0xFFFE | 1).to_bytes(2, "big")
    header = b"\0\0\1" + kind + b"\0\0\x80\x80\x05" + told
    return bytes([like[0], 0x40 | like[1] & 0x1F, like[2], 0x30 | like[3] & 0x0F]) + field + header + content


class _Tables:
    """Which packets carry the only track of sound, as the tables at the front tell; `head` are their packets."""

    def __init__(self) -> None:
        self.sound: int | None = None  # its packets' identity
        self.head = b""
        self._maps: frozenset[int] = frozenset()

    def take(self, row: bytes, packet: bytes) -> None:
        """A packet of any kind; `row` is that with what precedes it. Raises ValueError for several tracks."""
        identity = (packet[1] & 0x1F) << 8 | packet[2]
        if not identity and not self._maps:
            self._maps = frozenset(programs(packet).values())
            self.head += row if self._maps else b""
        elif identity in self._maps:
            found = sounds(packet)[1]
            if self.sound is None and found:
                ((_, self.sound),) = found
                self.head += row


def _packets(window: Window, at: int, tables: _Tables, steps: StepBudget) -> Iterator[tuple[int, bytes, bytes]]:
    """(the byte behind it, it with what precedes or follows it, itself) of each packet with the sound."""
    while run := packet_run(window, at):
        steps.take()
        rows = np.frombuffer(window.head(at, run.many * run.spacing), np.uint8)
        rows = rows[: len(rows) // run.spacing * run.spacing].reshape(-1, run.spacing)
        packets = rows[:, run.mark : run.mark + _PACKET]
        number = 0
        while tables.sound is None and number < len(rows):
            tables.take(rows[number].tobytes(), packets[number].tobytes())
            number += 1
        identities = (packets[number:, 1].astype(np.uint16) & 0x1F) << 8 | packets[number:, 2]
        with_content = packets[number:, 3] & 0x10 > 0
        for row in (np.flatnonzero((identities == (tables.sound or 0)) & with_content) + number).tolist():
            steps.take()
            yield at + (row + 1) * run.spacing, rows[row].tobytes(), packets[row].tobytes()
        at += run.many * run.spacing
