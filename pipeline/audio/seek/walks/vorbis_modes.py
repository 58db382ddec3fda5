"""The two lengths of Vorbis' blocks and which of its modes has which, as the headers tell (Vorbis I, sections 4.2.2 and 4.2.4)."""

from __future__ import annotations

from dataclasses import dataclass

_IDENTIFICATION, _SETUP = b"\x01vorbis", b"\x05vorbis"
_BLOCKS_AT = 28  # in the first header: two powers of two
_MOST_MODES = 64
_MODE_BITS = 41  # of one mode: a flag, two types of 16 bits that are zero, a mapping


@dataclass(frozen=True)
class VorbisModes:
    """`long` says of each mode whether its blocks are the long ones."""

    short_block: int
    long_block: int
    long: tuple[bool, ...]

    @classmethod
    def of(cls, headers: bytes) -> VorbisModes | None:
        """By the first header and the third one, whatever stands between; None where they are none.

        What precedes the modes would have to be understood to know where they begin; but they end the header, each looks the same,
        and their number stands before them: so they are read from the end on (as libavcodec does).
        """
        first, third = headers.find(_IDENTIFICATION), headers.rfind(_SETUP)
        if first < 0 or third < 0 or len(headers) <= first + _BLOCKS_AT:
            return None
        powers = headers[first + _BLOCKS_AT]
        bits = int.from_bytes(headers[third:], "little")
        flags = _flags(bits, bits.bit_length() - 1)
        return cls(1 << (powers & 15), 1 << (powers >> 4), flags) if flags else None

    def block(self, first: int) -> int:
        """Samples of the block whose packet begins with this byte. Raises ValueError."""
        mode = first >> 1 & (1 << (len(self.long) - 1).bit_length()) - 1
        if mode >= len(self.long):
            raise ValueError
        return self.long_block if self.long[mode] else self.short_block


def _flags(bits: int, end: int) -> tuple[bool, ...]:
    """Of all modes in front of the bit `end`, which closes the header."""
    flags: list[bool] = []
    found: tuple[bool, ...] = ()
    at = end
    while len(flags) < _MOST_MODES and at >= _MODE_BITS + 6:
        mode = bits >> (at - _MODE_BITS)
        if (mode >> 1) & 0xFFFFFFFF or (mode >> 33) & 0xFF >= _MOST_MODES:
            break
        flags.insert(0, bool(mode & 1))
        at -= _MODE_BITS
        if (bits >> (at - 6) & 63) + 1 == len(flags):
            found = tuple(flags)
    return found
