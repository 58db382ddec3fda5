"""A peer that sends too slowly is cut: whoever drips holds a thread for hours otherwise."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from pipeline.errors import DownloadTooSlow

BYTES_PER_SECOND = 512
WINDOW_SECONDS = 30.0


async def at_minimum_rate(
    blocks: AsyncIterator[bytes], *, bytes_per_second: float = BYTES_PER_SECOND, window_seconds: float = WINDOW_SECONDS
) -> AsyncIterator[bytes]:
    """The blocks as they come. Only the time spent waiting for them counts, not what their taker does in between.

    Raises DownloadTooSlow.
    """
    waited, received, since = 0.0, 0, time.monotonic()
    async for block in blocks:
        waited += time.monotonic() - since
        received += len(block)
        if waited >= window_seconds:
            if received < bytes_per_second * waited:
                raise DownloadTooSlow(
                    f"The URL sends too slowly: {received} bytes in {waited:.0f} s, and {bytes_per_second:.0f} a second are "
                    "the least. Put the recording where it can be fetched faster, or upload it.",
                    failure="too_slow",
                )
            waited, received = 0.0, 0
        yield block
        since = time.monotonic()
