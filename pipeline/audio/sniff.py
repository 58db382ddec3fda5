"""What a file is, by its first bytes and never by its name: an allow-list, so that ffmpeg need not guess.

ffmpeg's own guessing is the hole that playlists climb through: a text called talk.mp3 that says `#EXTM3U` would be
read as HLS, and name other people's files. Here only a container's own magic, or a run of frames or packets, counts.

Tags (ID3v2) may stand before any container, and rubbish before bare frames: recorders and cutters leave it there. ffmpeg gets
neither to see. The further behind the front frames begin, the more of them there must be.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pipeline.audio.asf.header import MAGIC as _ASF_MAGIC
from pipeline.audio.asf.header import is_locked
from pipeline.audio.containers.id3_tag import tag_length
from pipeline.audio.containers.surround_frames import surround_sound
from pipeline.audio.containers.table import (
    AAC,
    AIFF,
    AMR,
    ASF,
    AU,
    AVI,
    CAF,
    FLAC,
    FLV,
    MATROSKA,
    MP3,
    MP4,
    MPEG,
    MPEGTS,
    OGG,
    REFUSAL,
    VOC,
    W64,
    WAV,
    WAVPACK,
    Container,
    Found,
)
from pipeline.audio.containers.transport_stream import is_transport_stream
from pipeline.audio.containers.wav_format import padded_samples_decoder
from pipeline.audio.mpeg_frames import adts_frames, frames_behind_rubbish, mpeg_audio_frames
from pipeline.errors import EmptyMedia, UnsupportedMedia

SHORT_LOOK = 4096  # bytes that tell of nearly every file what it is
MOST_RUBBISH = 256 * 1024  # bytes before the first frame
LOOK_BYTES = MOST_RUBBISH + 16 * 1024  # that, and as many frames as make certain

_STARTS = (
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b"\x1a\x45\xdf\xa3", MATROSKA),
    (b"#!AMR", AMR),
    (b"\x00\x00\x01\xba", MPEG),
    (_ASF_MAGIC, ASF),
    (b"caff\x00\x01", CAF),
    (b".snd\x00\x00", AU),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", W64),
    (b"FLV\x01", FLV),
    (b"wvpk", WAVPACK),
    (b"Creative Voice File\x1a", VOC),
)
_FORMS = {  # an outer name, four bytes of size, an inner name
    (b"RIFF", b"WAVE"): WAV,
    (b"RF64", b"WAVE"): WAV,
    (b"BW64", b"WAVE"): WAV,
    (b"RIFF", b"AVI "): AVI,
    (b"FORM", b"AIFF"): AIFF,
    (b"FORM", b"AIFC"): AIFF,
}
_FIRST_BOXES = {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_FOREIGN = (  # what frames may lie in without making a recording of it: archives, pictures, programs, documents
    b"PK", b"\x1f\x8b", b"BZh", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"MSCF", b"!<arch>",
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"FORM", b"II*\0", b"MM\0*", b"8BPS", b"BM",
    b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\0asm", b"FWS", b"CWS",
    b"%PDF", b"%!PS", b"\xd0\xcf\x11\xe0", b"SQLite format 3",
)  # fmt: skip
_TAPE_AT, _TAPE = 257, b"ustar"
_TEXTS = (b"#ext", b"ffconcat", b"v=0", b"<", b"{", b"[playlist]", b"http:", b"https:", b"file:")
_BEFORE_TEXT = b"\xef\xbb\xbf \t\r\n"
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\xff]")
_CERTAIN = 3  # frames in a row; a stream that was recorded from its middle begins inside a frame
_CERTAIN_FAR_BEHIND = 8  # the same where more than SHORT_LOOK lies before them
MOST_TAGS = 8
_CAF_CODEC = slice(28, 32)


def sniff(head: bytes) -> Container:
    """The container, from the first bytes of a file (4 KiB or more, or all there are).

    Raises EmptyMedia for no bytes, UnsupportedMedia for everything that is not on the list: text, playlists, archives.
    A tag with a picture may hide what follows from so short a look: then it says mp3, and `sniff_file` knows better.
    """
    tag = tag_length(head)
    return MP3 if tag and len(head) <= tag else sniff_file(lambda offset: head[offset:]).container


def sniff_file(read: Callable[[int], bytes]) -> Found:
    """As `sniff`, over a file of which `read(offset)` gives some KiB, best LOOK_BYTES; it looks behind tags of any length."""
    offset = 0
    for _ in range(MOST_TAGS + 1):
        head = read(offset)
        if not head:
            raise EmptyMedia
        step = tag_length(head)
        if not step:
            return recognised(head, offset)
        offset += step
    raise UnsupportedMedia(REFUSAL)


def recognised(head: bytes, tags: int = 0, *, exactly: bool = False) -> Found:
    """What begins with `head`, behind so many bytes of tags; `exactly`: no rubbish either. Raises UnsupportedMedia."""
    container = _by_magic(head)
    if container is ASF and is_locked(head):
        raise UnsupportedMedia("The recording is locked by DRM: it cannot be read without its owner's key.")
    if container is WAV and (decoder := padded_samples_decoder(head)):
        return Found(container, tags, {"acodec": decoder})
    if container is CAF and head[_CAF_CODEC] == b"alac":
        return Found(
            container, tags, {"flags2": "skip_manual"}
        )  # its last frame is short, and would be shortened once more
    if container:
        return Found(container, tags)
    found = None
    if not is_foreign(head):
        found = _bare_frames(head) or (None if exactly else _behind_rubbish(head, tagged=tags > 0))
    if not found:
        raise UnsupportedMedia(REFUSAL)
    return Found(found[1], tags + found[0])


def known_at_once(head: bytes) -> Container | None:
    """What its first bytes tell that it is, so that nothing is searched for."""
    if container := _by_magic(head):
        return container
    if adts_frames(head, 0, _CERTAIN):
        return AAC
    return MP3 if mpeg_audio_frames(head, 0, _CERTAIN, short=True) else None


def is_foreign(head: bytes) -> bool:
    """Whether it begins as a playlist or as something else that frames are not searched in."""
    if head.startswith(_FOREIGN) or head[_TAPE_AT:].startswith(_TAPE):
        return True
    return head[:SHORT_LOOK].lstrip(_BEFORE_TEXT).lower().startswith(_TEXTS)


def is_text(head: bytes) -> bool:
    """Whether people could read what it begins with: no rubbish that recorders leave."""
    return not _NO_TEXT.search(head[:SHORT_LOOK])


def _by_magic(head: bytes) -> Container | None:
    for magic, container in _STARTS:
        if head.startswith(magic):
            return container
    form = _FORMS.get((head[:4], head[8:12]))
    if form:
        return form
    return MP4 if head[4:8] in _FIRST_BOXES else None


def _bare_frames(head: bytes) -> tuple[int, Container] | None:
    """Sound without any container, and where it begins: at once."""
    if adts_frames(head, 0, _CERTAIN):
        return 0, AAC
    if mpeg_audio_frames(head, 0, _CERTAIN, short=True):
        return 0, MP3
    packed = surround_sound(head) or (MPEGTS if is_transport_stream(head) else None)
    return (0, packed) if packed else None


def _behind_rubbish(head: bytes, *, tagged: bool) -> tuple[int, Container] | None:
    """Frames far behind the front count only where a tag has said that this is a recording, or nothing but padding precedes."""
    found = frames_behind_rubbish(head, _CERTAIN, end=SHORT_LOOK)
    if found is None and not is_text(head):
        found = frames_behind_rubbish(head, _CERTAIN_FAR_BEHIND, end=MOST_RUBBISH)
        if found and not tagged and head[: found[0]].strip(head[:1]):
            return None
    return (found[0], AAC if found[1] else MP3) if found else None
