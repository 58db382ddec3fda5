"""WAV and Wave64 of which damage has hit one bit of the format chunk: heard as they are, and told; or refused."""

import struct
from pathlib import Path

import pytest

from pipeline.audio.containers.table import WAV
from pipeline.audio.containers.wav_layout import sample_layout, wrong_field
from pipeline.audio.decode import decode
from pipeline.audio.duration.estimate import estimate
from pipeline.audio.duration.exact import measured_ms
from pipeline.errors import UnsupportedMedia
from tests.pipeline.audio.sounds import CONTAINERS, ONSETS, SECONDS, ffmpeg, heard, tones, wav

FORMS: dict[str, tuple[str, ...]] = {
    "a.wav": (),
    "stereo.wav": ("-ac", "2"),
    "extensible.wav": ("-c:a", "pcm_s24le"),
    "float.wav": ("-c:a", "pcm_f32le"),
    "8.wav": ("-c:a", "pcm_u8"),
    "microsoft.wav": ("-c:a", "adpcm_ms"),
    "ima.wav": ("-c:a", "adpcm_ima_wav"),
    "a.w64": (),
}
FORM = struct.Struct("<HHIIHH")
RATES = {
    16_000: False,
    22_254: False,
    11_127: False,
    12_300: False,
    11_904: True,
    16_512: True,
}  # and whether nobody makes them
RATE_AT = 4  # bytes of the format chunk
NOBODY_CAN_TELL = {("float.wav", 1), ("8.wav", 1), ("8.wav", 2)}  # of which of two kinds the samples are


def made(folder: Path, name: str) -> tuple[bytes, int]:
    """A recording, and where its format chunk begins."""
    (folder / "source.wav").write_bytes(wav(tones(16_000).tobytes()))
    ffmpeg("-i", folder / "source.wav", *FORMS[name], folder / name)
    data = (folder / name).read_bytes()
    return data, data.index(struct.pack("<I", 16_000)) - RATE_AT


def flipped(data: bytes, place: int, bit: int) -> bytes:
    torn = bytearray(data)
    torn[place + bit // 8] ^= 1 << bit % 8
    return bytes(torn)


@pytest.mark.processes
@pytest.mark.parametrize("name", FORMS)
def test_no_bit_of_the_format_changes_what_is_heard(tmp_path: Path, name: str) -> None:
    data, place = made(tmp_path, name)
    for bit in range(0, 8 * FORM.size, 3):  # every bit is of its kind; a third of them is enough to see it
        torn = flipped(data, place, bit)
        try:
            with decode(torn) as sound:
                pcm = b"".join(sound)
        except UnsupportedMedia:
            assert (name, bit) in NOBODY_CAN_TELL
            continue
        told = [(caution.code, caution.lost) for caution in sound.findings.warnings]
        assert (name, bit) in NOBODY_CAN_TELL or heard(pcm) == pytest.approx(ONSETS, abs=0.01), bit
        assert told in ([], [("damaged", False)]), bit
        assert not told or estimate(torn, b"", len(torn)) == estimate(data, b"", len(data)), bit
        assert not told or measured_ms(torn) is None, "nobody who knows less is given it as it is"


@pytest.mark.parametrize("a_second", [0, 16_000, 44_100, 64_000, 1, 0xFFFFFFFF])
def test_of_bytes_a_second_that_a_writer_got_wrong_nobody_is_told(a_second: int) -> None:
    data = bytearray(wav(tones(16_000).tobytes()))
    data[28:32] = a_second.to_bytes(4, "little")
    with decode(bytes(data)) as sound:
        assert heard(b"".join(sound)) == pytest.approx(ONSETS, abs=0.003)
    assert not sound.findings.warnings
    assert estimate(bytes(data), b"", len(data)).ms == SECONDS * 1000


@pytest.mark.parametrize("rate", [11_127, 22_255, 15_999, 13_700])
def test_a_strange_rate_is_one_where_nothing_contradicts_it(rate: int) -> None:
    layout = sample_layout(FORM.pack(1, 1, rate, 2 * rate, 2, 16))
    assert layout
    assert (layout.rate, layout.is_mended) == (rate, False)


@pytest.mark.processes
@pytest.mark.parametrize("name", ["a.au", "a.caf", "a.aiff"])
def test_a_rate_that_nobody_makes_is_told_where_it_is_told_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "source.wav").write_bytes(wav(tones(16_000).tobytes()))
    for rate, is_told in RATES.items():
        ffmpeg("-i", tmp_path / "source.wav", "-ar", rate, tmp_path / name)
        with decode(tmp_path / name) as sound:
            assert b"".join(sound)
        assert bool([one for one in sound.findings.warnings if one.lost]) == is_told, rate


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name.endswith((".wav", ".w64"))])
def test_whole_ones_of_all_kinds_are_left_as_they_are(recordings: Path, name: str) -> None:
    with decode(recordings / name) as sound:
        assert len(heard(b"".join(sound))) == len(ONSETS)
    assert not sound.findings.warnings


@pytest.mark.parametrize(
    "numbers",
    [  # kind, channels, rate, bytes a second and a block, bits, samples of a block
        (1, 65_535, 16_000, 2_097_120_000, 0, 16, 0),
        (2, 8, 8_000, 32_000, 0, 4, 65_535),
        (17, 8, 8_000, 32_001, 1, 4, 65_535),
    ],
)
def test_a_block_longer_than_its_field_is_nobodys(numbers: tuple[int, ...]) -> None:
    form = struct.pack("<HHIIHHHH", *numbers[:-1], 2, numbers[-1])
    data = b"RIFF" + struct.pack("<I", 4_000) + b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data"
    data += struct.pack("<I", 3_000) + bytes(3_000)
    assert wrong_field(lambda at, length: data[at : at + length], 0, len(data), WAV) is None
