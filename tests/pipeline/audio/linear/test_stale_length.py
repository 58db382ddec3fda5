"""Samples whose header tells less than there is: what follows is heard where it is sound of the same kind, and nothing else is."""

import random
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.containers.table import AIFF, AU, CAF, W64, WAV, Container, Found
from pipeline.audio.decode import decode
from pipeline.audio.linear.stale_length import longer, told_too_short
from tests.pipeline.audio.linear.test_slipped_samples import NOISE, RATE, SPEECH
from tests.pipeline.audio.sounds import ffmpeg, wav

SAMPLES = (SPEECH + NOISE).clip(-32_768, 32_767).astype("<i2")
TOLD = 44 + len(SAMPLES) // 2 * 2  # the first byte behind what the header tells
FORMS = {
    "16": ("-c:a", "pcm_s16le"),
    "24": ("-c:a", "pcm_s24le"),
    "stereo": ("-c:a", "pcm_s24le", "-ac", "2"),
    "float": ("-c:a", "pcm_f32le"),
    "long": ("-c:a", "pcm_s16le", "-rf64", "always"),
    "8": ("-c:a", "pcm_u8", "-ac", "2"),
    "law": ("-c:a", "pcm_mulaw"),
}


def ends(data: bytes) -> float | None:
    return told_too_short(partial(part, data), Found(WAV), len(data))


def told(data: bytes, count: int) -> bytes:
    """With another length in its header."""
    at = data.index(b"data") + 4
    if data.startswith(b"RF64"):
        return data[:28] + struct.pack("<Q", count) + data[36:]
    return data[:at] + struct.pack("<I", count) + data[at + 4 :]


@pytest.mark.processes
@pytest.mark.parametrize("form", FORMS)
def test_all_of_it_is_heard_and_told_where_the_header_ends_it(tmp_path: Path, form: str) -> None:
    (tmp_path / "source.raw").write_bytes(((SPEECH + NOISE) / 32_768).astype("<f4").tobytes())
    ffmpeg("-f", "f32le", "-ar", RATE, "-ac", 1, "-i", tmp_path / "source.raw", *FORMS[form], tmp_path / "a.wav")
    data = (tmp_path / "a.wav").read_bytes()
    with decode(data) as whole:
        samples = b"".join(whole)
    half = (len(data) - data.index(b"data") - 8) // 2 // 12 * 12
    with decode(told(data, half)) as sound:
        assert b"".join(sound) == samples
    (warning,) = sound.findings.warnings
    assert (warning.code, warning.lost) == ("longer", False)
    assert warning.start == pytest.approx(len(samples) / 2 / RATE / 2 * 1000, abs=2)


def fields(data: bytes, name: str) -> tuple[str, int, int, int]:
    """How the length of the sound is written, where, where it counts from, and what it counts besides."""
    if name == "w64":
        at = data.index(b"data\xf3\xac")
        return "<Q", at + 16, at + 24, 24
    if name == "au":
        return ">I", 8, int.from_bytes(data[4:8], "big"), 0
    at = data.index(b"SSND" if name == "aiff" else b"data")
    return (">I", at + 4, at + 8, 0) if name == "aiff" else (">Q", at + 4, at + 12, 0)


def cut_short(data: bytes, name: str, share: float) -> bytes:
    """The same file, whose header tells of a part of it."""
    layout, at, start, besides = fields(data, name)
    inside = {"aiff": 8, "caf": 4}.get(name, 0)
    count = int((len(data) - start) * share) // 12 * 12
    written = struct.pack(layout, count + besides + (inside if count or name != "aiff" else 0))
    changed = data[:at] + written + data[at + len(written) :]
    if name == "aiff":
        form = changed.index(b"COMM") + 8
        changed = changed[: form + 2] + struct.pack(">I", count // 2) + changed[form + 6 :]
    return changed


RELATIVES = {"w64": "pcm_s16le", "aiff": "pcm_s16be", "caf": "pcm_s16le", "au": "pcm_s16be"}
HELD: dict[str, Container] = {"w64": W64, "aiff": AIFF, "caf": CAF, "au": AU}


def encoded(folder: Path, name: str, codec: str = "", *options: str) -> bytes:
    (folder / "source.raw").write_bytes(SAMPLES.tobytes())
    made, codec = folder / f"a.{name}", codec or RELATIVES[name]
    ffmpeg("-y", "-f", "s16le", "-ar", RATE, "-ac", 1, "-i", folder / "source.raw", "-c:a", codec, *options, made)
    return made.read_bytes()


@pytest.mark.processes
@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("name", RELATIVES)
def test_so_it_is_with_the_relatives_of_wav(tmp_path: Path, name: str, share: float) -> None:
    """Also with another recording behind it. A header that tells of no sound at all is one of a stream."""
    data = encoded(tmp_path, name)
    with decode(data) as whole:
        samples = b"".join(whole)
    assert not whole.findings.warnings
    with decode(cut_short(data, name, share) + data) as sound:
        assert b"".join(sound) == 2 * samples
    told = [(warning.code, warning.lost) for warning in sound.findings.warnings]
    assert told == ([("longer", False)] if share else [])


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "codec"), [("w64", "pcm_mulaw"), ("aiff", "pcm_alaw"), ("caf", "pcm_s8"), ("au", "pcm_mulaw")]
)
def test_and_with_samples_of_a_byte(tmp_path: Path, name: str, codec: str) -> None:
    data = encoded(tmp_path, name, codec)
    with decode(data) as whole:
        samples = b"".join(whole)
    with decode(cut_short(data, name, 0.5)) as sound:
        assert b"".join(sound) == samples
    assert [warning.code for warning in sound.findings.warnings] == ["longer"]


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "codec"), [("aiff", "pcm_alaw"), ("caf", "pcm_alaw"), ("w64", ""), ("au", ""), ("w64", "pcm_s24le")]
)
def test_so_it_is_where_too_little_precedes_the_end_to_be_judged(tmp_path: Path, name: str, codec: str) -> None:
    """Silence, and a moment of speech."""
    data = encoded(tmp_path, name, codec)
    with decode(data) as whole:
        samples = b"".join(whole)
    with decode(cut_short(data, name, 0.04)) as sound:
        assert b"".join(sound) == samples
    assert [warning.code for warning in sound.findings.warnings] == ["longer"]


@pytest.mark.processes
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_mulaw"])
def test_of_64_bits_that_tell_nothing_all_is_heard(tmp_path: Path, codec: str) -> None:
    """As a recorder leaves them that was switched off before it could go back."""
    data = encoded(tmp_path, "wav", codec, "-rf64", "always")
    with decode(data) as whole:
        samples = b"".join(whole)
    with decode(told(data, 0)) as sound:
        assert b"".join(sound) == samples
    with decode(told(data, 2 * len(data))) as longer_told:
        assert b"".join(longer_told) == samples
    (warning,) = longer_told.findings.warnings
    assert not sound.findings.warnings and not sound.findings.gaps
    assert warning.code == "truncated" and warning.end < 3 * len(samples) / 2 / RATE * 1000


@pytest.mark.processes
@pytest.mark.parametrize("name", ["aiff", "au"])
@pytest.mark.parametrize("length", [0x7F000000, 0x7FFFF000, 0x7FFFFFFF, 0x80000000])
def test_the_largest_length_that_there_is_tells_nothing(tmp_path: Path, name: str, length: int) -> None:
    """A writer that cannot go back leaves it, and says of none that it is cut off."""
    data = encoded(tmp_path, name)
    with decode(data) as whole:
        samples = b"".join(whole)
    layout, at, _, _ = fields(data, name)
    with decode(data[:at] + struct.pack(layout, length) + data[at + 4 :]) as sound:
        assert b"".join(sound) == samples
    assert not sound.findings.warnings and not sound.findings.gaps


@pytest.mark.processes
def test_what_is_told_to_be_unread_is_not_heard(tmp_path: Path) -> None:
    """Of an AU a decoder would read all that is there."""
    data = encoded(tmp_path, "au")
    with decode(data) as whole:
        samples = b"".join(whole)
    with decode(data + OTHERS["noise"]) as sound:
        assert b"".join(sound) == samples
    assert [warning.code for warning in sound.findings.warnings] == ["unread"]


@pytest.mark.processes
@pytest.mark.parametrize("name", RELATIVES)
def test_of_the_relatives_nothing_else_is_taken_for_sound(tmp_path: Path, name: str) -> None:
    whole, asked = encoded(tmp_path, name), list[int]()
    for other in ("nothing", "noise", "what was packed", "text"):
        data = whole + OTHERS[other]
        assert longer(partial(part, data), Found(HELD[name]), len(data), partial(asked_for, asked, len(data))) is None
    assert len(asked) == 3, "of a whole file nobody looks how far it goes"


def asked_for(asked: list[int], size: int) -> int:
    asked.append(size)
    return size


def part(data: bytes, at: int, length: int) -> bytes:
    return data[at : at + length]


OTHERS = {
    "nothing": b"",
    "noise": random.Random(1).randbytes(60_000),
    "what was packed": zlib.compress(random.Random(1).randbytes(40_000) + SAMPLES[:20_000].tobytes()),
    "text": "".join(random.Random(1).choices("abcdefghij klmno\n", k=60_000)).encode(),
    "silence": bytes(60_000),
    "a chunk of the same sound": b"junk" + struct.pack("<I", 60_000) + SAMPLES[:30_000].tobytes(),
    "samples of other bytes": SAMPLES[:30_000].astype(">i2").tobytes(),
    "few samples": SAMPLES[:1_500].tobytes(),
}


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_is_taken_for_sound(name: str) -> None:
    assert ends(wav(SAMPLES.tobytes()) + OTHERS[name]) is None


@pytest.mark.processes
@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_mulaw"])
def test_nothing_else_is_taken_for_samples_of_a_byte(tmp_path: Path, codec: str) -> None:
    whole = encoded(tmp_path, "wav", codec)
    assert [name for name, other in OTHERS.items() if ends(whole + other) is not None] == []


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("width", [1, 2])
def test_nor_where_nothing_is_heard_before_it(name: str, width: int) -> None:
    data = bytearray(wav(bytes(30_000)) + OTHERS[name])
    data[34:36], data[32:34], data[28:32] = bytes([8 * width, 0]), bytes([width, 0]), struct.pack("<I", width * RATE)
    assert ends(bytes(data)) is None or (name, width) == ("few samples", 2)  # which are sound


def test_nobody_knows_of_bytes_that_are_samples_by_themselves() -> None:
    data = bytearray(wav(np.zeros(30_000, "<i2").tobytes()) + SAMPLES.tobytes())
    data[34:36], data[32:34], data[28:32] = b"\x08\0", b"\x01\0", struct.pack("<I", RATE)
    assert ends(bytes(data)) is None


def test_what_is_whole_is_not_looked_into() -> None:
    reads, data = list[int](), wav(SAMPLES.tobytes())

    def read(at: int, length: int) -> bytes:
        reads.append(length)
        return data[at : at + length]

    assert told_too_short(read, Found(WAV), len(data)) is None
    assert sum(reads) < 200
