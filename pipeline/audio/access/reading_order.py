"""In which order a recording's bytes can be read at once, where a reader that leaps about would look at its end first.

ffmpeg does so in an MP4 or CAF whose tables stand last, in an AIFF that describes its sound behind it, for a WavPack's tags, and
for the size of an mp3, without which it does not believe a tag that tells where the sound ends. What it would have found there
comes in front here, or is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pipeline.audio.access.entry import Span
from pipeline.audio.access.front_index import reordered
from pipeline.audio.access.mp3_tag import mp3_tag
from pipeline.audio.containers.chunks import Read, chunks, sound_chunk
from pipeline.audio.containers.table import AIFF, CAF, MP3, MP4, WAVPACK, Container, Found
from pipeline.audio.mp4_boxes import index_is_last
from pipeline.errors import UnsupportedMedia

_CHUNK_HEADERS = {CAF: 12, AIFF: 8}  # bytes of a name and a length
_APE, _APE_SIZE, _APE_MOST = b"APETAGEX", 32, 1 << 24


def in_order(read: Read, found: Found, end: int, size: int) -> Sequence[Span]:
    """All of what was found, up to `end`, in a file of `size` bytes. Raises UnsupportedMedia where there is no such order."""
    order = _ORDERS.get(found.container)
    return order(read, found.start, end, size) if order else [(found.start, end)]


def _mp4(read: Read, start: int, end: int, size: int) -> Sequence[Span]:
    if not index_is_last(read, start, size):
        return [(start, end)]
    order = reordered(read, start, size)
    if order is None:
        raise UnsupportedMedia(
            "The file's index (moov) stands behind its sound, in a way that cannot be read from the storage: write it anew, e.g. "
            "with ffmpeg -i IN -c copy -movflags +faststart OUT."
        )
    return order.spans(start, end)


def _chunked(container: Container, read: Read, start: int, end: int, _: int) -> Sequence[Span]:
    """The sound last, and before it what stands behind it."""
    walked = chunks(read, start, end, container)
    sound = sound_chunk(walked, container)
    if sound is None or sound.length is None or sound.start + sound.length >= end:
        return [(start, end)]
    begin, behind = sound.start - _CHUNK_HEADERS[container], sound.start + sound.length
    behind += (behind - start) % 2 if container is AIFF else 0
    return [(start, begin), (behind, max(behind, walked.end)), (begin, min(behind, end))]


def _mp3(read: Read, start: int, end: int, _: int) -> Sequence[Span]:
    tag = mp3_tag(read, start)
    if tag is None:
        return [(start, end)]
    return [tag.retold(tag.believed(end - start)), (start + len(tag.data), end)]


def _wavpack(read: Read, start: int, end: int, _: int) -> Sequence[Span]:
    return [(start, blocks_end(read, start, end))]


def blocks_end(read: Read, start: int, end: int) -> int:
    """Where the tags begin behind the blocks of a WavPack, which ffmpeg would take for a block that is none."""
    footer = read(max(start, end - _APE_SIZE), _APE_SIZE)
    length = int.from_bytes(footer[12:16], "little") + _APE_SIZE if footer.startswith(_APE) else 0
    return end - length if 0 < length <= min(_APE_MOST, end - start) else end


_ORDERS: Mapping[Container, Callable[[Read, int, int, int], Sequence[Span]]] = {
    MP4: _mp4,
    MP3: _mp3,
    CAF: partial(_chunked, CAF),
    AIFF: partial(_chunked, AIFF),
    WAVPACK: _wavpack,
}
