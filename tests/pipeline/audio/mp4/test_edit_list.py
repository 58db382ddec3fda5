"""What an MP4's edit list plays, and when: pauses and cuts in the middle, which ffmpeg plays badly, and all that it plays well."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.audio.decode import decode
from tests.pipeline.audio.sounds import ONSETS, SECONDS, ffmpeg, heard, tones, wav
from tests.support.edit_lists import EMPTY, edited

pytestmark = pytest.mark.processes

PRIMING = {"aac": 1024 / 16_000, "alac": 0.0}  # seconds that come before the sound


def listened(data: bytes) -> tuple[list[float], list[tuple[float, float]], float]:
    """Onsets and holes on the clock, in seconds, and how much was decoded."""
    clock = bytearray()
    with decode(data) as sound:
        for at, pcm in sound.pieces():
            clock += bytes(max(0, 2 * at - len(clock))) + pcm
        return (
            heard(bytes(clock)),
            [(gap.start / 1000, gap.end / 1000) for gap in sound.findings.gaps],
            sound.samples / 16_000,
        )


@pytest.mark.parametrize(
    ("edits", "onsets", "holes"),
    [
        ([(2, 0), (3, EMPTY), (2, 2)], [0.5, 1.5, 5.5, 6.5], [(2, 5)]),
        ([(2, 0), (3, EMPTY), (1, 2), (0.5, EMPTY), (1, 3)], [0.5, 1.5, 5.5, 7], [(2, 5)]),
        ([(1, EMPTY), (1, 1), (600, EMPTY), (1, 3)], [1.5, 602.5], [(0, 1), (2, 602)]),
        ([(1.5, EMPTY), (4, 0)], [2, 3, 4, 5], [(0, 1.5)]),
        ([(2, 2)], [0.5, 1.5], []),
        ([(0.7, 0), (0.75, 0.85), (0.35, 1.63), (0.93, 2.07), (0.9, 3.1)], [0.5, 1.35, 2.23, 3.13], []),
    ],
    ids=["a pause", "two", "parts left out, ten minutes of nothing", "a late start", "the second half", "many cuts"],
)
@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_what_is_played_and_when(
    tmp_path: Path,
    codec: str,
    edits: Sequence[tuple[float, float]],
    onsets: list[float],
    holes: list[tuple[float, float]],
) -> None:
    (tmp_path / "a.wav").write_bytes(wav(tones(16_000).tobytes()))
    ffmpeg("-i", tmp_path / "a.wav", "-c:a", codec, tmp_path / "a.m4a")
    meant = [(lasts, begin if begin == EMPTY else begin + PRIMING[codec]) for lasts, begin in edits]
    found, gaps, seconds = listened(edited((tmp_path / "a.m4a").read_bytes(), meant))
    assert found == pytest.approx(onsets, abs=0.02)
    assert gaps == [pytest.approx(hole, abs=0.07) for hole in holes]
    assert seconds <= SECONDS + 0.6 and len(ONSETS) >= len(found), "nothing is heard twice"
