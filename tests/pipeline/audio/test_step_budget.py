"""Headers made of nothing but the shortest pieces of their own kind: every walk over them ends within its budget of steps."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pipeline.audio import step_budget
from pipeline.audio.access.open_source import OpenFile
from pipeline.audio.access.scratch import scratch
from pipeline.audio.asf.header import MAGIC as ASF_MAGIC
from pipeline.audio.containers import table
from pipeline.audio.containers.link_syntax import SYNTAXES
from pipeline.audio.containers.table import CONTAINERS, Container, Found
from pipeline.audio.duration import estimate, exact, truncation
from pipeline.audio.duration.stated import STATED
from pipeline.audio.first_look import FirstLook
from pipeline.audio.joined import extents
from pipeline.audio.source import recordings_in
from pipeline.audio.step_budget import StepBudget, TooManySteps
from pipeline.errors import StenopoolError, UnsupportedMedia

SIZE = 384 * 1024  # bytes of junk
FEW = 500  # steps that a walk may take here, instead of so many more
CALLS = 150_000  # of functions, of ours or of C: some hundred for each step, and what a first look takes
STREAMINFO = b"\x00\x00\x00\x22" + bytes.fromhex("100010000000000000000ac442f000000000") + bytes(16)
W64_NAME = bytes.fromhex("f3acd3118cd100c04f8edb8a")
RIFF = b"RIFF" + struct.pack("<I", SIZE)


def pages() -> bytes:
    """Of Ogg, without anything on them."""
    one = [struct.pack("<4sBBQIIIB", b"OggS", 0, 2 * (not number), 0, 1, number, 0, 0) for number in range(SIZE // 27)]
    return b"".join(one)


JUNK: dict[
    Container, tuple[bytes, bytes]
] = {  # what a file begins with, and the shortest piece that may follow again and again
    table.WAV: (RIFF + b"WAVE", b"junk\0\0\0\0"),
    table.AIFF: (b"FORM" + struct.pack(">I", SIZE) + b"AIFF", b"junk\0\0\0\0"),
    table.W64: (
        b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00".ljust(40, b"\0"),
        b"junk" + W64_NAME + struct.pack("<Q", 24),
    ),
    table.CAF: (b"caff\x00\x01\x00\x00", b"free" + bytes(8)),
    table.AU: (b".snd" + struct.pack(">5I", 24, 0xFFFFFFFF, 1, 8000, 1), b".snd\0\0\0\x18"),
    table.MP3: (b"", bytes.fromhex("fff31454") + bytes(20)),  # 24 bytes: 8 kbit/s at 24 kHz
    table.AAC: (b"", bytes.fromhex("fff14c4001000000")),
    table.FLAC: (b"fLaC\x80" + STREAMINFO[1:], b"\xff\xf8"),
    table.OGG: (b"", pages()),
    table.MP4: (b"\0\0\0\x10ftypM4A \0\0\0\0", b"\0\0\0\x08free"),
    table.MATROSKA: (b"\x1a\x45\xdf\xa3\x80", b"\xec\x80"),
    table.AMR: (b"#!AMR\n", b"\x7c"),
    table.MPEG: (b"\x00\x00\x01\xba", b"\x00\x00\x01\xbe\x00\x00"),
    table.ASF: (ASF_MAGIC + struct.pack("<QIBB", 30, 1, 1, 2), bytes(24)),
    table.MPEGTS: (b"", b"\x47\x40\x00\x10\x00\x00" + bytes(182)),
    table.AVI: (RIFF + b"AVI LIST\0\0\0\0hdrlavih", b"RIFF\x04\0\0\0AVIX"),
    table.FLV: (b"FLV\x01\x04\0\0\0\x09\0\0\0\0", b"\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\x0b"),
    table.WAVPACK: (b"", b"wvpk" + struct.pack("<I2H4I2I", 24, 0x410, 0, 1, 0, 1, 0x800, 0, 0)),
    table.VOC: (b"Creative Voice File\x1a\x1a\x00", b"\x07\0\0\0"),
    table.AC3: (b"", bytes.fromhex("0b7700000040") + bytes(122)),
    table.EAC3: (b"", bytes.fromhex("0b7700023f80")),
    table.DTS: (b"", bytes.fromhex("7ffe8001fc3c05f0e0") + bytes(87)),
}
NESTED: dict[str, tuple[Container, bytes]] = {  # pieces within others, which have walks of their own
    "boxes in an index": (table.MP4, b"\0\0\0\x10ftypM4A \0\0\0\0" + struct.pack(">I4s", SIZE, b"moov")),
    "elements in a segment": (
        table.MATROSKA,
        bytes.fromhex("1a45dfa38842828577 65626d".replace(" ", "")) + b"\x18\x53\x80\x67\xff",
    ),
    "elements in a cluster": (table.MATROSKA, b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\x1f\x43\xb6\x75\xff"),
}


def junk(container: Container) -> bytes:
    begin, piece = JUNK[container]
    return (begin + piece * (SIZE // len(piece)))[:SIZE]


SAMPLES = {container.name: (container, junk(container)) for container in JUNK} | {
    name: (container, begin + JUNK[container][1] * (SIZE // len(JUNK[container][1])))
    for name, (container, begin) in NESTED.items()
}


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_budget, "MOST", FEW)
    monkeypatch.setattr(estimate, "_MOST_STEPS", FEW)
    monkeypatch.setattr(truncation, "_MOST_STEPS", FEW)
    monkeypatch.setattr(
        extents, "_MOST_STEPS", FEW
    )  # of a recording that is walked to its end, for what is joined to it


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many functions are called meanwhile."""
    calls, before = [0], sys.getprofile()

    def count(_frame: object, event: str, _argument: object) -> None:
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def estimated(_container: Container, data: bytes) -> object:
    return estimate.estimate(data, data, 2 * len(data)), estimate.estimate(data, data, len(data))


def every_reader_of_lengths(container: Container, data: bytes) -> object:
    """Also where the look at the beginning takes the file for another one."""
    readers = [
        reader for names in (estimate._READERS, STATED) if (reader := dict(names).get(container.name)) is not None
    ]
    for reader in readers:
        try:
            reader(data, data, len(data))
        except (ValueError, IndexError, struct.error, ArithmeticError):
            continue
    return readers


def measured(container: Container, data: bytes) -> object:
    return exact.measured(data, container)


def claimed(container: Container, data: bytes) -> object:
    steps = StepBudget.for_file()
    return truncation.cut_off(steps.counted(lambda at, length: data[at : at + length]), len(data), Found(container))


def opened(_container: Container, data: bytes) -> object:
    descriptor = scratch()
    try:
        os.write(descriptor, data)
        return recordings_in(OpenFile(descriptor))
    except StenopoolError as error:
        assert not error.retryable
        return error
    finally:
        os.close(descriptor)


def looked_at(_container: Container, data: bytes) -> object:
    look = FirstLook()
    try:
        for at in range(0, len(data), 64 * 1024):
            look.add(data[at : at + 64 * 1024])
        look.finish()
    except UnsupportedMedia as error:
        return error
    return look


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("walk", [looked_at, estimated, every_reader_of_lengths, measured, claimed, opened])
def test_no_walk_goes_through_all_the_pieces(walk: Callable[[Container, bytes], object], name: str) -> None:
    with counted() as calls:
        walk(*SAMPLES[name])
    assert calls[0] < CALLS


def test_every_container_that_is_walked_has_its_junk() -> None:
    assert set(CONTAINERS) == set(JUNK)
    assert {*exact._MEASURERS, *SYNTAXES, *truncation._READERS} <= set(JUNK)
    assert {*estimate._READERS, *STATED} <= {container.name for container in JUNK}


def test_a_budget_counts_reads_by_their_length() -> None:
    steps = StepBudget(10)
    read = steps.counted(lambda _at, length: bytes(length))
    read(0, 5)
    read(0, 4 * 64 * 1024)
    assert steps.taken == 6
    with pytest.raises(TooManySteps):
        read(0, 5 * 64 * 1024)


def test_a_file_of_too_many_pieces_is_refused_and_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_budget, "MOST", 50)
    found = opened(*SAMPLES["mp4"])
    assert isinstance(found, StenopoolError)
    wav = opened(*SAMPLES["wav"])
    assert isinstance(wav, UnsupportedMedia)
    assert "more than 50 pieces" in str(wav)


def test_what_is_walked_too_long_is_of_unknown_length() -> None:
    assert exact.measured(junk(table.MATROSKA), table.MATROSKA) is None
    assert estimate.estimate(junk(table.MATROSKA), b"", SIZE).guessed
