"""The header of Windows Media (ASF): whether the recording in it is locked, and where its packets lie."""

from __future__ import annotations

import struct
from uuid import UUID

from pipeline.audio.containers.chunks import Read

MAGIC = UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_LOCKS = tuple(
    UUID(text).bytes_le
    for text in (
        "2211b3fb-bd23-11d2-b4b7-00a0c955fc6e",
        "298ae614-2622-4c17-b935-dae07ee9289c",
        "43058533-6981-49e6-9b74-ad12cb86d58c",
    )
)
_SIZE_AT = 16
_FILE_PROPERTIES = UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_SOUND = UUID("75b22636-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_LENGTHS_AT, _SOUND_HEADER = 92, 50  # bytes behind the beginning of those
_LONGEST_HEADER = 1 << 20
_MOST_PACKETS = 1_000_000
_CORRECTED = 0x82  # a packet that begins with error correction data, two bytes of zeros, as all writers leave them


def is_locked(head: bytes) -> bool:
    """Whether one of the objects in the header is of DRM: what follows is encrypted then, and would be heard as noise."""
    header = head[: int.from_bytes(head[_SIZE_AT : _SIZE_AT + 8], "little")]
    return any(lock in header for lock in _LOCKS)


def broken_packets(read: Read, at: int, size: int) -> tuple[tuple[int, int], ...]:
    """From where to where packets do not begin as the first does, in the recording that begins at `at`: a demuxer passes over some
    damage without a word. None where they tell nothing by that. Never raises."""
    try:
        first, length, end = _packets(read, at, size)
    except (IndexError, ValueError, struct.error):
        return ()
    mark, found = read(first, 3), list[tuple[int, int]]()
    if mark != bytes((_CORRECTED, 0, 0)):
        return ()
    for place in range(first, min(end, first + _MOST_PACKETS * length) - length + 1, length):
        if read(place, 3) != mark:
            begin = found.pop()[0] if found and found[-1][1] == place else place
            found.append((begin, place + length))
    return tuple(found)


def _packets(read: Read, at: int, size: int) -> tuple[int, int, int]:
    """Where the first begins, the bytes of each, and where they end. Raises ValueError where they are of several lengths."""
    length = int.from_bytes(read(at + _SIZE_AT, 8), "little")
    header = read(at, min(length, _LONGEST_HEADER))
    shortest, longest = struct.unpack_from("<II", header, header.index(_FILE_PROPERTIES) + _LENGTHS_AT)
    sound = read(at + length, _SOUND_HEADER)
    (told,) = struct.unpack_from("<Q", sound, _SIZE_AT)
    if shortest != longest or not shortest or not sound.startswith(_SOUND):
        raise ValueError
    return at + length + _SOUND_HEADER, shortest, min(size, at + length + told) if told > _SOUND_HEADER else size
