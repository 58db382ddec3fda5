"""Pages of FLAC in Ogg, made here, of which some are broken or gone."""

from collections.abc import Iterator

import pytest

from pipeline.audio.access.torn_pages import TornPages
from pipeline.audio.containers.ogg_pages import UNKNOWN, Page, page, page_of, sums_up

SAMPLES = 4096
FRAMES = [
    bytes.fromhex("fff8c908") + bytes([number]) for number in range(6)
]  # of so many samples each, without their sound
STREAM, OTHER = 7, 8


def crc8(data: bytes) -> int:
    """Of the polynomial of RFC 9639, bit by bit."""
    crc = 0
    for byte in data:
        for bit in range(7, -1, -1):
            crc = (crc << 1 ^ (0x107 if (crc >> 7 ^ byte >> bit) & 1 else 0)) & 0xFF
    return crc


def pages(stream: int = STREAM, *, positions: bool = True) -> list[bytes]:
    """The first page, and one for each frame."""
    first = begun(page_of(b"\x7fFLAC\1\0\0\0fLaC", stream, 0, 0))
    rest = [
        page_of(
            frame + bytes([crc8(frame)]) + bytes(20),
            stream,
            1 + number,
            SAMPLES * (1 + number) if positions else UNKNOWN,
        )
        for number, frame in enumerate(FRAMES)
    ]
    return [first, *rest]


def begun(data: bytes, flag: int = 2) -> bytes:
    """The same page as the first of its stream; or the last, by 4."""
    return summed(data[:5] + bytes([flag]) + data[6:])


def summed(data: bytes) -> bytes:
    """The same page with its checksum, found by the polynomial of RFC 3533, bit by bit."""
    crc = 0
    for byte in data[:22] + bytes(4) + data[26:]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x104C11DB7 if crc & 1 << 31 else 0)) & 0xFFFFFFFF
    return data[:22] + crc.to_bytes(4, "little") + data[26:]


def each(data: bytes) -> Iterator[tuple[Page, bytes]]:
    at = 0
    while at < len(data):
        one = page(lambda offset, length: data[offset : offset + length], at)
        assert one
        yield one, data[at : one.end]
        at = one.end


def mended(data: bytes, block: int = 50) -> bytes:
    return b"".join(TornPages().mended(data[at : at + block] for at in range(0, len(data), block)))


@pytest.mark.parametrize("block", [1, 50, 10_000])
def test_whole_ones_pass_as_they_are(block: int) -> None:
    data = b"".join(pages())
    assert mended(data, block) == data


@pytest.mark.parametrize("junk", [b"", b"\0" * 100_000, b"Og", b"OggS" * 30])
def test_behind_damage_a_page_says_when_the_next_begins(junk: bytes) -> None:
    """Also where pages are gone and nothing else tells but their numbers."""
    rows = pages()
    found = list(each(mended(b"".join(rows[:3]) + junk + b"".join(rows[5:]))))
    assert [data for _, data in found][:3] + [data for _, data in found][5:] == rows[:3] + rows[5:]
    (_, complaint), (begin, silence) = found[3:5]
    assert not sums_up(complaint) and sums_up(silence)
    assert begin.position == 4 * SAMPLES and begin.end - begin.content == 1


def test_a_page_with_one_wrong_byte_is_none() -> None:
    rows = pages()
    rows[2] = rows[2][:-1] + b"\1"
    found = [data for _, data in each(mended(b"".join(rows)))]
    assert rows[2] not in found and found[-len(rows[3:]) :] == rows[3:]


def test_of_which_nobody_knows_when_it_is_played_is_left_out() -> None:
    rows, unplaced = pages(), pages(positions=False)
    found = [data for _, data in each(mended(b"".join(rows[:2]) + b"junk" + unplaced[3] + b"".join(rows[4:])))]
    assert unplaced[3] not in found and rows[4] in found


def test_of_other_sound_decoders_know_by_themselves() -> None:
    """Every stream goes on by itself; what is no FLAC is as it was."""
    opus = begun(page_of(b"OpusHead", OTHER, 0, 0))
    more = [page_of(b"sound", OTHER, number, 960 * number) for number in range(1, 4)]
    found = [data for _, data in each(mended(opus + more[0] + b"junk" + b"".join(more[1:])))]
    assert [data for data in found if sums_up(data)] == [opus, *more]


def ended(rows: list[bytes]) -> list[bytes]:
    return [*rows[:-1], begun(rows[-1], 4)]


def test_a_stream_without_its_first_pages_goes_on_as_the_one_before() -> None:
    rows = ended(pages())
    found = list(each(mended(b"".join(rows + pages(OTHER)[3:]))))
    assert {one.serial for one, _ in found} == {STREAM}
    behind = [(one.number, one.position) for one, data in found[len(rows) :] if sums_up(data)]
    numbers = [(len(rows) + number, (len(FRAMES) + 3 + number) * SAMPLES) for number in range(4)]
    assert behind == [(numbers[0][0], (len(FRAMES) + 2) * SAMPLES), *numbers]


@pytest.mark.parametrize("rows", [pages(), ended(pages())], ids=["may go on", "of another kind"])
def test_of_one_that_does_not_fit_it_is_known_how_long_it_is(rows: list[bytes]) -> None:
    other = [page_of(b"no frame of FLAC", OTHER, 3 + number, 1000 * (3 + number)) for number in range(4)]
    torn = TornPages()
    assert b"".join(torn.mended([b"".join(rows + other)])) == b"".join(rows)
    assert torn.unheard == 6000


def test_a_file_of_nothing_but_streams_fills_no_memory() -> None:
    torn, some = TornPages(), range(1000, 1500)
    begins = [begun(page_of(b"\x7fFLAC\1\0\0\0fLaC", serial, 0, 0)) for serial in some]
    strangers = [page_of(b"x", serial + len(some), 1, SAMPLES) for serial in some]
    passed = list(torn.mended([b"".join([*begins, *strangers])]))
    assert 0 < len(passed) < len(some)
    assert 0 < torn.unheard < len(some) * SAMPLES
