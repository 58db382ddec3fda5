"""AC-3, E-AC-3 and DTS by their frames alone."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.containers.surround_frames import surround_frame, surround_sound
from tests.pipeline.audio.sounds import SECONDS, ffmpeg

NAMES = ["bare.ac3", "bare.eac3", "bare.dts"]


def walked(data: bytes) -> tuple[float, int]:
    """(seconds of all frames, where they end)."""
    seconds, at = 0.0, 0
    while (frame := surround_frame(data, at)) is not None:
        seconds, at = seconds + frame[1], at + frame[0]
    return seconds, at


@pytest.mark.parametrize("name", NAMES)
def test_frames_lead_from_the_first_byte_to_the_last(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    found = surround_sound(data)
    assert found and found.name == name.removeprefix("bare.")
    seconds, end = walked(data)
    assert end == len(data)
    assert seconds == pytest.approx(SECONDS, abs=0.04)


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000])
@pytest.mark.parametrize("kbits", [96, 192, 448])
def test_every_rate_of_ac3(recordings: Path, tmp_path: Path, rate: int, kbits: int) -> None:
    ffmpeg("-i", recordings / "original.wav", "-ar", rate, "-b:a", f"{kbits}k", tmp_path / "a.ac3")
    data = (tmp_path / "a.ac3").read_bytes()
    assert walked(data) == (pytest.approx(SECONDS, abs=0.05), len(data))


def test_dts_in_words_of_either_order_and_of_fourteen_bits(recordings: Path, tmp_path: Path) -> None:
    options = [
        "-c:a",
        "dca",
        "-strict",
        "-2",
        "-b:a",
        "1234800",
    ]  # frames of 1792 bytes, which are 1024 words of 14 bits
    ffmpeg("-i", recordings / "original.wav", *options, tmp_path / "a.dts")
    data = (tmp_path / "a.dts").read_bytes()
    assert surround_frame(data, 0) == (1792, pytest.approx(512 / 44_100))
    swapped = struct.pack(f"<{len(data) // 2}H", *struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2]))
    bits = int.from_bytes(data[:14_000], "big")
    count = 14_000 * 8 // 14
    words = [bits >> 14 * (count - 1 - at) & 0x3FFF for at in range(count)]
    signed = [word | (0xC000 if word & 0x2000 else 0) for word in words]
    for form in (swapped, struct.pack(f">{count}H", *signed), struct.pack(f"<{count}H", *signed)):
        found = surround_sound(form)
        assert found and found.name == "dts"


@pytest.mark.parametrize("name", NAMES)
def test_a_lonely_frame_proves_nothing(recordings: Path, name: str) -> None:
    assert surround_sound((recordings / name).read_bytes()[:1000] + bytes(9000)) is None


@given(st.sampled_from([b"", b"\x0b\x77", b"\x7f\xfe\x80\x01", b"\x1f\xff\xe8\x00", b"\x64\x58\x20\x25"]), st.binary())
def test_any_bytes_give_an_answer(sync: bytes, data: bytes) -> None:
    surround_sound((sync + data) * 3)
    frame = surround_frame(sync + data, 0)
    assert frame is None or frame[0] > 0
