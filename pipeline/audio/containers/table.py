"""Every container we take: the one list that the look at a file, ffmpeg's arguments and the words of a refusal come from.

A container is here only if its demuxer reads nothing but the bytes it is given. Playlists, image sequences and whatever
else names other files or URLs have no place in it, whatever ffmpeg could do with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.errors import UnsupportedMedia


@dataclass(frozen=True)
class Container:
    """Our name for it, ffmpeg's demuxers that may read it, comma-separated, and the endings that its files have."""

    name: str
    demuxers: str
    endings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a file is, at which byte its container begins (a tag or rubbish may precede it), and what ffmpeg must be told."""

    container: Container
    start: int = 0
    options: Mapping[str, object] = field(default_factory=dict)


WAV = Container("wav", "wav", ("wav",))
MP3 = Container("mp3", "mp3", ("mp3", "mpga", "mp2"))
FLAC = Container("flac", "flac", ("flac",))
OGG = Container("ogg", "ogg", ("ogg", "oga", "opus", "spx"))
MP4 = Container("mp4", "mov,mp4,m4a,3gp,3g2,mj2", ("mp4", "m4a", "mov", "3gp"))
MATROSKA = Container("matroska", "matroska,webm", ("webm", "mka", "mkv"))
AAC = Container("aac", "aac", ("aac",))
AMR = Container("amr", "amr", ("amr", "awb"))
AIFF = Container("aiff", "aiff", ("aiff", "aif", "aifc"))
MPEG = Container("mpeg", "mpeg", ("mpeg", "mpg", "vob"))  # a program stream
ASF = Container("asf", "asf", ("wma", "asf", "wmv"))
CAF = Container("caf", "caf", ("caf",))
AU = Container("au", "au", ("au", "snd"))
W64 = Container("w64", "w64", ("w64",))
MPEGTS = Container("mpegts", "mpegts", ("ts", "mts", "m2ts"))
AVI = Container("avi", "avi", ("avi",))
FLV = Container("flv", "flv", ("flv",))
WAVPACK = Container("wavpack", "wv", ("wv",))
VOC = Container("voc", "voc", ("voc",))
AC3 = Container("ac3", "ac3", ("ac3",))
EAC3 = Container("eac3", "eac3", ("eac3", "ec3"))
DTS = Container("dts", "dts", ("dts",))

CONTAINERS = (
    WAV, MP3, FLAC, OGG, MP4, MATROSKA, AAC, AMR, AIFF, MPEG, ASF, CAF, AU, W64, MPEGTS, AVI, FLV, WAVPACK, VOC, AC3, EAC3, DTS,
)  # fmt: skip
_NAMED_FIRST = ("mp3", "mp4", "mpeg", "mpga", "m4a", "wav", "webm")  # what OpenAI's documents list
_OTHERS = sorted({ending for container in CONTAINERS for ending in container.endings} - set(_NAMED_FIRST))
REFUSAL = f"{(UnsupportedMedia.__doc__ or '').strip()}. Also taken: {', '.join(_OTHERS)}."
