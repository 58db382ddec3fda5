"""Lengths counted frame by frame, against what decoding finds; headers that lie; bytes that are nothing."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.containers.table import AAC, MP3, WAV
from pipeline.audio.decode import decode
from pipeline.audio.duration.exact import container_of, measured, measured_ms
from pipeline.audio.duration.frame_count import Extent
from pipeline.audio.mpeg_frames import mpeg_frame
from pipeline.oracle.speech import generate
from tests.pipeline.audio.sounds import wav
from tests.support.sound_files import encoded

pytestmark = pytest.mark.processes

WHOLE = 2**16  # of a file, in parts of it
FRAME_MS = 75  # the longest frame of any codec here: 1,152 samples at 16 kHz; most are far shorter
MEASURED = {  # what must not need a decoder, because people send it
    "pcm.wav", "float.wav", "lame.mp3", "tagless.mp3", "low.mp3", "layer2.mp3", "music.m4a", "first.m4a", "raw.aac",
    "voice.ogg", "voice.webm", "browser.webm", "music.flac",
}  # fmt: skip
LEFT = {  # what is decoded: no way to be exact and fast, or more than one track
    "lossless.m4a", "phone.3gp", "phone.amr", "vorbis.ogg", "vorbis.webm", "aac.mkv", "pcm.mkv", "apple.aiff",
    "stream.mpeg", "film.mp4", "film.webm", "film.mkv", "pieces.mp4",
}  # fmt: skip
ENCODINGS: dict[str, Sequence[str]] = {
    "mp3": ["-c:a", "libmp3lame", "-b:a", "64k"],
    "vbr.mp3": ["-ar", "44100", "-ac", "2", "-c:a", "libmp3lame", "-q:a", "4", "-write_xing", "0"],
    "aac": ["-c:a", "aac", "-f", "adts"],
    "m4a": ["-c:a", "aac", "-b:a", "48k"],
    "ogg": ["-c:a", "libopus", "-b:a", "24k", "-frame_duration", "60"],
    "webm": ["-c:a", "libopus", "-b:a", "32k"],
    "flac": ["-c:a", "flac"],
    "wav": [],
}


def decoded_ms(data: bytes) -> float:
    with decode(data) as sound:
        for _ in sound:
            pass
    return sound.samples / 16


@pytest.fixture(scope="module")
def speech() -> bytes:
    return b"".join(block for block, _ in generate(seconds=7.3, style="natural", seed=3))


@pytest.fixture(scope="module")
def files(speech: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("measured")
    return {name: encoded(speech, folder / f"sound.{name}", options) for name, options in ENCODINGS.items()}


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_every_container_is_as_long_as_its_decoded_sound(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    found = measured_ms(data)
    assert found is not None
    assert abs(found - decoded_ms(data)) <= 27  # a frame at 44.1 kHz


@pytest.mark.parametrize("name", sorted(LEFT))
def test_what_cannot_be_measured_is_left_to_the_decoder(recordings: Path, name: str) -> None:
    assert measured_ms((recordings / name).read_bytes()) is None


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_speech_is_measured_and_lively(files: dict[str, bytes], name: str) -> None:
    data = files[name]
    container = container_of(data)
    assert container
    extent = measured(data, container)
    assert extent and extent.lively
    assert abs(extent.ms - decoded_ms(data)) <= FRAME_MS


@pytest.mark.parametrize("name", sorted(ENCODINGS))
@pytest.mark.parametrize("sound", ["silence", "noise"])
def test_silence_and_steady_noise_are_not_shown_to_be_speech(name: str, sound: str, tmp_path: Path) -> None:
    if sound == "noise" and name in ("mp3", "aac", "m4a"):
        sound = "silence"  # at a constant rate the gain moves without need: see pipeline.audio.duration.frame_count
    noise = np.random.default_rng(1).normal(0, 300, 16_000 * 5).astype("<i2").tobytes()
    data = encoded(bytes(2 * 16_000 * 5) if sound == "silence" else noise, tmp_path / f"sound.{name}", ENCODINGS[name])
    container = container_of(data)
    assert container
    extent = measured(data, container)
    assert extent and not extent.lively


def test_a_forged_year_in_ogg_does_not_pass(files: dict[str, bytes]) -> None:
    data = bytearray(files["ogg"])
    last = data.rindex(b"OggS")
    struct.pack_into("<Q", data, last + 6, 365 * 86_400 * 48_000)
    assert measured_ms(bytes(data)) is None
    struct.pack_into("<Q", data, last + 6, 400)  # and none that would make it cheap
    assert measured_ms(bytes(data)) is None


def test_the_count_of_a_xing_tag_is_not_believed(files: dict[str, bytes]) -> None:
    data = bytearray(files["mp3"])
    tag = max(data.find(b"Xing"), data.find(b"Info"))
    assert tag > 0
    before = measured_ms(bytes(data))
    struct.pack_into(">I", data, tag + 8, 5_000_000)
    assert measured_ms(bytes(data)) == before
    half = bytes(data[: len(data) // 2])
    found = measured_ms(half)
    assert found and abs(found - decoded_ms(half)) <= 2 * FRAME_MS


def test_wav_sizes_that_lie(files: dict[str, bytes]) -> None:
    sound = bytes(2 * 16_000 * 3)
    assert measured_ms(wav(sound, data_size=0xFFFFFFF0)) == 3000  # "4 GB": only what is there
    assert measured_ms(wav(sound, data_size=0xFFFFFFFF)) == 3000  # a stream
    assert measured_ms(wav(sound, data_size=2 * 16_000)) is None  # a reader stops there, but what follows may be sound
    assert measured_ms(wav(sound, sample_rate=1)) is None  # 27 hours
    assert measured_ms(wav(sound, channels=65_535)) is None


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
def test_floats_that_are_no_loudness_are_measured(value: float) -> None:
    """All warnings are errors here."""
    sound = np.full(16_000, value, "<f4")
    sound[::2] *= -1
    data = bytearray(wav(sound.tobytes(), sample_rate=16_000))
    struct.pack_into("<HHIIHH", data, 20, 3, 1, 16_000, 64_000, 4, 32)
    found = measured(bytes(data), WAV)
    assert found is not None and found.samples == 16_000


def test_flac_whose_header_lies(files: dict[str, bytes]) -> None:
    data = bytearray(files["flac"])
    packed = int.from_bytes(data[18:26], "big")
    for samples in (1000, 16_000 * 3600):
        data[18:26] = (packed >> 36 << 36 | samples).to_bytes(8, "big")
        assert measured_ms(bytes(data)) is None
    data[18:26] = (packed >> 36 << 36).to_bytes(8, "big")  # an encoder that streams does not know it
    assert measured_ms(bytes(data)) == measured_ms(files["flac"])


def test_mp4_whose_tables_lie(files: dict[str, bytes]) -> None:
    original = files["m4a"]
    times = original.index(b"stts") + 4
    count, each = struct.unpack_from(">II", original, times + 8)
    for forged in ((count, 1), (count, each * 10_000), (1, each)):
        data = bytearray(original)
        struct.pack_into(">II", data, times + 8, *forged)
        assert measured_ms(bytes(data)) is None
    sizes = bytearray(original)
    struct.pack_into(">I", sizes, original.index(b"stsz") + 16, 0x7FFFFFFF)  # more than there is
    assert measured_ms(bytes(sizes)) is None


def test_webm_whose_times_lie(files: dict[str, bytes]) -> None:
    data = bytearray(files["webm"])
    last = data.rindex(b"\xa3", 0, len(data) - 100)
    places = [at for at in range(len(data) - 5) if data[at] == 0xA3 and data[at + 3 : at + 4] == b"\x81"] or [last]
    struct.pack_into(">h", data, places[-1] + 4, 32_000)
    assert measured_ms(bytes(data)) is None


@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "webm", "m4a"])
def test_joined_recordings_are_not_measured_by_the_first(files: dict[str, bytes], name: str) -> None:
    assert measured_ms(files[name] + files[name]) is None


def extent_of(data: bytes) -> Extent | None:
    container = container_of(data)
    return measured(data, container) if container else None


def plain(data: bytes) -> bool:
    found = extent_of(data)
    return found is not None and found.plain


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_what_is_plain_is_proved_by_headers(files: dict[str, bytes], name: str) -> None:
    """AAC in MP4 has no header for a frame; the other mp3 has two channels, which are not compared."""
    assert plain(files[name]) == (name not in ("m4a", "vbr.mp3"))


@settings(max_examples=60)
@given(name=st.sampled_from(["flac", "ogg"]), at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_any_changed_byte_is_seen_where_there_are_checksums(
    files: dict[str, bytes], name: str, at: float, change: int
) -> None:
    data = bytearray(files[name])
    begin = data.index(b"\xff\xf8") if name == "flac" else 0
    data[begin + int(at * (len(data) - begin))] ^= change
    assert not plain(bytes(data))


@settings(max_examples=60)
@given(name=st.sampled_from(["mp3", "aac", "flac", "ogg", "webm", "wav"]), kept=st.floats(0.01, 0.999))
def test_a_file_that_was_cut_is_not_plain(files: dict[str, bytes], name: str, kept: float) -> None:
    """Bare AAC that was cut between two frames would be."""
    data = files[name][: int(kept * len(files[name]))]
    assert not plain(data) or (name == "aac" and measured(data, AAC))


def test_webm_that_was_cut_between_two_blocks_is_not_plain(files: dict[str, bytes]) -> None:
    data = files["webm"]
    blocks = [at for at in range(len(data)) if data[at] == 0xA3]  # where a block may begin
    assert len(blocks) > 100
    assert not any(plain(data[:at]) for at in blocks)


@settings(max_examples=60)
@given(at=st.floats(0.05, 0.95), size=st.integers(600, 5000), seed=st.integers(0, 2**16))
def test_mp3_that_was_overwritten_is_not_plain(files: dict[str, bytes], at: float, size: int, seed: int) -> None:
    """More than a frame of it: two headers, or what a frame says of the room it uses, do not survive."""
    data = bytearray(files["mp3"])
    begin = int(at * (len(data) - size))
    data[begin : begin + size] = np.random.default_rng(seed).bytes(size)
    assert not plain(bytes(data))


def test_mp3_with_checksums() -> None:
    """Frames of silence: 32 kbit/s at 44.1 kHz, one channel, a checksum behind the header."""
    header = b"\xff\xfa\x10\xc0"
    kind = mpeg_frame(header)
    assert kind and kind.checked and kind.mono
    crc = 0xFFFF
    for byte in header[2:] + bytes(17):
        for bit in range(7, -1, -1):
            crc = (crc << 1 & 0xFFFF) ^ (0x8005 if (crc >> 15) ^ (byte >> bit & 1) else 0)
    frame = (header + crc.to_bytes(2, "big")).ljust(kind.length, b"\0")
    assert plain(frame * 20)
    assert not plain(frame * 10 + header + b"\0\0" + frame[6:] + frame * 9)


def test_tags_are_not_sound(files: dict[str, bytes]) -> None:
    plain = measured_ms(files["mp3"])
    tag = b"ID3\x04\0\0\0\0\x0f\x7f" + bytes(15 * 128 + 127)
    assert measured_ms(tag + files["mp3"] + b"TAG" + bytes(125)) == plain
    assert measured_ms(files["mp3"] + b"something else entirely, that is no frame") is None


def test_frames_of_another_kind_are_not_counted(files: dict[str, bytes]) -> None:
    """Two streams one after the other: a decoder may play both, so nothing is said."""
    assert measured_ms(files["mp3"] + files["vbr.mp3"]) is None


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(ENCODINGS)),
    kept=st.integers(0, WHOLE),
    damage=st.lists(st.tuples(st.integers(0, 3999), st.integers(0, 255)), max_size=5),
)
def test_truncated_and_damaged_files_never_raise(
    files: dict[str, bytes], name: str, kept: int, damage: list[tuple[int, int]]
) -> None:
    """What is drawn does not depend on the files: an encoder may write another one each time. Seven samples are 0 ms."""
    damaged = bytearray(files[name][: len(files[name]) * kept // WHOLE])
    for at, value in damage:
        if damaged:
            damaged[at % len(damaged)] = value
    container = container_of(bytes(damaged))
    extent = measured(bytes(damaged), container) if container else None
    assert extent is None or (extent.samples > 0 and extent.ms < 24 * 3_600_000)
    assert measured_ms(bytes(damaged)) == (extent and extent.ms)


@settings(max_examples=150)
@given(
    st.sampled_from([b"fLaC", b"OggS\0\2", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18ftypM4A ", b"\x1a\x45\xdf\xa3", b""]),
    st.binary(),
)
def test_garbage_never_raises(start: bytes, rest: bytes) -> None:
    found = measured_ms(start + rest)
    assert found is None or found > 0
    assert measured(start + rest, MP3) is None or measured(start + rest, WAV) is None
