"""What containers that nobody counts frame by frame say of their own length, or let guess from their clocks: seconds.

Each function takes both ends of a file and its size, and gives None where nothing is said. They may stumble over garbage as
parsers do; `estimate` catches that, and bounds what they say.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from uuid import UUID

from pipeline.audio.containers.transport_stream import clocks
from pipeline.audio.containers.wav_layout import sample_layout

_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # of a sample, by encoding
_WAVPACK_RATES = (
    6000, 8000, 9600, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 192_000,
)  # fmt: skip
_UNKNOWN = 0xFFFFFFFF
_FILE_PROPERTIES = UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_W64_NAME = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # behind the four letters of each chunk's name
_CLOCK_WRAPS = 2**33 / 90_000  # seconds
_VOC_PLAIN, _VOC_EXTENDED = 1, 9  # kinds of blocks with sound


def au(head: bytes, _tail: bytes, size: int) -> float | None:
    """Samples of a fixed width."""
    start, stated, encoding, rate, channels = struct.unpack_from(">5I", head, 4)
    width = _AU_BYTES.get(encoding)
    return min(stated, size - start) / (rate * channels * width) if width else None


def caf(head: bytes, tail: bytes, size: int) -> float | None:
    """Packets of a fixed size, or those that the packet table counts, which may stand at the end."""
    rate, in_packet, frames = struct.unpack_from(">d8xII", head, 20)
    for data in (head, tail):
        if (at := data.find(b"pakt")) >= 0:
            return float(struct.unpack_from(">q", data, at + 20)[0] / rate)
    at = head.find(b"data")
    return (size - at - 16) / in_packet * frames / rate if in_packet and at >= 0 else None


def w64(head: bytes, _tail: bytes, size: int) -> float | None:
    """Bytes, at the rate that the format tells."""
    at, data = (head.find(name + _W64_NAME) for name in (b"fmt ", b"data"))
    if min(at, data) <= 0:
        return None
    layout = sample_layout(head[at + 24 : at + 64])
    a_second = layout.rate * layout.block if layout else struct.unpack_from("<I", head, at + 32)[0]
    return float((size - data - 24) / a_second)


def avi(head: bytes, _tail: bytes, _size: int) -> float | None:
    """The length of the first sound track."""
    track = re.search(rb"strh.{4}auds.{16}(.{16})", head, re.S)
    if track is None:
        return None
    scale, rate, _, length = struct.unpack("<4I", track[1])
    return float(length * scale / rate)


def asf(head: bytes, _tail: bytes, _size: int) -> float | None:
    """How long it plays, without what a player gathers before it begins."""
    found = head.find(_FILE_PROPERTIES)
    at = found + 24
    play, _, gathered = struct.unpack_from("<3Q", head, at + 40)
    return play / 1e7 - gathered / 1e3 if found >= 0 and play else None


def flv(head: bytes, tail: bytes, _size: int) -> float | None:
    """What the description says, or the time of the last tag: a live recording is described before it is made."""
    told = re.search(rb"\x00\x08duration\x00(.{8})", head[:65_536], re.S)
    seconds = struct.unpack(">d", told[1])[0] if told else 0.0
    if seconds > 0:
        return float(seconds)
    data = tail or head
    at = len(data) - 4 - int.from_bytes(data[-4:], "big")
    return int.from_bytes(data[at + 7 : at + 8] + data[at + 4 : at + 7], "big") / 1000 if at >= 0 else None


def wavpack(head: bytes, tail: bytes, _size: int) -> float | None:
    """The samples that the first block counts, or where the last one ends."""
    total, _, _, flags = struct.unpack_from("<4I", head, 12)
    rate = _WAVPACK_RATES[flags >> 23 & 15]
    if total != _UNKNOWN:
        return float(total / rate)
    data = tail or head
    before, block = struct.unpack_from("<2I", data, data.rindex(b"wvpk") + 16)
    return float((before + block) / rate)


def voc(head: bytes, _tail: bytes, size: int) -> float | None:
    """All of it is as the first block of sound."""
    start = struct.unpack_from("<H", head, 20)[0]
    kind = head[start]
    if kind == _VOC_PLAIN:
        return float((size - start) * (256 - head[start + 4]) / 1_000_000)
    rate, bits, channels = struct.unpack_from("<IBB", head, start + 4)
    return float((size - start) * 8 / (rate * bits * channels)) if kind == _VOC_EXTENDED else None


def mpegts(head: bytes, tail: bytes, _size: int) -> float | None:
    """From the first to the last mark of the first clock, which starts again at zero after a day."""
    first = next(clocks(head), None)
    last = list(_of(first[0], clocks(tail or head))) if first else []
    return (last[-1] - first[1]) % _CLOCK_WRAPS if first and last else None


def _of(identity: int, marks: Iterator[tuple[int, float]]) -> Iterator[float]:
    return (seconds for one, seconds in marks if one == identity)


STATED: dict[str, Callable[[bytes, bytes, int], float | None]] = {
    "au": au,
    "caf": caf,
    "w64": w64,
    "avi": avi,
    "asf": asf,
    "flv": flv,
    "wavpack": wavpack,
    "voc": voc,
    "mpegts": mpegts,
}
