"""Packets of 188 bytes, bare or with a clock or a checksum; and lines of text that look like them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.containers.transport_stream import clocks, is_transport_stream


@pytest.mark.parametrize("name", ["broadcast.ts", "television.ts", "camera.m2ts"])
@pytest.mark.parametrize("cut", [0, 1, 100, 187])
def test_packets_are_known_from_any_byte_on(recordings: Path, name: str, cut: int) -> None:
    assert is_transport_stream((recordings / name).read_bytes()[cut:50_000])


def test_packets_with_a_checksum_are_known(recordings: Path) -> None:
    data = (recordings / "broadcast.ts").read_bytes()
    assert is_transport_stream(b"".join(data[at : at + 188] + bytes(16) for at in range(0, 20_000 // 188 * 188, 188)))


@pytest.mark.parametrize(
    "data",
    [b"G" * 5000, (b"G" + b"\x1f" * 187) * 100, (b"G001 " + b"x" * 183) * 100, (b"G\x40\x00\x10" + bytes(184)) * 4],
    ids=["letters", "marks alone", "lines", "too few"],
)
def test_marks_alone_are_no_stream(data: bytes) -> None:
    assert not is_transport_stream(data)


def test_clocks_run_forward(recordings: Path) -> None:
    marks = list(clocks((recordings / "broadcast.ts").read_bytes()))
    assert len({identity for identity, _ in marks}) == 1
    seconds = [seconds for _, seconds in marks]
    assert seconds == sorted(seconds)
    assert seconds[-1] - seconds[0] == pytest.approx(4, abs=0.2)


@given(st.binary(max_size=189).map(lambda data: (b"G" + data.ljust(187, b"\x30")[:187]) * 8))
def test_any_packets_give_an_answer(data: bytes) -> None:
    is_transport_stream(data)
    list(clocks(data))
