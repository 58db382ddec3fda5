"""Windows Media that is locked is refused before anybody decodes noise."""

import struct
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.audio.decode import decode
from pipeline.errors import UnsupportedMedia

LOCKS = {
    "content encryption": "2211b3fb-bd23-11d2-b4b7-00a0c955fc6e",
    "extended content encryption": "298ae614-2622-4c17-b935-dae07ee9289c",
    "advanced content encryption": "43058533-6981-49e6-9b74-ad12cb86d58c",
}


def locked(data: bytes, lock: str) -> bytes:
    """The same with one more object in its header."""
    size, count = struct.unpack_from("<QI", data, 16)
    added = UUID(lock).bytes_le + struct.pack("<Q", 24 + 16) + bytes(16)
    return data[:16] + struct.pack("<QI", size + len(added), count + 1) + data[28:30] + added + data[30:]


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_lock_is_told(recordings: Path, lock: str) -> None:
    with pytest.raises(UnsupportedMedia, match="DRM"):
        decode(locked((recordings / "windows.wma").read_bytes(), lock)).__enter__()
