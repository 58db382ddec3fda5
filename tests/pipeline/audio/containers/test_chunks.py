"""Chunks before the sound that have an odd length, with the byte that makes it even, and without it."""

import struct
from pathlib import Path

import pytest

from pipeline.audio.containers.chunks import unpadded
from pipeline.audio.containers.table import AIFF, WAV, Container
from pipeline.audio.decode import decode
from tests.pipeline.audio.sounds import ffmpeg, tones, wav

TITLE = b"INFOINAM" + struct.pack("<I", 5) + b"voice"
FORMS: dict[str, tuple[str, ...]] = {"wav": (), "adpcm.wav": ("-c:a", "adpcm_ima_wav"), "aiff": ()}


def chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    """Without a byte behind an odd length."""
    return name + struct.pack(f"{order}I", len(content)) + content


def missing(data: bytes, container: Container) -> list[int]:
    return unpadded(lambda at, length: data[at : at + length], 0, len(data), container)


def between(data: bytes, mark: bytes, more: bytes) -> bytes:
    at = data.index(mark)
    return data[:at] + more + data[at:]


@pytest.mark.parametrize("last", range(256))
def test_where_it_is_missing_the_next_chunk_begins(last: int) -> None:
    """Whatever the lengths behind it look like."""
    plain = wav(bytes(2 * last + 2))
    odd = chunk(b"LIST", TITLE)
    at = plain.index(b"data")
    assert missing(between(plain, b"data", odd), WAV) == [at + len(odd)]
    assert missing(between(plain, b"data", odd + b"\0"), WAV) == []
    assert missing(between(plain, b"data", odd + odd), WAV) == [at + len(odd), at + 2 * len(odd)]
    assert missing(plain, WAV) == []


def test_what_is_no_chunk_either_way_is_left_as_it_is() -> None:
    data = between(wav(bytes(100)), b"data", chunk(b"LIST", TITLE) + b"words of nobody")
    assert missing(data[: data.index(b"data")], WAV) == []


@pytest.mark.processes
@pytest.mark.parametrize("form", FORMS)
def test_it_is_heard_as_the_same_file_without_that_chunk(tmp_path: Path, form: str) -> None:
    (tmp_path / "source.wav").write_bytes(wav(tones(16_000).tobytes()))
    made = tmp_path / f"a.{form}"
    ffmpeg("-i", tmp_path / "source.wav", *FORMS[form], made)
    data = made.read_bytes()
    mark, odd = (b"SSND", chunk(b"NAME", b"voice", ">")) if form == "aiff" else (b"data", chunk(b"LIST", TITLE))
    with decode(data) as sound:
        samples = b"".join(sound)
    with decode(between(data, mark, odd)) as sound:
        assert b"".join(sound) == samples
    assert not sound.findings.warnings and not sound.findings.gaps


def test_an_aiff_forgets_it_as_well() -> None:
    odd = chunk(b"NAME", b"voice", ">")
    data = b"FORM\0\0\0\0AIFF" + odd + chunk(b"COMM", bytes(18), ">") + chunk(b"SSND", bytes(100), ">")
    assert missing(data, AIFF) == [12 + len(odd)]
