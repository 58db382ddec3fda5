"""Where bytes are missing among blocks of ADPCM, and what of them is heard."""

import random
import struct
from pathlib import Path

import pytest

from pipeline.audio.access.coded_blocks import cut_blocks
from pipeline.audio.decode import decode
from pipeline.audio.sniff import sniff_file
from tests.pipeline.audio.linear.test_slipped_samples import NOISE, RATE, SPEECH
from tests.pipeline.audio.sounds import ffmpeg, wav

pytestmark = pytest.mark.processes

BLOCK = 1024
FORMS = {
    "ima.wav": ("-c:a", "adpcm_ima_wav"),
    "stereo-ima.wav": ("-c:a", "adpcm_ima_wav", "-ac", "2"),
    "ms.wav": ("-c:a", "adpcm_ms"),
    "stereo-ms.wav": ("-c:a", "adpcm_ms", "-ac", "2"),
    "ima.w64": ("-c:a", "adpcm_ima_wav"),
}


def made(folder: Path, name: str) -> bytes:
    (folder / "source.wav").write_bytes(wav((SPEECH + NOISE).clip(-32_768, 32_767).astype("<i2").tobytes()))
    ffmpeg("-i", folder / "source.wav", *FORMS[name], folder / name)
    return (folder / name).read_bytes()


def found(data: bytes) -> tuple[int, int] | None:
    kind = sniff_file(lambda offset: data[offset : offset + 8192])
    return cut_blocks(lambda at, length: data[at : at + length], kind, len(data))


def clock(data: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """The samples where they are heard, silence in the gaps; and those gaps in samples."""
    placed = bytearray()
    with decode(data) as sound:
        for at, pcm in sound.pieces():
            placed += bytes(max(0, 2 * at - len(placed))) + pcm
    cautions = [*sound.findings.gaps, *sound.findings.warnings]
    return bytes(placed), [(one.start * RATE // 1000, one.end * RATE // 1000) for one in cautions]


@pytest.mark.parametrize("name", FORMS)
def test_what_is_whole_is_heard_at_its_time(tmp_path: Path, name: str) -> None:
    data = made(tmp_path, name)
    whole, _ = clock(data)
    at = len(data) * 2 // 5
    assert found(data[:at] + data[at + 1 :]) is not None
    missing, slack = 10_001, 2 * RATE // 1000  # times are told in milliseconds
    place, count = found(data[:at] + data[at + missing :]) or (0, 0)
    assert count == missing and at <= place < at + BLOCK
    placed, ((begin, end),) = clock(data[:at] + data[at + missing :])
    assert end - begin <= (missing + 3 * BLOCK) / (len(data) - 100) * len(whole) / 2
    assert placed[: 2 * (begin - slack)] == whole[: 2 * (begin - slack)]
    assert placed[2 * (end + slack) :] == whole[2 * (end + slack) :]


@pytest.mark.parametrize("name", FORMS)
def test_what_is_whole_or_was_cut_off_stays_as_it_is(tmp_path: Path, name: str) -> None:
    data = made(tmp_path, name)
    cuts = [random.Random(name).randrange(200, len(data)) for _ in range(100)]
    assert [found(data[:cut]) for cut in (len(data), *cuts)] == [None] * 101


def test_whole_blocks_leave_no_trace(tmp_path: Path) -> None:
    data = made(tmp_path, "ima.wav")
    assert found(data[:20_000] + data[20_000 + 5 * BLOCK :]) is None


@pytest.mark.parametrize("name", ["ima.wav", "ms.wav"])
def test_more_than_its_header_tells_is_heard(tmp_path: Path, name: str) -> None:
    data = made(tmp_path, name)
    at = data.index(b"data") + 4
    told = data[:at] + struct.pack("<I", 20 * BLOCK) + data[at + 4 :]
    assert clock(told)[0] == clock(data)[0]
    with decode(told[: at + 4 + 20 * BLOCK] + random.Random(1).randbytes(20 * BLOCK)) as sound:
        assert sum(map(len, sound))
    assert not [warning for warning in sound.findings.warnings if warning.code == "longer"]
