"""A recording that lies elsewhere is decoded as it is from a file, without one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.audio.access import open_source
from pipeline.audio.access.remote import RANGE_BYTES, Ranges
from pipeline.audio.clock.placement import Piece
from pipeline.audio.decode import decode
from pipeline.audio.findings import Findings
from pipeline.errors import EmptyMedia, InputMissing, StenopoolError, StorageUnavailable
from tests.pipeline.audio.sounds import CONTAINERS, FILMS, ffmpeg


class Elsewhere:
    """Somebody else's bytes. `away` from that byte on; what is read must be there. `passed`: bytes that were asked for in a row,
    `begun`: where rows begin."""

    def __init__(self, data: bytes, away: int | None = None) -> None:
        self.size, self.reads, self.passed = len(data), 0, 0
        self.begun: list[int] = []
        self._data, self._away = data, away

    def read(self, offset: int, length: int) -> bytes:
        assert 0 <= offset < offset + length <= self.size
        self.reads += 1
        return self._data[offset : offset + length]

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        self.begun.append(offset)
        for at in range(offset, self.size, 10_000):
            if self._away is not None and at >= self._away:
                raise StorageUnavailable
            self.passed += len(self._data[at : at + 10_000])
            yield self._data[at : at + 10_000]


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
@pytest.mark.parametrize("name", [*CONTAINERS, *FILMS])
def test_it_is_decoded_as_from_a_file(recordings: Path, name: str, large: None, nothing_left: None) -> None:
    path = recordings / name
    assert decoded(Elsewhere(path.read_bytes())) == decoded(path)


DAMAGED = (
    "lame.mp3", "vorbis.ogg", "lossless.wv", "lossless.caf", "apple.aiff", "music.m4a", "first.m4a", "aac.mkv", "broadcast.ts",
    "stream.mpeg", "flash.flv", "bare.ac3", "mp3.avi", "windows.wma", "music.flac",
)  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_told_as_of_a_file(recordings: Path, name: str, large: None, tmp_path: Path) -> None:
    """Cut off, with a hole of zeros, or with another one behind it. Where a complaint falls, is up to ffmpeg's threads."""
    data = (recordings / name).read_bytes()
    half, path = len(data) // 2, tmp_path / name
    for other in (data[: len(data) * 3 // 5], data[:half] + bytes(3000) + data[half + 3000 :], data + data):
        path.write_bytes(other)
        assert told(result(Elsewhere(other))) == told(result(path))


@pytest.mark.processes
@pytest.mark.parametrize("name", ["a.ogg", "a.ts", "a.mpeg", "a.flv", "a.ac3", "a.mp3"])
def test_its_length_is_told_by_its_ends(
    name: str, large: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is damaged shortly before the end is missing by what stands at the end, and there alone."""
    monkeypatch.setattr(open_source, "_FRONT", 2**17)
    monkeypatch.setattr(open_source, "_BACK", 2**16)
    path = tmp_path / name
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=40:r=44100:seed=1", "-ar", "44100", path)
    data = path.read_bytes()
    assert len(data) > 2**18
    damaged = data[:-60_000] + bytes(50_000) + data[-10_000:]
    path.write_bytes(damaged)
    assert decoded(Elsewhere(damaged))[0] == decoded(path)[0]
    assert decoded(Elsewhere(damaged))[1].gaps == decoded(path)[1].gaps


@pytest.mark.processes
def test_a_small_one_is_read_once_and_no_more(recordings: Path, nothing_left: None) -> None:
    for name in ("lame.mp3", "voice.ogg", "music.m4a"):
        path = recordings / name
        elsewhere = Elsewhere(path.read_bytes())
        assert decoded(elsewhere) == decoded(path)
        assert (elsewhere.reads, elsewhere.passed) == (0, elsewhere.size)


def result(source: Path | Elsewhere) -> tuple[list[Piece], Findings] | StenopoolError:
    """What comes of it, or what is said instead."""
    try:
        return decoded(source)
    except StenopoolError as error:
        return error


def told(what: tuple[list[Piece], Findings] | StenopoolError) -> object:
    """All of it but when a damage is, and in which words: both follow from where a decoder was when it complained."""
    if isinstance(what, StenopoolError):
        return type(what), what.message
    pieces, findings = what
    return pieces, findings.gaps, {warning.code for warning in findings.warnings}, findings.tracks


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="elsewhere such files lie there, without a name")
@pytest.mark.processes
def test_nothing_lies_in_the_folder_for_temporary_files(
    recordings: Path, large: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    for name in ("lame.mp3", "vorbis.ogg", "lossless.wv", "lossless.caf"):
        assert decoded(Elsewhere((recordings / name).read_bytes()))[0]


@pytest.mark.processes
def test_an_end_that_is_not_the_recordings_is_told_as_what_it_is(
    recordings: Path, large: None, nothing_left: None
) -> None:
    """A store that goes away in the middle does not make a short recording."""
    data = (recordings / "pcm.wav").read_bytes()
    with pytest.raises(StorageUnavailable):
        decoded(Elsewhere(data, away=len(data) // 2))
    with pytest.raises(StorageUnavailable):
        decoded(Elsewhere(data, away=0))


@pytest.mark.processes
def test_who_leaves_early_leaves_nothing_behind(recordings: Path, large: None, nothing_left: None) -> None:
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
