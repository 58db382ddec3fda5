"""A recording that lies elsewhere is decoded as it is from a file, without one; what cannot be is copied, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.audio.access.remote import RANGE_BYTES, Ranges
from pipeline.audio.clock.placement import Piece
from pipeline.audio.decode import decode
from pipeline.audio.findings import Findings
from pipeline.errors import EmptyMedia, InputMissing, StorageUnavailable
from tests.pipeline.audio.sounds import CONTAINERS

COPIED = ("mp3", "ogg", "wavpack", "caf")  # containers


class Elsewhere:
    """Somebody else's bytes. `away` from that byte on; what is read must be there."""

    def __init__(self, data: bytes, copy: Path | None = None, away: int | None = None) -> None:
        self.size, self.reads, self.copies = len(data), 0, 0
        self._data, self._copy, self._away = data, copy, away

    def read(self, offset: int, length: int) -> bytes:
        assert 0 <= offset < offset + length <= self.size
        self.reads += 1
        return self._data[offset : offset + length]

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        for at in range(offset, self.size, 10_000):
            if self._away is not None and at >= self._away:
                raise StorageUnavailable
            yield self._data[at : at + 10_000]

    @contextmanager
    def whole(self) -> Iterator[Path]:
        assert self._copy
        self.copies += 1
        yield self._copy


def decoded(source: Path | Elsewhere, begin: int = 0) -> tuple[list[Piece], Findings]:
    """Its samples, runs without a hole in one piece, and what there is to say of it."""
    runs: list[tuple[int, bytearray]] = []
    with decode(source, begin=begin) as sound:
        for at, pcm in sound.pieces():
            if not runs or at != runs[-1][0] + len(runs[-1][1]) // 2:
                runs.append((at, bytearray()))
            runs[-1][1].extend(pcm)
    return [(at, bytes(pcm)) for at, pcm in runs], sound.findings


@pytest.mark.processes
@pytest.mark.parametrize("name", CONTAINERS)
def test_it_is_decoded_as_from_a_file(recordings: Path, name: str, nothing_left: None) -> None:
    path = recordings / name
    elsewhere = Elsewhere(path.read_bytes(), path)
    assert decoded(elsewhere) == decoded(path)
    assert elsewhere.copies == int(CONTAINERS[name][0].split()[0] in COPIED)


@pytest.mark.processes
def test_a_part_far_in_is_read_with_leaps(recordings: Path) -> None:
    path = recordings / "pcm.wav"
    elsewhere = Elsewhere(path.read_bytes(), path)
    decoded(elsewhere, begin=16_000 * 60)
    assert elsewhere.copies == 1


@pytest.mark.processes
def test_an_end_that_is_not_the_recordings_is_told_as_what_it_is(recordings: Path, nothing_left: None) -> None:
    """A store that goes away in the middle does not make a short recording."""
    data = (recordings / "pcm.wav").read_bytes()
    with pytest.raises(StorageUnavailable):
        decoded(Elsewhere(data, away=len(data) // 2))
    with pytest.raises(StorageUnavailable):
        decoded(Elsewhere(data, away=0))


@pytest.mark.processes
def test_who_leaves_early_leaves_nothing_behind(recordings: Path, nothing_left: None) -> None:
    with decode(Elsewhere((recordings / "pcm.wav").read_bytes())) as sound:
        assert next(sound.pieces())


def test_nothing_is_an_empty_recording() -> None:
    with pytest.raises(EmptyMedia), decode(Elsewhere(b"")):
        pass


def test_what_is_looked_at_twice_is_read_once() -> None:
    data = bytes(range(256)) * (RANGE_BYTES // 100)
    elsewhere = Elsewhere(data)
    ranges = Ranges(elsewhere)
    for offset, length in ((0, 10), (5, 100), (RANGE_BYTES - 5, 10), (len(data) - 3, 10), (len(data) + 1, 10)):
        assert ranges.read(offset, length) == data[offset : offset + length]
    assert elsewhere.reads == 1 + len(data) // RANGE_BYTES
    assert ranges.read(3, len(data)) == data[3:]


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputMissing), decode(tmp_path / "gone.wav"):
        pass
