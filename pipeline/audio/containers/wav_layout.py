"""How the samples of a WAV or Wave64 lie, by its format chunk (Microsoft, Multimedia Registration Kit, 1994), and which of the
chunk's fields damage has hit: it tells most things twice.

So many bytes are a second as are a block, times the rate; so many are a block as are a sample, times the channels. A field that all
others contradict is wrong. Of bytes a second alone nothing follows: writers are known that get them wrong; unless they are those of
a rate that is in use, and nobody uses the one that is told.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.audio.containers.chunks import Read, chunks
from pipeline.audio.containers.table import W64, WAV, Container

_FORM = struct.Struct("<HHIIHH")
_LOOK = 40  # bytes of the longest form
LINEAR, _EXTENSIBLE = 1, 0xFFFE
_FLOAT, _A_LAW, _U_LAW = 3, 6, 7
_PLAIN = (LINEAR, _FLOAT, _A_LAW, _U_LAW)
_PASSED_ON = (0x08, 0x92, 0x164)  # of surround sound and others that are kept as if they were samples
_KINDS = {  # by the bits of a sample
    8: (LINEAR, _A_LAW, _U_LAW, _EXTENSIBLE),
    16: (LINEAR, _EXTENSIBLE),
    24: (LINEAR, _EXTENSIBLE),
    32: (LINEAR, _FLOAT, _EXTENSIBLE),
    64: (_FLOAT, _EXTENSIBLE),
}
# Bytes of a block, by its channels and samples: Microsoft's, and IMA's.
_ADPCM: Mapping[int, Callable[[int, int], int]] = {
    2: lambda channels, samples: channels * (7 + (samples - 2) // 2),
    17: lambda channels, samples: channels * (4 + (samples - 1) // 2),
}
# Bytes of the form: the kind that it stands for, and how many samples a block has.
_KIND, _IN_BLOCK = slice(24, 26), slice(18, 20)
_BITS, _PACKED_BITS = (8, 16, 24, 32, 64), 4  # of a sample
_LONGEST_BLOCK = 0xFFFF  # bytes, as many as the field can tell
_CHANNELS = range(1, 9)
_USUAL_CHANNELS = (1, 2)
_ROUNDED = 0.01  # a share of the bytes a second of blocks
_NEAR = 0.001  # a share of a rate by which clocks differ, and by which no word is lost
_IN_USE = frozenset((
    5_512, 5_564, 6_000, 7_350, 7_418, 8_000, 8_012, 9_600, 10_000, 11_025, 11_127, 12_000, 16_000, 18_900, 20_000, 22_050, 22_255,
    24_000, 32_000, 37_800, 44_056, 44_100, 47_952, 48_000, 48_048, 50_000, 64_000, 88_200, 96_000, 176_400, 192_000, 352_800,
    384_000,
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """`block` bytes are one sample of each channel, of which there are `rate` a second; of a `kind` as the format chunk writes it.
    `is_mended`: it tells otherwise."""

    kind: int
    channels: int
    rate: int
    block: int
    is_mended: bool


@dataclass(frozen=True, slots=True)
class WrongField:
    """Of a format chunk: what it tells there, and what the others tell; its `place` in the file, and what it should say."""

    name: str
    told: int
    true: int
    place: int
    form: bytes


def wrong_field(read: Read, at: int, size: int, container: Container) -> WrongField | None:
    """Of a WAV or Wave64 that begins at `at` in a file of `size` bytes, if all else in it contradicts one."""
    chunk = chunks(read, at, size, container).first(b"fmt ") if container in (WAV, W64) else None
    form = read(chunk.start, _LOOK) if chunk else b""
    told = _read(form)
    wrong = _contradicted(told, form)
    if chunk is None or wrong is None:
        return None
    name, true = wrong
    mended = replace(told, **{name: true})
    return WrongField(_NAMES[name], getattr(told, name), true, chunk.start, mended.packed())


def sample_layout(form: bytes) -> SampleLayout | None:
    """By the format chunk's content. None where the samples are coded, by no law of telephony, or nothing makes sense."""
    told = _read(form)
    wrong = _contradicted(told, form)
    true = replace(told, **{wrong[0]: wrong[1]}) if wrong else told
    kind = _stands_for(true, form)
    if kind not in _PLAIN or not true.channels or not true.block or true.block % true.channels or not true.rate:
        return None
    return SampleLayout(kind, true.channels, true.rate, true.block, wrong is not None)


def is_strange(rate: float) -> bool:
    """Whether nothing is known to make so many samples a second, or about so many. People choose whole hundreds; one wrong bit in a
    rate that is in use never makes another of these."""
    return rate % 100 != 0 and all(abs(rate - one) > _NEAR * one for one in _IN_USE)


@dataclass(frozen=True, slots=True)
class _Form:
    kind: int
    channels: int
    rate: int
    a_second: int
    block: int
    bits: int

    @property
    def width(self) -> int:
        """Bytes of a sample."""
        return -(-self.bits // 8)

    def packed(self) -> bytes:
        return _FORM.pack(self.kind, self.channels, self.rate, self.a_second, self.block, self.bits)


_NAMES = {  # as in "its … is 3"
    "kind": "kind of format",
    "channels": "number of channels",
    "rate": "rate in Hz",
    "block": "number of bytes in a block",
    "bits": "number of bits in a sample",
}


def _read(form: bytes) -> _Form:
    return _Form(*_FORM.unpack(form[: _FORM.size].ljust(_FORM.size, b"\0")))


def _stands_for(told: _Form, form: bytes) -> int:
    return int.from_bytes(form[_KIND], "little") if told.kind == _EXTENSIBLE else told.kind


def _contradicted(told: _Form, form: bytes) -> tuple[str, int] | None:
    """(field, what it should say)."""
    is_whole, in_time = told.block == told.channels * told.width, told.a_second == told.rate * told.block
    if is_whole and in_time and told.block:
        return _kind(told, _KINDS.get(told.bits, ()))
    if packed := _in_packed(told, int.from_bytes(form[_IN_BLOCK], "little")):
        return packed
    if told.kind not in (*_PLAIN, _EXTENSIBLE):
        return None
    if is_whole and told.block:
        return _rate(told, told.a_second / told.block)
    block = told.channels * told.width
    if told.a_second == told.rate * block > 0 and block <= _LONGEST_BLOCK:
        return "block", block
    return _bits_or_channels(told) if in_time and told.block else None


def _kind(told: _Form, possible: Sequence[int]) -> tuple[str, int] | None:
    """The only one of these from which the kind that is told is one bit away, or else one byte."""
    if told.kind in (*possible, *_PASSED_ON):
        return None
    unlike = {kind: kind ^ told.kind for kind in possible}
    one_bit = [kind for kind, bits in unlike.items() if not bits & bits - 1]
    one_byte = [kind for kind, bits in unlike.items() if not bits >> 8 or not bits & 0xFF]
    near = one_bit or one_byte
    return ("kind", near[0]) if len(near) == 1 else None


def _in_packed(told: _Form, samples: int) -> tuple[str, int] | None:
    """Of ADPCM, of which a block holds so many samples, which follow from its bytes."""
    fits = [kind for kind in _ADPCM if _ADPCM[kind](told.channels, samples) == told.block]
    if told.kind not in _ADPCM:
        return _kind(told, fits) if told.bits == _PACKED_BITS and _lasts(told, told.block, samples) else None
    if told.kind in fits and told.block:
        if told.bits != _PACKED_BITS:
            return "bits", _PACKED_BITS
        return _rate(told, told.a_second * samples / told.block)
    block = _ADPCM[told.kind](told.channels, samples)
    if told.channels in _CHANNELS and block <= _LONGEST_BLOCK and _lasts(told, block, samples):
        return "block", block
    channels = next((one for one in _USUAL_CHANNELS if _ADPCM[told.kind](one, samples) == told.block), None)
    return ("channels", channels) if channels and told.bits == _PACKED_BITS else None


def _lasts(told: _Form, block: int, samples: int) -> bool:
    """Whether a block of so many bytes is as long as the bytes a second say."""
    return block > 0 and abs(told.a_second * samples - told.rate * block) <= _ROUNDED * told.rate * block


def _rate(told: _Form, other: float) -> tuple[str, int] | None:
    near = () if told.rate in _IN_USE else (one for one in _IN_USE if abs(other - one) <= _ROUNDED * one)
    return next((("rate", one) for one in near if told.kind in _ADPCM or one == other), None)


def _bits_or_channels(told: _Form) -> tuple[str, int] | None:
    """Which of both the bytes of a block contradict. Few channels are believed sooner than many."""
    bits = 8 * told.block // told.channels if told.channels and not told.block % told.channels else 0
    channels = told.block // told.width if told.width and not told.block % told.width else 0
    is_plain = told.bits in _BITS and channels in _CHANNELS
    if bits in _BITS and (told.channels in _USUAL_CHANNELS or not is_plain):
        return "bits", bits
    return ("channels", channels) if is_plain else None
