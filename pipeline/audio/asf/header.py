"""The header of Windows Media (ASF): whether the recording in it is locked, where its packets lie, and what its streams are."""

from __future__ import annotations

import struct
from uuid import UUID

from pipeline.audio.step_budget import Read

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
_STREAM = UUID("b7dc0791-a9b7-11cf-8ee6-00c00c205365").bytes_le
_AUDIO = UUID("f8699e40-5b4d-11cf-a8fd-00805f5c442b").bytes_le
_KIND_AT, _NUMBER_AT, _FORMAT_AT = (
    24,
    72,
    78,
)  # of such an object: what the stream is, its number, and what a WAV says of a format


def is_locked(head: bytes) -> bool:
    """Whether one of the objects in the header is of DRM: what follows is encrypted then, and would be heard as noise."""
    header = head[: int.from_bytes(head[_SIZE_AT : _SIZE_AT + 8], "little")]
    return any(lock in header for lock in _LOCKS)


def packets(read: Read, at: int, size: int) -> tuple[int, int, int]:
    """Where the first begins, the bytes of each, and where they end. Raises ValueError where they are of several lengths, or there
    are none."""
    header = _header(read, at)
    shortest, longest = struct.unpack_from("<II", header, header.index(_FILE_PROPERTIES) + _LENGTHS_AT)
    begin = at + int.from_bytes(header[_SIZE_AT : _SIZE_AT + 8], "little")
    sound = read(begin, _SOUND_HEADER)
    (told,) = struct.unpack_from("<Q", sound, _SIZE_AT)
    if shortest != longest or not shortest or not sound.startswith(_SOUND):
        raise ValueError
    return begin + _SOUND_HEADER, shortest, min(size, begin + told) if told > _SOUND_HEADER else size


def audio_streams(read: Read, at: int) -> dict[int, bytes]:
    """By number, in the order of the header, what is said of the format as a WAV says it."""
    header, found, place = _header(read, at), dict[int, bytes](), 0
    while (place := header.find(_STREAM, place)) >= 0:
        if header[place + _KIND_AT :].startswith(_AUDIO) and len(header) > place + _FORMAT_AT:
            found[header[place + _NUMBER_AT] & 0x7F] = header[place + _FORMAT_AT : place + _FORMAT_AT + 18]
        place += len(_STREAM)
    return found


def _header(read: Read, at: int) -> bytes:
    return read(at, min(int.from_bytes(read(at + _SIZE_AT, 8), "little"), _LONGEST_HEADER))
