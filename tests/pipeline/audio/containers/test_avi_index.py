"""An AVI's index against its packets: which are not where it says, and when they would be played."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.audio.containers.avi_index import Absent, absent_packets
from tests.pipeline.audio.sounds import ffmpeg, tones, wav

pytestmark = pytest.mark.processes

SECONDS = 8
KINDS: dict[str, Sequence[str]] = {
    "pcm": ("-c:a", "pcm_s16le", "-ar", "44100"),
    "mulaw": ("-c:a", "pcm_mulaw", "-ar", "8000"),
    "mp3": ("-c:a", "libmp3lame", "-ar", "44100"),
    "ac3": ("-c:a", "ac3", "-ar", "48000"),
}
PICTURE = ("-f", "lavfi", "-i", f"testsrc=s=64x64:r=25:d={SECONDS}")


def made(folder: Path, kind: str, *, film: bool = False) -> bytes:
    (folder / "a.wav").write_bytes(wav(tones(16_000, SECONDS).tobytes()))
    ffmpeg(*(PICTURE if film else ()), "-i", folder / "a.wav", "-c:v", "mpeg4", *KINDS[kind], folder / "a.avi")
    return (folder / "a.avi").read_bytes()


def absent(data: bytes) -> tuple[tuple[Absent, ...], ...]:
    return absent_packets(lambda at, length: data[at : at + length], 0, len(data))


@pytest.mark.parametrize("film", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_of_a_whole_one_nothing_is_absent(tmp_path: Path, kind: str, film: bool) -> None:
    assert absent(made(tmp_path, kind, film=film)) == ()


@pytest.mark.parametrize("film", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_overwritten_is_absent_for_its_time(tmp_path: Path, kind: str, film: bool) -> None:
    data = made(tmp_path, kind, film=film)
    first = data.index(b"movi")
    sound = data.index(b"idx1") - first
    at, length = first + sound // 2, sound // 4
    ((stretch,),) = absent(data[:at] + b"\x55" * length + data[at + length :])
    assert stretch[:2] == pytest.approx((SECONDS / 2, 0.75 * SECONDS), abs=1.2 if film else 0.1)


def test_without_an_index_or_with_that_of_another_file_nothing_is_known(tmp_path: Path) -> None:
    data = made(tmp_path, "pcm")
    at = data.index(b"idx1")
    assert absent(data[:at]) == absent(data[: at + 8] + bytes(len(data) - at - 8)) == ()
    assert absent(data[:40]) == absent(b"") == ()


def test_the_places_of_an_index_may_count_from_the_front_of_the_file(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path, "pcm"))
    index, movie = data.index(b"idx1"), data.index(b"movi")
    for entry in range(index + 8, index + 8 + int.from_bytes(data[index + 4 : index + 8], "little"), 16):
        place = int.from_bytes(data[entry + 8 : entry + 12], "little") + movie
        data[entry + 8 : entry + 12] = place.to_bytes(4, "little")
    assert absent(bytes(data)) == ()
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    assert len(absent(bytes(data))[0]) == 1
