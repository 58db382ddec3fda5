"""M5, M5b, M6, and the odd WAVs of M9: bytes that are wrong, missing, or in the way."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.pipeline.audio.sounds import id3_tag
from tests.support.media_rows.material import FILES, RATE, Make, Row, both, encoded, said_by_both, wav

FRONT = ("-movflags", "faststart")
TAGLESS = ("-write_xing", 0, "-id3v2_version", 0)
PIECES = ("-movflags", "empty_moov", "-frag_duration", 250_000)
CUT_OUT: tuple[tuple[str, tuple[object, ...], int], ...] = (  # whose index or stamps tell when each packet is played; ms late
    ("avi", ("-c:a", "pcm_s16le"), 0), ("mpg", (), 30), ("vob", (), 6), ("m4a", (), 0), ("m4a", PIECES, 64),
    ("mp4", ("-c:a", "libopus"), 0),
)  # fmt: skip
STEREO = ("-ac", 2)
SAMPLES: tuple[tuple[str, tuple[object, ...]], ...] = (  # or even blocks of them
    ("wav", ()), ("aiff", ("-c:a", "pcm_s24be")), ("wav", ("-c:a", "adpcm_ima_wav")),
)  # fmt: skip
PCM = bytes.fromhex("0100000000001000800000aa00389b71")


def rows() -> Iterator[Row]:
    """All of them."""
    yield from _each_channel()
    for name, options in (
        ("m4a", FRONT),
        ("flac", ()),
        ("ogg", ("-page_duration", 100_000)),
        ("mkv", ()),
        ("webm", ()),
        ("wv", ()),
    ):
        yield _damaged(f"M5 {name}, a fifth overwritten", partial(_overwritten, name=name, options=options), name)
    for name, options, byte in (
        ("avi", ("-c:a", "pcm_s16le"), None),
        ("avi", (), 0),
        ("3gp", (), 0),
        ("mp4", ("-c:a", "libopus", *FRONT), 0),
        ("mkv", ("-c:a", "ac3"), 0xFF),
    ):
        make = partial(_overwritten, name=name, options=options, byte=byte)
        filled = "noise" if byte is None else f"bytes of {byte}"
        yield _damaged(f"M5 {name}, a fifth of it {filled}", make, name)
    for name, options, late in CUT_OUT:
        pieces = " in pieces" if options is PIECES else ""
        make = partial(_cut_out, name=name, options=options)
        yield Row(f"M5 {name}{pieces}, a tenth of it cut out", make, said_by_both(), late, damaged=True)
    for name, options in SAMPLES:
        make = partial(_slipped, name=name, options=options)
        codec = f" of {options[1]}" if options else ""
        yield Row(f"M5 {name}{codec}, cut out of it what is no whole sample", make, said_by_both(), damaged=True)
    for name in (
        "wav",
        "mp3",
        "mka",
        "flac",
        "ogg",
        "m4a",
        "webm",
        "w64",
        "aiff",
        "caf",
        "au",
        "flv",
        "wma",
        "avi",
        "wv",
    ):
        yield _damaged(f"M5b {name}, cut at 60 %", partial(_cut, name=name), name, frozenset({"truncated"}))
    yield Row(
        "M5b mp4 in pieces, cut at 60 %",
        _cut_in_pieces,
        said_by_both(),
        64,
        warnings=frozenset({"truncated"}),
        damaged=True,
    )
    for name, front in (("zeros", bytes(100_000)), ("rubbish", random.Random(1).randbytes(100_000))):
        yield Row(f"M6 mp3, {name} behind its tag", partial(_behind, front=front), said_by_both())
    yield Row("M6 wav, a tag in front", lambda _: id3_tag(5000) + wav(both()), said_by_both())
    yield Row("M9 wav, 24 in 32 bits", lambda _: _padded(), said_by_both())
    longer = frozenset({"longer"})
    yield Row("M9 wav, longer than its header tells", lambda _: _told_half(), said_by_both(), warnings=longer)
    for name, codec in (("mp3", "libmp3lame"), ("ac3", "ac3"), ("ulaw", "pcm_mulaw")):
        yield Row(f"M9 wav, {name} in it", partial(_in_wav, codec=codec), said_by_both(), 6 if name == "ac3" else 0)


def _each_channel() -> Iterator[Row]:
    """Damage, and what is in the way, heard by channels."""
    overwritten, slipped = (
        partial(_overwritten, name="ogg", options=("-page_duration", 100_000, *STEREO)),
        partial(_slipped, name="wav"),
    )
    kinds: tuple[tuple[str, Make, frozenset[str]], ...] = (
        ("M5 ogg, a fifth overwritten", overwritten, frozenset()),
        ("M5 wav, cut out of it what is no whole sample", partial(slipped, options=STEREO), frozenset()),
        ("M5b flac, cut at 60 %", partial(_cut, name="flac", options=STEREO), frozenset({"truncated"})),
    )
    for name, make, warnings in kinds:
        said, fields = (*said_by_both(), *said_by_both()), {"channels": "separate"}
        yield Row(f"{name}, each channel", make, said, warnings=warnings, damaged=True, fields=fields, layers=2)
    rubbish = random.Random(1).randbytes(100_000)
    whole: tuple[tuple[str, Make], ...] = (
        ("M6 mp3, rubbish behind its tag", partial(_behind, front=rubbish, channels=2)),
        ("M6 wav, a tag in front", lambda _: id3_tag(5000) + wav(both(), both())),
        ("M9 wav, 24 in 32 bits", lambda _: _padded(channels=2)),
        ("M9 wav, mp3 in it", partial(_in_wav, codec="libmp3lame", channels=2)),
    )
    for name, make in whole:
        said, fields = (*said_by_both(), *said_by_both()), {"channels": "separate"}
        yield Row(f"{name}, each channel", make, said, fields=fields, layers=2)


def _in_wav(folder: Path, codec: str, channels: int = 1) -> bytes:
    return encoded(folder, wav(*[both()] * channels), "a.wav", "-c:a", codec, "-ar", 48_000)


def _damaged(name: str, make: Make, container: str, warnings: frozenset[str] = frozenset()) -> Row:
    return Row(name, make, said_by_both(), FILES[container][1], warnings=warnings, damaged=True)


def _overwritten(folder: Path, name: str, options: tuple[object, ...], byte: int | None = None) -> bytes:
    data = encoded(folder, wav(both()), f"a.{name}", *options)
    at, length = len(data) // 2, len(data) // 5
    filled = random.Random(name).randbytes(length) if byte is None else bytes([byte]) * length
    return data[:at] + filled + data[at + length :]


def _cut_out(folder: Path, name: str, options: tuple[object, ...]) -> bytes:
    data = encoded(folder, wav(both()), f"a.{name}", *options)
    return data[: len(data) // 2] + data[len(data) * 6 // 10 + 7 :]  # in the middle of a packet


def _slipped(folder: Path, name: str, options: tuple[object, ...]) -> bytes:
    data = encoded(folder, wav(both()), f"a.{name}", *options)
    at, length = len(data) // 2, len(data) // 60 * 6 + 1
    return data[:at] + data[at + length :]


def _cut(folder: Path, name: str, options: tuple[object, ...] = ()) -> bytes:
    data = encoded(folder, wav(both()), f"a.{name}", *(FRONT if name == "m4a" else ()), *options)
    return data[: len(data) * 6 // 10]


def _cut_in_pieces(folder: Path) -> bytes:
    data = encoded(folder, wav(both()), "a.m4a", "-movflags", "empty_moov", "-frag_duration", 400_000)
    return data[: len(data) * 6 // 10]


def _behind(folder: Path, front: bytes, channels: int = 1) -> bytes:
    return id3_tag(500) + front + encoded(folder, wav(*[both()] * channels), "a.mp3", *TAGLESS)


def _told_half() -> bytes:
    """As a recorder leaves it that writes its header anew now and then, and was switched off in between."""
    data = bytearray(wav(both()))
    data[40:44] = (len(data) // 4 * 2).to_bytes(4, "little")
    return bytes(data)


def _padded(channels: int = 1) -> bytes:
    """Samples of 24 bits in 32, as recorders write them."""
    samples = (np.repeat(both(), channels).astype("<i4") << 16).tobytes()
    width = 4 * channels
    layout = struct.pack("<HHIIHHHHI", 0xFFFE, channels, RATE, width * RATE, width, 32, 22, 24, 0) + PCM
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
