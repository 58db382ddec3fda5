"""Whatever stands in the header of a file with samples, and wherever it ends: it is looked at, and nothing is raised."""

import random
from pathlib import Path

import pytest

from pipeline.audio.access.coded_blocks import cut_blocks, told_too_few
from pipeline.audio.access.cut_packets import cut_packets
from pipeline.audio.containers.table import AIFF, AU, CAF, W64, WAV, Container, Found
from pipeline.audio.linear.slipped_samples import slipped_samples
from pipeline.audio.linear.stale_length import told_too_short
from tests.pipeline.audio.linear.test_slipped_samples import NOISE, SPEECH
from tests.pipeline.audio.sounds import ffmpeg, wav

pytestmark = pytest.mark.processes

FILES: dict[str, tuple[Container, tuple[str, ...]]] = {
    "a.wav": (WAV, ("-c:a", "pcm_s24le")),
    "ima.wav": (WAV, ("-c:a", "adpcm_ima_wav")),
    "ms.w64": (W64, ("-c:a", "adpcm_ms")),
    "a.w64": (W64, ()),
    "a.aiff": (AIFF, ()),
    "a.au": (AU, ()),
    "a.caf": (CAF, ()),
    "lossless.caf": (CAF, ("-c:a", "alac")),
}
ROUNDS = 150


def torn(data: bytes, chance: random.Random) -> bytes:
    left = bytearray(data[: chance.choice([len(data), chance.randrange(40, len(data))])])
    for _ in range(chance.randrange(6)):
        left[chance.randrange(min(len(left), 120))] = chance.choice([0, 1, 2, 255, chance.randrange(256)])
    at = chance.randrange(len(left))
    left = left[:at] + left[at + chance.choice([0, chance.randrange(5000)]) :]
    return bytes(left) + chance.choice([b"", chance.randbytes(3000)])


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_raised_and_no_place_is_outside(tmp_path: Path, name: str) -> None:
    container, options = FILES[name]
    (tmp_path / "source.wav").write_bytes(wav((SPEECH + NOISE)[:30_000].clip(-32_768, 32_767).astype("<i2").tobytes()))
    ffmpeg("-i", tmp_path / "source.wav", *options, tmp_path / name)
    whole, chance = (tmp_path / name).read_bytes(), random.Random(name)
    for data in [torn(whole, chance) for _ in range(ROUNDS)]:

        def read(at: int, length: int, data: bytes = data) -> bytes:
            assert at >= 0 <= length
            return data[at : at + length]

        found, size = Found(container), len(data)
        one = [missing for search in (cut_blocks, cut_packets) if (missing := search(read, found, size))]
        for place, count in (*one, *slipped_samples(read, found, size)):
            assert 0 < place <= size and count > 0
        ends = [second for told in (told_too_short, told_too_few) if (second := told(read, found, size)) is not None]
        assert all(second >= 0 for second in ends)
