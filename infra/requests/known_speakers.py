"""Samples of the voices of known speakers, as `data:` URLs (RFC 2397)."""

from __future__ import annotations

import base64
import binascii
import re

from pipeline.audio.sniff import sniff
from pipeline.errors import InvalidRequest

MAX_REFERENCE = 4 * 1024 * 1024  # characters: 10 s of stereo at 48 kHz and 24 bits
HEAD = 64 * 1024  # bytes that tell what a file is
DATA_URL = re.compile(
    r"data:(?:audio/[\w.+-]{1,64}|video/[\w.+-]{1,64}|application/(?:octet-stream|ogg))(?:;[\w=.+-]{1,64}){0,8};base64,(.*)",
    re.S,
)
NOT_ONE = "A known speaker's reference must be a URL such as 'data:audio/wav;base64,…' with 2 to 10 seconds of speech."


def check_reference(url: str) -> None:
    """Raises ValueError for what is no sound in a `data:` URL; the value itself is never repeated."""
    if len(url) > MAX_REFERENCE:
        raise ValueError(f"A known speaker's reference is larger than {MAX_REFERENCE // 1024 // 1024} MiB.")
    found = DATA_URL.fullmatch(url)
    if found is None:
        raise ValueError(NOT_ONE)
    try:
        sound = base64.b64decode("".join(found[1].split()), validate=True)
    except binascii.Error:
        raise ValueError("A known speaker's reference is not valid base64.") from None
    try:
        sniff(sound[:HEAD])
    except InvalidRequest as error:
        raise ValueError(f"A known speaker's reference: {error.message}") from None
