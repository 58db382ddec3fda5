"""Recordings whose truth is known: short tones at known times, in every container, made by the ffmpeg under test."""

import struct
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.ffmpeg.binary import ffmpeg_path

SECONDS = 4
ONSETS = (0.5, 1.5, 2.5, 3.5)
TONE_SECONDS = 0.1
LATE = 0.7  # seconds by which the sound of a film begins after its picture

CONTAINERS: dict[
    str, tuple[str, Sequence[str]]
] = {  # file name: (facts "container codec channels rate", ffmpeg's options)
    "pcm.wav": ("wav pcm_s16le 2 44100", []),
    "float.wav": ("wav pcm_f32le 2 44100", ["-c:a", "pcm_f32le"]),
    "lame.mp3": ("mp3 mp3 2 44100", ["-c:a", "libmp3lame"]),
    "tagless.mp3": ("mp3 mp3 2 44100", ["-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"]),
    "low.mp3": ("mp3 mp3 1 16000", ["-c:a", "libmp3lame", "-write_xing", "0", "-ar", "16000", "-ac", "1"]),
    "layer2.mp3": ("mp3 mp2 2 44100", ["-c:a", "mp2", "-f", "mp2"]),
    "music.m4a": ("mp4 aac 2 44100", ["-c:a", "aac"]),
    "first.m4a": ("mp4 aac 2 44100", ["-c:a", "aac", "-movflags", "faststart"]),
    "lossless.m4a": ("mp4 alac 2 44100", ["-c:a", "alac"]),
    "phone.3gp": ("mp4 amr_nb 1 8000", ["-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1"]),
    "phone.amr": ("amr amr_nb 1 8000", ["-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1"]),
    "raw.aac": ("aac aac 2 44100", ["-c:a", "aac", "-f", "adts"]),
    "voice.ogg": ("ogg opus 2 48000", ["-c:a", "libopus"]),
    "vorbis.ogg": ("ogg vorbis 2 44100", ["-c:a", "libvorbis"]),
    "voice.webm": ("matroska opus 1 48000", ["-c:a", "libopus", "-ar", "16000", "-ac", "1"]),
    "browser.webm": ("matroska opus 2 48000", ["-c:a", "libopus"]),
    "vorbis.webm": ("matroska vorbis 2 44100", ["-c:a", "libvorbis"]),
    "aac.mkv": ("matroska aac 2 44100", ["-c:a", "aac"]),
    "pcm.mkv": ("matroska pcm_s16le 2 44100", ["-c:a", "pcm_s16le"]),
    "music.flac": ("flac flac 2 44100", ["-c:a", "flac"]),
    "apple.aiff": ("aiff pcm_s16be 2 44100", []),
    "stream.mpeg": ("mpeg mp2 2 44100", ["-c:a", "mp2", "-f", "mpeg"]),
    "windows.wma": ("asf wmav2 2 44100", ["-c:a", "wmav2"]),
    "older.wma": ("asf wmav1 2 44100", ["-c:a", "wmav1"]),
    "apple.caf": ("caf pcm_s16be 2 44100", []),
    "lossless.caf": ("caf alac 2 44100", ["-c:a", "alac"]),
    "sun.au": ("au pcm_s16be 2 44100", []),
    "phone.au": ("au pcm_mulaw 1 8000", ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"]),
    "studio.w64": ("w64 pcm_s16le 2 44100", []),
    "broadcast.ts": ("mpegts mp2 2 44100", ["-c:a", "mp2"]),
    "television.ts": ("mpegts aac_latm 2 44100", ["-c:a", "aac", "-mpegts_flags", "latm"]),
    "camera.m2ts": ("mpegts ac3 2 44100", ["-c:a", "ac3"]),
    "plain.avi": ("avi pcm_s16le 2 44100", ["-c:a", "pcm_s16le"]),
    "mp3.avi": ("avi mp3 2 44100", ["-c:a", "libmp3lame"]),
    "flash.flv": ("flv aac 2 44100", ["-c:a", "aac"]),
    "older.flv": ("flv adpcm_swf 2 44100", ["-c:a", "adpcm_swf"]),
    "call.flv": ("flv nellymoser 1 44100", ["-c:a", "nellymoser", "-ac", "1"]),
    "lossless.wv": ("wavpack wavpack 2 44100", []),
    "wavpack.mkv": ("matroska wavpack 2 44100", ["-c:a", "wavpack"]),
    "creative.voc": ("voc pcm_s16le 2 44100", []),
    "bare.ac3": ("ac3 ac3 2 44100", []),
    "bare.eac3": ("eac3 eac3 2 44100", []),
    "bare.dts": ("dts dts 2 48000", ["-c:a", "dca", "-strict", "-2", "-ar", "48000"]),
    "mp3.wav": ("wav mp3 2 44100", ["-c:a", "libmp3lame"]),
    "ac3.wav": ("wav ac3 2 44100", ["-c:a", "ac3"]),
    "dts.wav": ("wav dts 2 48000", ["-c:a", "dca", "-strict", "-2", "-ar", "48000"]),
    "microsoft.wav": ("wav adpcm_ms 2 44100", ["-c:a", "adpcm_ms"]),
    "ima.wav": ("wav adpcm_ima_wav 2 44100", ["-c:a", "adpcm_ima_wav"]),
    "g722.wav": ("wav adpcm_g722 1 16000", ["-c:a", "g722", "-ar", "16000", "-ac", "1"]),
    "g726.wav": ("wav adpcm_g726 1 8000", ["-c:a", "g726", "-ar", "8000", "-ac", "1"]),
    "little.aifc": ("aiff pcm_s16le 2 44100", ["-c:a", "pcm_s16le", "-f", "aiff"]),
    "float.aifc": ("aiff pcm_f32be 2 44100", ["-c:a", "pcm_f32be", "-f", "aiff"]),
    "phone.aifc": ("aiff pcm_mulaw 2 44100", ["-c:a", "pcm_mulaw", "-f", "aiff"]),
    "ima.aifc": ("aiff adpcm_ima_qt 2 44100", ["-c:a", "adpcm_ima_qt", "-f", "aiff"]),
}
FILMS: dict[str, tuple[str, Sequence[str]]] = {
    "film.mp4": ("mp4 aac 2 44100", ["-c:v", "mpeg4", "-c:a", "aac"]),
    "film.webm": ("matroska opus 2 48000", ["-c:v", "libvpx", "-c:a", "libopus"]),
    "film.mkv": ("matroska aac 2 44100", ["-c:v", "mpeg4", "-c:a", "aac"]),
    "film.mpeg": ("mpeg mp2 2 44100", ["-c:v", "mpeg2video", "-c:a", "mp2", "-f", "mpeg"]),
}


def tones(sample_rate: int, seconds: float = SECONDS, onsets: Iterable[float] = ONSETS) -> NDArray[np.int16]:
    """Silence with a 1 kHz tone at each onset."""
    signal = np.zeros(round(seconds * sample_rate))
    tone = 0.6 * np.sin(2 * np.pi * 1000 * np.arange(round(TONE_SECONDS * sample_rate)) / sample_rate)
    for onset in onsets:
        start = round(onset * sample_rate)
        signal[start : start + len(tone)] = tone
    return (signal * 32767).astype("<i2")


def heard(pcm: bytes, sample_rate: int = 16_000) -> list[float]:
    """The onsets, in seconds, that can be measured in decoded sound."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 3000)
    return [
        float(at) / sample_rate
        for at, gap in zip(loud, np.diff(loud, prepend=-sample_rate), strict=True)
        if gap > sample_rate / 2
    ]


def ffmpeg(*arguments: object) -> None:
    subprocess.run([ffmpeg_path(), "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def piped(source: Path, form: str, options: Sequence[str] = ()) -> bytes:
    """What ffmpeg makes of a recording when it cannot go back to complete the header."""
    command = [ffmpeg_path(), "-nostdin", "-v", "error", "-i", str(source), *options, "-f", form, "pipe:1"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def wav(
    pcm: bytes,
    *,
    sample_rate: int = 16_000,
    channels: int = 1,
    data_size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    """A WAV by hand, so that its header can lie."""
    data_size = len(pcm) if data_size is None else data_size
    riff_size = (36 + data_size) & 0xFFFFFFFF if riff_size is None else riff_size
    width = channels * 2
    layout = struct.pack("<HHIIHH", 1, channels, sample_rate, sample_rate * width & 0xFFFFFFFF, width & 0xFFFF, 16)
    return (
        b"RIFF"
        + struct.pack("<I", riff_size)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + layout
        + b"data"
        + struct.pack("<I", data_size)
        + pcm
    )


def make(folder: Path) -> None:
    """Every recording of CONTAINERS and FILMS, the latter also with late sound, a film without any and some codecs we refuse."""
    original = folder / "original.wav"
    original.write_bytes(wav(np.repeat(tones(44_100), 2).tobytes(), sample_rate=44_100, channels=2))
    picture = ["-f", "lavfi", "-i", f"testsrc=size=64x64:rate=25:duration={SECONDS}"]
    outputs = [part for name, (_, options) in CONTAINERS.items() for part in (*options, folder / name)]
    ffmpeg("-i", original, *outputs)
    films = [
        part for name, (_, options) in FILMS.items() for part in ("-map", "0", "-map", "1", *options, folder / name)
    ]
    ffmpeg(*picture, "-i", original, *films)
    late = [
        part
        for name, (_, options) in FILMS.items()
        for part in ("-map", "0", "-map", "1", *options, folder / f"late-{name}")
    ]
    ffmpeg(*picture, "-itsoffset", LATE, "-i", original, *late)
    ffmpeg(*picture, "-c:v", "mpeg4", folder / "silent.mp4", "-c:v", "libvpx", folder / "silent.webm")
    ffmpeg("-i", original, "-c:a", "tta", folder / "tta.mkv", folder / "bare.tta")
    ffmpeg("-i", original, "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", folder / "pieces.mp4")


def id3_tag(size: int) -> bytes:
    """An ID3v2.4 tag with a picture of `size` bytes."""

    def seven_bits(number: int) -> bytes:
        return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))

    picture = b"\0image/jpeg\0\x03\0" + bytes(range(256)) * (size // 256)
    frame = b"APIC" + seven_bits(len(picture)) + b"\0\0" + picture
    return b"ID3\x04\0\0" + seven_bits(len(frame)) + frame
