"""Where bytes are missing in a CAF whose packets a table counts."""

from pathlib import Path

import pytest

from pipeline.audio.access.cut_packets import cut_packets
from pipeline.audio.containers.table import CAF, Found
from tests.pipeline.audio.access.test_cut_out import made

pytestmark = pytest.mark.processes

LOSSLESS = ("-c:a", "alac", "-ar", "44100")


def found(data: bytes) -> tuple[int, int] | None:
    return cut_packets(lambda at, length: data[at : at + length], Found(CAF), len(data))


def with_its_table_first(data: bytes) -> bytes:
    sound, table = data.index(b"data"), data.rindex(b"pakt")
    return data[:sound] + data[table:] + data[sound:table]


@pytest.mark.parametrize("is_first", [False, True], ids=["behind", "in front"])
def test_it_is_found_wherever_the_table_stands(tmp_path: Path, is_first: bool) -> None:
    data = made(tmp_path, "a.caf", *LOSSLESS)
    data = with_its_table_first(data) if is_first else data
    begin, end = len(data) // 2, len(data) * 6 // 10
    place, missing = found(data[:begin] + data[end:]) or (0, 0)
    assert missing == end - begin
    assert begin <= place < begin + len(data) // 50, "where the first whole packet follows"


@pytest.mark.parametrize("is_first", [False, True], ids=["behind", "in front"])
def test_of_what_is_whole_or_ends_too_soon_nothing_is_missing_inside(tmp_path: Path, is_first: bool) -> None:
    data = made(tmp_path, "a.caf", *LOSSLESS)
    data = with_its_table_first(data) if is_first else data
    assert [found(data[: len(data) * tenth // 10]) for tenth in range(11)] == [None] * 11


def test_a_table_of_another_sound_is_not_believed(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path, "a.caf", *LOSSLESS))
    at = data.rindex(b"pakt") + 12 + 24
    data[at + 9] ^= 1
    assert found(bytes(data[: len(data) // 2] + data[len(data) * 6 // 10 :])) is None


def test_samples_have_no_table(tmp_path: Path) -> None:
    data = made(tmp_path, "a.caf")
    assert found(data[: len(data) // 2] + data[len(data) * 6 // 10 :]) is None
