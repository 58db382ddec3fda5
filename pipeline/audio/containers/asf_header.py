"""The header of Windows Media (ASF): whether the recording in it is locked."""

from __future__ import annotations

from uuid import UUID

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


def is_locked(head: bytes) -> bool:
    """Whether one of the objects in the header is of DRM: what follows is encrypted then, and would be heard as noise."""
    header = head[: int.from_bytes(head[_SIZE_AT : _SIZE_AT + 8], "little")]
    return any(lock in header for lock in _LOCKS)
