"""What is put into one block comes out of it again, however it is laced."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.matroska.lacing import packets

HEAD = b"\x81\0\0"
PACKETS = st.lists(st.binary(max_size=600), min_size=2, max_size=9)


def xiph(all_of_them: list[bytes]) -> bytes:
    sizes = b"".join(b"\xff" * (len(one) // 255) + bytes([len(one) % 255]) for one in all_of_them[:-1])
    return HEAD + b"\x02" + bytes([len(all_of_them) - 1]) + sizes + b"".join(all_of_them)


def ebml(all_of_them: list[bytes]) -> bytes:
    first, *others = (len(one) for one in all_of_them[:-1])
    sizes = (1 << 14 | first).to_bytes(2, "big")
    for before, size in pairwise([first, *others]):
        sizes += (1 << 14 | size - before + (1 << 13) - 1).to_bytes(2, "big")
    return HEAD + b"\x06" + bytes([len(all_of_them) - 1]) + sizes + b"".join(all_of_them)


def taken(block: bytes) -> list[bytes]:
    return [block[at : at + size] for at, size in packets(block)]


@given(PACKETS)
def test_of_any_lengths(all_of_them: list[bytes]) -> None:
    assert taken(xiph(all_of_them)) == taken(ebml(all_of_them)) == all_of_them


@given(st.integers(1, 9), st.binary(min_size=1, max_size=9))
def test_of_one_length(count: int, packet: bytes) -> None:
    assert taken(HEAD + b"\x04" + bytes([count - 1]) + packet * count) == [packet] * count


def test_alone() -> None:
    assert taken(HEAD + b"\0packet") == [b"packet"]


def test_what_is_longer_than_its_block_is_refused() -> None:
    with pytest.raises(ValueError):
        packets(HEAD + b"\x02\x01\x09short")


@given(st.binary(min_size=5, max_size=30))
def test_whatever_the_bytes_are_they_are_read_or_refused(data: bytes) -> None:
    with suppress(ValueError, IndexError):
        assert sum(size for _, size in packets(data)) <= len(data)
