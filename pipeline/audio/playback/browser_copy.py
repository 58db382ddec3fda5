"""A recording as every browser plays it, to the sample on its clock: mono Ogg Opus, made while the recording is decoded once more.

Needed of what browsers do not play, and of what they play but seek in by guessing (bare AAC frames have no index).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from pipeline.audio.access.remote import Remote
from pipeline.audio.containers.table import FLAC, MATROSKA, MP3, MP4, OGG, WAV
from pipeline.audio.decode import AudioFacts, decode
from pipeline.audio.encode import encode_small
from pipeline.audio.raw_sound import RawSound
from pipeline.errors import MediaTooLong
from pipeline.transcript import SAMPLE_RATE

MEDIA_TYPE = "audio/ogg"
_SAMPLE_BYTES = 2
_ZEROS = bytes(64 * 1024)
_MOST_BYTES = 2**32  # of a WAV whose sizes have 32 bits; what is larger is RF64, which Firefox does not take
# By container the codecs that Chromium, Firefox and Safari all play in it, as ffmpeg calls them.
_PLAYED = {
    WAV.name: {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_alaw", "pcm_mulaw"},
    MP3.name: {"mp3"},
    FLAC.name: {"flac"},
    OGG.name: {"opus", "vorbis", "flac"},
    MP4.name: {"aac", "mp3", "flac", "opus"},
    MATROSKA.name: {"opus", "vorbis"},
}


def plays_everywhere(facts: AudioFacts, size: int) -> bool:
    """Whether the browsers play a recording of so many bytes as it is."""
    return size < _MOST_BYTES and facts.codec in _PLAYED.get(facts.container, ())


def browser_copy(
    source: Path | Remote, *, declared: RawSound | None = None, max_seconds: float | None = None
) -> Generator[bytes]:
    """The copy in blocks; closing the iterator ends all that works for it. Holes are silence in it.

    Raises, while iterated, what `decode` and `encode` raise; MediaTooLong also where the clock goes on for longer.
    """
    return encode_small(_without_holes(source, declared, max_seconds), sample_rate=SAMPLE_RATE)


def _without_holes(source: Path | Remote, declared: RawSound | None, max_seconds: float | None) -> Iterator[bytes]:
    end = 0
    with decode(source, declared=declared, max_seconds=max_seconds) as decoding:
        for place, pcm in decoding.pieces():
            if max_seconds is not None and place > max_seconds * SAMPLE_RATE:
                raise MediaTooLong(f"Its clock goes on for more than {max_seconds:.0f} s.")
            yield from _silence(place - end)
            yield pcm
            end = place + len(pcm) // _SAMPLE_BYTES


def _silence(samples: int) -> Iterator[bytes]:
    left = samples * _SAMPLE_BYTES
    while left > 0:
        yield _ZEROS[:left]
        left -= len(_ZEROS)
