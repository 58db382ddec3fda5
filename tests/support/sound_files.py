"""Sound as a file of any format, made by the ffmpeg under test."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipeline.audio.ffmpeg.binary import ffmpeg_path

_QUIETLY = ("-nostdin", "-v", "error", "-y")
_PCM = ("-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "pipe:0")


def from_pcm(*outputs: str) -> list[str]:
    """The command that reads s16le mono 16 kHz from its standard input and writes `outputs`: options, then a path, each."""
    return [ffmpeg_path(), *_QUIETLY, *_PCM, *outputs]


def encoded(pcm: bytes, path: Path, options: Sequence[str] = ()) -> bytes:
    """The file's bytes; its suffix names the container, `options` the codec where the container's own will not do."""
    subprocess.run(from_pcm(*options, str(path)), input=pcm, check=True)
    return path.read_bytes()


def with_tracks(folder: Path, *wavs: bytes) -> bytes:
    """A Matroska file with a track for each of the WAVs, untouched; the first in English, the others called `Track 2` and so on."""
    sources = [folder / f"track {number}.wav" for number in range(1, len(wavs) + 1)]
    for source, wav in zip(sources, wavs, strict=True):
        source.write_bytes(wav)
    inputs = [part for source in sources for part in ("-i", str(source))]
    maps = [part for number in range(len(wavs)) for part in ("-map", str(number))]
    told = ["-metadata:s:a:0", "language=eng"]
    for number in range(1, len(wavs)):
        told += [f"-metadata:s:a:{number}", f"title=Track {number + 1}"]
    target = folder / "tracks.mkv"
    subprocess.run([ffmpeg_path(), *_QUIETLY, *inputs, *maps, *told, "-c", "copy", str(target)], check=True)
    return target.read_bytes()


def decoded_again(pcm: bytes, *options: str) -> bytes:
    """What a codec, which `options` name, leaves of s16le mono 16 kHz."""
    packed = subprocess.run(
        from_pcm(*options, "-f", "matroska", "-"), input=pcm, check=True, capture_output=True
    ).stdout
    back = [ffmpeg_path(), *_QUIETLY[:-1], "-i", "pipe:0", "-f", "s16le", "-ar", "16000", "-ac", "1", "-"]
    return subprocess.run(back, input=packed, check=True, capture_output=True).stdout
