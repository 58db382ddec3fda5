"""What a server sends as speech, as the bare samples that were asked for.

Servers at home often have one format and send it whatever they are asked: a file of it is received whole, then decoded in the
sandbox like anybody's recording.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audio.decode import decode
from pipeline.audio.encode import encode
from pipeline.audio.mpeg_frames import adts_frames, mpeg_audio_frames
from pipeline.errors import UNUSABLE_MEDIA, MediaTooLong, ProviderNonsense

_MAGIC = (b"ID3", b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3", b"FORM", b"caff")
_TEXTS = ("text/", "application/json", "application/problem", "application/xml")
_PRINTABLE = frozenset(b"\t\r\n") | frozenset(range(32, 127))
_ENOUGH = 64  # bytes; as many printable characters in a row are no sound
_LONGEST_HEADER = 4096  # bytes of a WAV before its samples
_RATES = range(8_000, 96_001)  # Hz
_ENCODED = 24_000
_LARGEST_FILE = 64 * 1024**2  # bytes: 4,096 characters read slowly, as stereo without any compression
_LONGEST_SOUND = 3600  # seconds
_UNKNOWN_SIZE = (0, 0xFFFFFFFF)  # what a WAV says that is still being made


def samples(blocks: Iterator[bytes], media_type: str, *, sample_rate: int, provider: str) -> Iterator[bytes]:
    """s16le mono in whole samples of `sample_rate` Hz. A WAV is unwrapped, encoded sound decoded; anything else raises
    ProviderNonsense."""
    if media_type.lower().startswith(_TEXTS):
        raise ProviderNonsense(provider=provider)
    head = next(blocks, b"")
    while len(head) < _ENOUGH and (block := next(blocks, b"")):
        head += block
    size, rate = None, sample_rate
    if head[:4] in (b"RIFF", b"RF64"):
        while _data(head) is None and len(head) < _LONGEST_HEADER and (block := next(blocks, b"")):
            head += block
        start, size, rate = _unwrapped(head, provider)
        head = head[start:]
    elif _encoded(head, media_type):
        yield from _decoded(_resumed(head, blocks), sample_rate, provider)
        return
    elif _written(head):
        raise ProviderNonsense(provider=provider)
    whole = _whole(_first(_resumed(head, blocks), size))
    yield from whole if rate == sample_rate else _resampled(whole, rate, sample_rate)


def _written(head: bytes) -> bool:
    """Whether it is text."""
    return len(head) >= _ENOUGH and _PRINTABLE.issuperset(head[:_ENOUGH])


def _encoded(head: bytes, media_type: str) -> bool:
    """Whether it is some other container."""
    if head.startswith(_MAGIC) or head[4:8] == b"ftyp":
        return True
    frames = 1 if media_type.lower().startswith(("audio/mpeg", "audio/mp3", "audio/aac")) else 2
    return mpeg_audio_frames(head, 0, frames) or adts_frames(head, 0, frames)


def _decoded(blocks: Iterator[bytes], sample_rate: int, provider: str) -> Iterator[bytes]:
    """Raises ProviderNonsense for what is no sound after all."""
    received = bytearray()
    for block in blocks:
        received += block
        if len(received) > _LARGEST_FILE:
            raise ProviderNonsense("The provider sent more sound than the text can be", provider=provider)
    try:
        with decode(bytes(received), max_seconds=_LONGEST_SOUND, sample_rate=sample_rate) as sound:
            yield from sound
    except (*UNUSABLE_MEDIA, MediaTooLong) as error:
        raise ProviderNonsense("The provider's sound cannot be decoded", provider=provider) from error


def _data(head: bytes) -> tuple[bytes, int, int] | None:
    """A WAV's format chunk, where its samples begin and how many bytes they are; None while that is not there yet."""
    at, form = 12, b""
    while at + 8 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"data":
            return form, at + 8, size
        if name == b"fmt ":
            form = head[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return None


def _unwrapped(head: bytes, provider: str) -> tuple[int, int | None, int]:
    """Where the samples begin, their bytes where that is known, and their Hz. Raises ProviderNonsense for other samples."""
    found = _data(head)
    if found is None or head[8:12] != b"WAVE":
        raise ProviderNonsense(provider=provider)
    form, start, size = found
    kind, channels = int.from_bytes(form[:2], "little"), int.from_bytes(form[2:4], "little")
    rate, bits = int.from_bytes(form[4:8], "little"), int.from_bytes(form[14:16], "little")
    if kind not in (1, 0xFFFE) or (channels, bits) != (1, 16) or rate not in _RATES:
        raise ProviderNonsense("The provider sent sound in another sampling than was asked for", provider=provider)
    return start, None if size in _UNKNOWN_SIZE or size > 2**31 - 2**16 else size, rate


def _resampled(blocks: Iterator[bytes], rate: int, wanted: int) -> Iterator[bytes]:
    """At `wanted` Hz, with a filter that keeps folded frequencies out."""
    assert wanted == _ENCODED, "what the encoder makes of bare samples"
    return _whole(encode(blocks, sample_rate=rate, target="pcm"))


def _resumed(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from blocks


def _first(blocks: Iterator[bytes], size: int | None) -> Iterator[bytes]:
    """No more than `size` bytes: what follows a WAV's samples is not sound."""
    for block in blocks:
        yield block if size is None else block[:size]
        size = None if size is None else max(0, size - len(block))


def _whole(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut between samples; half a sample at the end is dropped."""
    odd = b""
    for block in blocks:
        sound = odd + block
        odd = sound[len(sound) // 2 * 2 :]
        if even := sound[: len(sound) // 2 * 2]:
            yield even
