"""The outermost boxes of an MP4 (ISO/IEC 14496-12): is its index there?"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import islice

from pipeline.errors import DamagedMedia

_MOST_BOXES = 10_000
HEADER_BYTES = 16  # of a box with a long size
_PLAIN = 8  # of any other


def check_complete(read: Callable[[int], bytes], size: int) -> None:
    """Raise DamagedMedia when the index is not there: without it nobody can tell where any sound is.

    `read(offset)` gives the bytes there, HEADER_BYTES where the file has them; `size` is the file's. A recording that was
    written in pieces (moof) needs no index: each piece can be read alone. One whose sound is cut off is heard as far as it goes.
    """
    names = set()
    for name, end in islice(_boxes(read, size), _MOST_BOXES):
        if name == b"moof":
            return
        if name == b"moov" and end > size:
            raise DamagedMedia("The file is cut off: its index (moov) is not all there.")
        names.add(name)
    if b"moov" not in names:
        raise DamagedMedia("The file is cut off: its index (moov), which recorders write last, is missing.")


def _boxes(read: Callable[[int], bytes], size: int) -> Iterator[tuple[bytes, int]]:
    """(name, offset of its end) of each outer box; it stops at what is no box."""
    offset = 0
    while offset + _PLAIN <= size:
        header = read(offset)[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0")
        length, name, long_length = struct.unpack(">I4sQ", header)
        if length == 1:
            length = long_length
        elif length == 0:  # up to the end of the file
            length = size - offset
        if length < _PLAIN:
            return
        offset += length
        yield name, offset
