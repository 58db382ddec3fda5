"""M1 and half of M9: files behind each other in one, of one format or of two; a stream whose format changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tests.support.media_rows.material import (
    FILES,
    HALF,
    RATE,
    A,
    B,
    Row,
    Said,
    both,
    encoded,
    ffmpeg,
    later,
    said_by_both,
    talker,
    wav,
)
from tests.support.sample_descriptions import one_track

TAGLESS = ("-write_xing", 0, "-id3v2_version", 0)
Form = Sequence[object]
AT_48_KHZ = ("ac3", "eac3", "dts", "m2ts", "vob", "ogg", "webm")
LOWER: dict[str, Form] = {
    "mp3": ("-ar", 22_050), "aac": ("-ar", 22_050), "ac3": ("-ar", 32_000), "wav": ("-ar", 8000), "flac": ("-ar", 8000),
    "ogg": ("-ar", 24_000), "mpg": ("-ar", 22_050), "m4a": ("-ar", 22_050),
}  # fmt: skip
MIXED = (
    ("wav", "mp3"),
    ("mp3", "m4a"),
    ("flac", "ogg"),
    ("ogg", "mp3"),
    ("m4a", "wav"),
    ("aac", "flac"),
    ("webm", "aac"),
    ("ts", "wav"),
    ("wma", "ac3"),
    ("mp3", "wav"),
    ("mpg", "vob"),
    ("ts", "m2ts"),
    ("m2ts", "ts"),
)
# A stream of bare frames has its encoder's delay, and the rest of the last frame, wherever a file in it begins or ends.
JOINT = {
    "aac": 60,
    "ts": 60,
    "mpg": 60,
    "m2ts": 50,
    "vob": 50,
    "ac3": 50,
    "eac3": 50,
    "dts": 30,
    "flv": 60,
    "avi": 60,
    "wma": 90,
}
SAID: Said = (*talker(A)[1], *later(talker(B)[1], HALF))


def rows() -> Iterator[Row]:
    """All of them."""
    for name in (
        "wav",
        "flac",
        "mp3",
        "aac",
        "m4a",
        "ogg",
        "oga",
        "webm",
        "mkv",
        "ts",
        "mpg",
        "avi",
        "flv",
        "wma",
        "aiff",
        "caf",
        "au",
    ):
        yield _row(name, "mono and stereo", _form(name, 1), _form(name, 2))
    for name in ("w64", "wv", "voc", "ac3", "eac3", "dts", "m2ts", "vob"):
        yield _row(name, "stereo and mono", _form(name, 2), _form(name, 1))
    for name, form in LOWER.items():
        yield _row(name, "another rate", _form(name, 1), form)
    for first, second in MIXED:
        forms = [(one, _form(one, channels)) for one, channels in ((first, 1), (second, 2))]
        late = FILES[first][1] + FILES[second][1] + JOINT.get(first, 0) + JOINT.get(second, 0)
        yield Row(f"M9 {first} and {second} joined", partial(_of_two_kinds, forms=forms), SAID, late)
    lossless = [("caf", ("-c:a", "alac")), ("m4a", ("-c:a", "alac"))]
    yield Row("M9 caf and m4a without loss joined", partial(_of_two_kinds, forms=lossless), SAID)
    for name in ("mp3", "aac", "ts"):
        yield Row(f"M9 a streamed wav and {name} joined", partial(_behind_a_stream, name=name), SAID, FILES[name][1])
    for name in ("mkv", "mp4", "avi"):
        yield Row(f"M1 mp3 of two formats in one track of {name}", partial(_one_track, name=name), SAID, 150)
    for name, first, second, late in (
        ("mov", _form("mov", 2), (*_form("mov", 1), "-c:a", "pcm_s24be"), 0),
        ("mp4", _form("mp4", 2), ("-ar", 22_050, "-ac", 1, "-c:a", "libmp3lame"), 120),
    ):
        make = partial(_described, name=name, forms=(first, second))
        yield Row(f"M1 {name}, two formats described in one track", make, SAID, late)
    yield Row("M1 mp3, another format each second", _each_second, said_by_both(), 200)
    said, separate = (*SAID, *later(talker(B)[1], HALF)), {"channels": "separate"}
    for name, late in (("mp3", 60), ("wav", 0), ("flac", 0)):
        make = partial(_joined, name=f"a.{name}", forms=(_form(name, 1), _form(name, 2)))
        yield Row(f"M1 {name}, mono and stereo, each channel", make, said, late, fields=separate, layers=2)


def _form(name: str, channels: int) -> Form:
    return ("-ar", 48_000 if name in AT_48_KHZ else 44_100, "-ac", channels)


def _row(name: str, how: str, *forms: Form) -> Row:
    make = partial(_joined, name=f"a.{name}", forms=forms)
    return Row(f"M1 {name}, {how}", make, SAID, FILES[name][1] + JOINT.get(name, 0))


def _joined(folder: Path, name: str, forms: Sequence[Form]) -> bytes:
    sounds = [wav(talker(seed)[0]) for seed in (A, B)]
    return b"".join(encoded(folder, sound, name, *form) for sound, form in zip(sounds, forms, strict=True))


def _of_two_kinds(folder: Path, forms: Sequence[tuple[str, Form]]) -> bytes:
    sounds = [wav(talker(seed)[0]) for seed in (A, B)]
    return b"".join(
        encoded(folder, sound, f"a.{name}", *form) for sound, (name, form) in zip(sounds, forms, strict=True)
    )


def _behind_a_stream(folder: Path, name: str) -> bytes:
    """Frames behind a WAV whose writer could not go back to tell its length."""
    first, forms = bytearray(wav(talker(A)[0])), {"mp3": TAGLESS}
    first[40:44] = b"\xff" * 4
    return bytes(first) + encoded(folder, wav(talker(B)[0]), f"a.{name}", *forms.get(name, ()))


def _one_track(folder: Path, name: str) -> bytes:
    """Packets of both in one track; the container knows the first format alone."""
    (folder / "joined.mp3").write_bytes(
        _joined(folder, "a.mp3", [(*_form("mp3", channels), *TAGLESS) for channels in (1, 2)])
    )
    ffmpeg(folder, "-i", "joined.mp3", "-c", "copy", f"track.{name}")
    return (folder / f"track.{name}").read_bytes()


def _described(folder: Path, name: str, forms: Sequence[Form]) -> bytes:
    """Samples of both in one track, by descriptions of their own."""
    sounds = [wav(talker(seed)[0]) for seed in (A, B)]
    return one_track(*(encoded(folder, sound, f"a.{name}", *form) for sound, form in zip(sounds, forms, strict=True)))


def _each_second(folder: Path) -> bytes:
    """Cut in seconds that are encoded by turns as mono and as stereo: no word is whole, but for those who hear all of it."""
    pieces = np.array_split(both(), round(len(both()) / RATE))
    return b"".join(
        encoded(folder, wav(piece), "a.mp3", "-ar", 44_100, "-ac", 1 + number % 2)
        for number, piece in enumerate(pieces)
    )
