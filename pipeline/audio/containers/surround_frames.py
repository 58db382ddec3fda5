"""Frames of cinema sound without a container: AC-3 and E-AC-3 (ETSI TS 102 366), DTS (ETSI TS 102 114)."""

from __future__ import annotations

from pipeline.audio.containers.table import AC3, DTS, EAC3, Container
from pipeline.audio.frame_runs import FrameSyntax, follow

_CERTAIN = 3  # frames in a row
_AC3_RATES = (48_000, 44_100, 32_000)
_NO_RATE = _RESERVED = 3  # as the two bits write them
_PADDED = 1  # of _AC3_RATES: 44,100 Hz, whose frames are not all of one length
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_SAMPLES = 1536
_LAST_AC3, _LAST_EAC3 = 10, 16  # bitstream identifications
_BLOCKS = (1, 2, 3, 6)  # of 256 samples
_DTS_SYNC, _DTS_EXTENSION = b"\x7f\xfe\x80\x01", b"\x64\x58\x20\x25"
_DTS_RATES = {1: 8000, 2: 16_000, 3: 32_000, 6: 11_025, 7: 22_050, 8: 44_100, 11: 12_000, 12: 24_000, 13: 48_000}
_DTS_HEADER = 18  # bytes that hold 16 of the frame's where only 14 bits of each word are used
_DTS_SHORTEST = 96  # bytes


def surround_sound(data: bytes) -> Container | None:
    """Whose frames `data` begin with."""
    for container, syntax in ((AC3, _AC3), (EAC3, _EAC3), (DTS, _DTS)):
        if follow(syntax, data, 0, _CERTAIN) and data[:4] != _DTS_EXTENSION:
            return container
    return None


def surround_frame(data: bytes, offset: int) -> tuple[int, float] | None:
    """(bytes, seconds) of the frame at `offset`, of any of them; None where there is none."""
    header = data[offset : offset + _DTS_HEADER]
    if len(header) < _DTS_HEADER:
        return None
    if length := _ac3_length(header):
        return length, _AC3_SAMPLES / _AC3_RATES[header[4] >> 6]
    if length := _eac3_length(header):
        return length, _eac3_seconds(header)
    return _dts_frame(header)


def _ac3_length(header: bytes) -> int:
    code, rate = header[4] & 0x3F, header[4] >> 6
    if header[:2] != b"\x0b\x77" or header[5] >> 3 > _LAST_AC3 or rate == _NO_RATE or code >> 1 >= len(_AC3_KBITS):
        return 0
    words = _AC3_KBITS[code >> 1] * 1000 * _AC3_SAMPLES // 16 // _AC3_RATES[rate]
    return 2 * (words + (code & 1 if rate == _PADDED else 0))


def _eac3_length(header: bytes) -> int:
    if header[:2] != b"\x0b\x77" or not _LAST_AC3 < header[5] >> 3 <= _LAST_EAC3 or header[2] >> 6 == _RESERVED:
        return 0
    return 2 * (((header[2] & 7) << 8 | header[3]) + 1)


def _eac3_seconds(header: bytes) -> float:
    """0 for a frame that adds channels to the one before it."""
    if header[2] >> 6 == 1:
        return 0.0
    if header[4] >> 6 == _NO_RATE:  # half a rate, and all six blocks
        halved = header[4] >> 4 & 3
        return _AC3_SAMPLES / (_AC3_RATES[halved] / 2) if halved < len(_AC3_RATES) else 0.0
    return 256 * _BLOCKS[header[4] >> 4 & 3] / _AC3_RATES[header[4] >> 6]


def _dts_frame(header: bytes) -> tuple[int, float] | None:
    plain, words = _dts_plain(header)
    bits = int.from_bytes(plain[:16], "big")

    def take(at: int, count: int) -> int:
        return bits >> (128 - at - count) & (1 << count) - 1

    if plain[:4] == _DTS_EXTENSION:
        wide = take(42, 1)
        return (take(63, 20) if wide else take(51, 16)) + 1, 0.0
    length, rate = take(46, 14) + 1, _DTS_RATES.get(take(66, 4), 0)
    if plain[:4] != _DTS_SYNC or length < _DTS_SHORTEST or not rate:
        return None
    return length * 16 // words, 32 * (take(39, 7) + 1) / rate


def _dts_plain(header: bytes) -> tuple[bytes, int]:
    """The header as it would be in big-endian words of 16 bits, and how many bits of each word are used."""
    swapped = b"".join(header[at + 1 : at + 2] + header[at : at + 1] for at in range(0, len(header), 2))
    for data in (header, swapped):
        if data.startswith((_DTS_SYNC, _DTS_EXTENSION)):
            return data, 16
        if data.startswith(b"\x1f\xff\xe8\x00"):
            bits = 0
            for at in range(0, len(data), 2):
                bits = bits << 14 | int.from_bytes(data[at : at + 2], "big") & 0x3FFF
            return (bits >> len(data) // 2 * 14 % 8).to_bytes(len(data) // 2 * 14 // 8, "big").ljust(16, b"\0"), 14
    return header, 16


def _dts_length(header: bytes) -> int:
    frame = _dts_frame(header)
    return frame[0] if frame else 0


_AC3 = FrameSyntax(_ac3_length, 6, b"\xff\xff\x00\x00\xc0\xf8")
_EAC3 = FrameSyntax(_eac3_length, 6, b"\xff\xff\x00\x00\x00\xf8")
_DTS = FrameSyntax(_dts_length, _DTS_HEADER, b"")  # an extension follows each frame, or none
