"""An MP4 in whose index bytes are wrong is refused as damaged, or what it may lack is told; what is only timed wrongly is heard."""

import random
import struct
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.decode import decode
from pipeline.audio.mp4.contradictions import Contradictions, contradictions
from pipeline.errors import DamagedMedia
from tests.pipeline.audio.clock.test_random_damage import FRONT, outside, recorded, spoken, told
from tests.pipeline.audio.clock.test_random_recordings import NEAR, hear
from tests.pipeline.audio.sounds import ffmpeg, wav

pytestmark = pytest.mark.processes

TABLES = (b"stts", b"stsz", b"stsc", b"stco")
SAMPLES = 16_000
WHOLE: Mapping[str, Sequence[str]] = {
    "aac.m4a": ("-c:a", "aac"),
    "trimmed.m4a": ("-ss", "0.7", "-c:a", "aac"),
    "opus.mp4": ("-c:a", "libopus"),
    "pcm.mov": ("-c:a", "pcm_s16le", "-movflags", "faststart"),
    "amr.3gp": ("-c:a", "libopencore_amrnb", "-ar", "8000"),
    "pieces.mp4": ("-c:a", "aac", "-movflags", "empty_moov", "-frag_duration", "250000"),
}


def made(folder: Path, name: str, options: Sequence[str]) -> bytes:
    (folder / "source.wav").write_bytes(
        wav(np.random.default_rng(1).normal(0, 2000, 2 * SAMPLES).astype("<i2").tobytes())
    )
    ffmpeg("-i", folder / "source.wav", *options, folder / name)
    return (folder / name).read_bytes()


def found_in(data: bytes) -> tuple[Contradictions | None, ...]:
    return contradictions(lambda at, length: data[at : at + length], 0, len(data))


def changed(data: bytes, table: bytes, at: int, new: bytes) -> bytes:
    """With other bytes behind the flags of its only table of that name."""
    place = data.index(table, data.index(b"moov")) + 8 + at
    return data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize("name", WHOLE)
def test_none_in_what_is_whole(tmp_path: Path, name: str) -> None:
    assert found_in(made(tmp_path, name, WHOLE[name])) == ()


def test_none_in_what_is_more_than_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(tmp_path, "aac.m4a", WHOLE["aac.m4a"])
    damaged = changed(whole, b"stco", 4, b"\xff\xff\xff\xff")
    assert found_in(damaged) != ()
    monkeypatch.setattr("pipeline.audio.mp4.sample_table._LONGEST_SIZES", 40)
    assert found_in(damaged) == ()


def test_the_sizes_of_millions_of_samples_are_not_copied(tmp_path: Path) -> None:
    """Of an index of 24 MB, as it fits into an upload: as bytes, and what a few chunks need."""
    samples = 6_000_000
    whole = made(tmp_path, "aac.m4a", WHOLE["aac.m4a"])
    place = whole.index(b"stsz", whole.index(b"moov")) - 4
    sizes = struct.pack(">I4sIII", 20 + 4 * samples, b"stsz", 0, 0, samples) + struct.pack(">I", 1) * samples
    old = int.from_bytes(whole[place : place + 4], "big")
    data = bytearray(whole[:place] + sizes + whole[place + old :])
    for holder in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        at = whole.index(holder, whole.index(b"moov")) - 4
        grown = int.from_bytes(whole[at : at + 4], "big") + len(sizes) - old
        data[at : at + 4] = grown.to_bytes(4, "big")
    tracemalloc.start()
    try:
        assert contradictions(lambda at, length: bytes(data[at : at + length]), 0, len(data)) != ()
        assert tracemalloc.get_traced_memory()[1] < 70_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("table", "at", "new", "of"),
    [
        (b"stts", 0, bytes(4), "times"),
        (b"stts", 8, struct.pack(">I", 1100), "times"),
        (b"stsz", 20, bytes(4), "bytes"),
        (b"stsz", 20, b"\xff" * 4, "bytes"),
        (b"stsc", 0, b"\0\1\0\0", "bytes"),
        (b"stsc", 8, struct.pack(">I", 3), "bytes"),
        (b"stsc", 12, struct.pack(">I", 2), "bytes"),
        (b"stco", 4, bytes(4), "bytes"),
        (b"stco", 4, b"\x7f\xff\xff\xff", "bytes"),
    ],
)
def test_each_table_is_compared_with_the_others(tmp_path: Path, table: bytes, at: int, new: bytes, of: str) -> None:
    (found,) = found_in(changed(made(tmp_path, "aac.m4a", WHOLE["aac.m4a"]), table, at, new))
    assert found and (found.bytes, found.times) == (of == "bytes", of == "times")
    assert found.seconds == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("delta", [0, 1, 1100, 30_000])
def test_what_is_timed_wrongly_is_heard_by_its_samples(delta: int) -> None:
    data = recorded(1, "a.m4a", ("-c:a", "aac"))
    found = hear(changed(data, b"stts", 8, struct.pack(">I", delta)))
    assert [word for word, _ in found.words] == [word for word, _ in spoken(1)]
    assert all(abs(at - when) <= NEAR for (_, at), (_, when) in zip(found.words, spoken(1), strict=True))
    assert [(caution.code, caution.lost) for caution in found.sound.findings.warnings] == [("damaged", True)]


@pytest.mark.parametrize("table", TABLES)
@given(
    index_last=st.booleans(),
    where=st.floats(0, 1, exclude_max=True),
    length=st.sampled_from([1, 2, 4, 16, 64]),
    seed=st.integers(0, 99),
)
@settings(max_examples=3, derandomize=True)
def test_whatever_stands_in_it_no_word_is_missing_untold(
    table: bytes, index_last: bool, where: float, length: int, seed: int
) -> None:
    data = recorded(2, "a.m4a", ("-c:a", "aac", *(() if index_last else FRONT)))
    size = int.from_bytes(data[(begin := data.index(table, data.index(b"moov"))) - 4 : begin], "big") - 12
    at = int(size * where)
    try:
        found = hear(changed(data, table, at, random.Random(seed).randbytes(min(length, size - at))))
    except DamagedMedia:
        return
    stretches = told(found.sound.findings)
    assert {word for word, _ in outside(list(spoken(2)), stretches)} <= {word for word, _ in found.words}
    said = dict(spoken(2))
    assert all(abs(at - said[word]) <= NEAR for word, at in outside(found.words, stretches))


@pytest.mark.parametrize("name", [b"stts", b"stsz", b"stco"])
def test_one_whose_table_is_zeros_is_damaged_and_not_empty(tmp_path: Path, name: bytes) -> None:
    data = made(tmp_path, "aac.m4a", WHOLE["aac.m4a"])
    size = int.from_bytes(data[(begin := data.index(name, data.index(b"moov"))) - 4 : begin], "big") - 12
    with pytest.raises(DamagedMedia, match="moov"), decode(changed(data, name, 0, bytes(size))) as sound:
        list(sound)


@pytest.mark.parametrize(
    ("box", "at", "new"),
    [
        (b"elst", 4, struct.pack(">I", 3000)),  # in the movie's ticks: too short
        (b"elst", 8, struct.pack(">I", 48_000)),  # in the track's: too late
        (b"elst", -8, bytes(4)),  # its name
        (b"edts", -8, bytes(4)),
    ],
)
def test_an_edit_list_that_cannot_be_true_is_not_followed(box: bytes, at: int, new: bytes) -> None:
    found = hear(changed(recorded(1, "a.m4a", ("-c:a", "aac")), box, at, new))
    assert [word for word, _ in found.words] == [word for word, _ in spoken(1)]
    late = NEAR + 1024 / 48_000  # the encoder's delay, which nothing leaves out any more
    assert all(-NEAR <= at - when <= late for (_, at), (_, when) in zip(found.words, spoken(1), strict=True))
    assert [(caution.code, caution.lost) for caution in found.sound.findings.warnings] == [("damaged", True)]


@pytest.mark.parametrize("times", [1, 2])
def test_one_whose_movie_plays_next_to_nothing_is_heard(times: int) -> None:
    """Its ticks were changed, or they and their number together."""
    found = hear(changed(recorded(1, "a.m4a", ("-c:a", "aac")), b"mvhd", 8, b"\x7f\x7f\x7f\x7f" * times))
    assert [word for word, _ in found.words] == [word for word, _ in spoken(1)]
    assert [caution.code for caution in found.sound.findings.warnings] == ["damaged"]


def test_one_whose_times_have_no_ticks_is_heard() -> None:
    data = recorded(1, "a.3gp", ("-c:a", "libopencore_amrnb", "-ar", "8000"))
    found = hear(changed(data, b"mdhd", 8, bytes(4)))
    assert [word for word, _ in found.words] == [word for word, _ in spoken(1)]
    assert [caution.code for caution in found.sound.findings.warnings] == ["damaged"]


def test_one_of_which_nothing_can_be_read_is_damaged_and_not_empty() -> None:
    """Its description names another codec."""
    data = recorded(1, "a.mp4", ("-c:a", "libmp3lame"))
    at = data.index(b"esds") + 4
    with pytest.raises(DamagedMedia, match="names sound"), decode(data[:at] + bytes(16) + data[at + 16 :]) as sound:
        list(sound)
