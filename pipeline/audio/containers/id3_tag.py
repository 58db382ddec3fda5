"""ID3v2 tags (id3.org, ID3v2.4.0, section 3.1): they may stand before any recording, with pictures of megabytes in them."""

from __future__ import annotations

import re

TAG_HEADER = 10  # bytes


def tag_length(head: bytes) -> int:
    """Bytes that an ID3v2 tag takes at the front, 0 without one. Its size is four bytes of seven bits."""
    if not re.match(rb"ID3...[\x00-\x7f]{4}", head, re.DOTALL):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = TAG_HEADER if head[5] & 0x10 else 0
    return TAG_HEADER + size + footer
