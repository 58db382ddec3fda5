"""The blocks that a VOC is made of (Creative Labs, Voice File Format, in the Sound Blaster Developer Kit of 1993).

Each says its kind in a byte and the length of its content in three. Of sound, the first block tells how it is to be heard, and
others go on from there. A byte of no kind ends the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGIC = b"Creative Voice File\x1a"
BEGIN = MAGIC + struct.pack(
    "<3H", 26, 0x010A, 0x1129
)  # of a file: where its first block begins, and a version with its checksum
HEADER, END = 4, b"\0"  # bytes of a block's header, and what stands in the place of the last block
LONGEST = 0xFFFFFF  # bytes of content
SOUND, MORE, SILENCE, MARKER, TEXT, REPEAT, REPEATED, EXTENDED, NEW_SOUND = range(1, 10)
LOOK = HEADER + 12  # bytes that tell all there is to know of a block
_LENGTHS = {SILENCE: 3, MARKER: 2, REPEAT: 2, REPEATED: 0, EXTENDED: 4}  # of content, of the kinds that have but one
_DESCRIBED = {SOUND: 2, NEW_SOUND: 12}  # bytes before the sound
_WIDTHS = {0: 1.0, 1: 1 / 2, 2: 1 / 3, 3: 1 / 4, 4: 2.0, 6: 1.0, 7: 1.0, 0x200: 1 / 2}  # bytes of a sample, by codec
_TICKS = 256_000_000  # of the clock that rates divide, in 256ths
_RATES, _CHANNELS = range(1_000, 200_001), range(1, 9)


@dataclass(frozen=True, slots=True)
class Layout:
    """What sound is: `described` by so many bytes before it; `extended`: by those of a block that precedes it. `rate`: bytes a
    second."""

    described: bytes
    extended: bytes
    rate: float


def first_block(head: bytes) -> int:
    """Where it begins, by the first bytes of a file."""
    return int.from_bytes(head[len(MAGIC) : len(MAGIC) + 2], "little")


def block_length(head: bytes) -> int:
    """Bytes of the block that begins so, its header with them; 0 where it is none."""
    if len(head) < HEADER or head[0] not in range(SOUND, NEW_SOUND + 1):
        return 0
    kind, content = head[0], int.from_bytes(head[1:HEADER], "little")
    fits = content == _LENGTHS.get(kind, content) and content >= _DESCRIBED.get(kind, 0)
    return HEADER + content if fits else 0


def sound_begins(head: bytes) -> int | None:
    """So many bytes behind its front does the block that begins so have its sound; None where it has none."""
    return HEADER + _DESCRIBED.get(head[0], 0) if head[:1] and head[0] in (*_DESCRIBED, MORE) else None


def sound_bytes(head: bytes) -> int:
    """How many of the block that begins so are sound."""
    begin = sound_begins(head)
    return 0 if begin is None else max(0, HEADER + int.from_bytes(head[1:HEADER], "little") - begin)


def silence_seconds(head: bytes) -> float:
    """How long the block that begins so is silent."""
    samples, divisor = struct.unpack_from("<HB", head, HEADER)
    return float((samples + 1) * (256 - divisor) * 256 / _TICKS) if head[0] == SILENCE else 0.0


def layout(head: bytes, extended: bytes = b"") -> Layout | None:
    """What the block that begins so says of its sound, with the content of one that precedes it for that; None where nothing, or
    nothing that can be."""
    described = head[HEADER : HEADER + _DESCRIBED.get(head[0], 0)]
    if not described or len(described) < _DESCRIBED[head[0]]:
        return None
    if head[0] == NEW_SOUND:
        rate, bits, channels, codec = struct.unpack_from("<IBBH", described)
        can_be = rate in _RATES and channels in _CHANNELS and codec in _WIDTHS and bits
        return Layout(described[:8], b"", rate * channels * _WIDTHS[codec]) if can_be else None
    divisor, codec = described
    clock = 65_536 - int.from_bytes(extended[:2], "little") if extended else 256 * (256 - divisor)
    return Layout(described, extended, _TICKS / clock * _WIDTHS[codec]) if codec in _WIDTHS else None
