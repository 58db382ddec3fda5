"""An index that stands last comes first, and names the same sound; what cannot be moved is left alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.access.front_index import Reordered, reordered
from pipeline.audio.decode import decode
from pipeline.errors import UnsupportedMedia
from tests.pipeline.audio.access.test_remote import Elsewhere, decoded
from tests.pipeline.audio.sounds import ffmpeg


def box(name: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def table(places: list[int], width: int = 4, said: int | None = None) -> bytes:
    told = (len(places) if said is None else said).to_bytes(4, "big")
    return bytes(4) + told + b"".join(place.to_bytes(width, "big") for place in places)


def film(stbl: bytes, sound: bytes = b"sound") -> bytes:
    index = box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", stbl)))))
    return box(b"ftyp", b"M4A ") + box(b"mdat", sound) + index


def order(data: bytes, start: int = 0) -> Reordered | None:
    return reordered(lambda at, length: data[at : at + length], start, len(data))


def index_of(data: bytes, found: Reordered) -> bytes:
    return b"".join(span if isinstance(span, bytes) else data[span[0] : span[1]] for span in found.index)


def laid_out(data: bytes, found: Reordered) -> bytes:
    spans = found.spans(0, len(data))
    return b"".join(span if isinstance(span, bytes) else data[span[0] : span[1]] for span in spans)


@pytest.mark.parametrize(("name", "width"), [(b"stco", 4), (b"co64", 8)])
def test_every_place_still_has_its_sound(name: bytes, width: int) -> None:
    places = [20, 22]
    data = film(box(name, table(places, width)))
    found = order(data)
    assert found
    moved = laid_out(data, found)
    assert len(moved) == len(data)
    assert moved.index(b"moov") < moved.index(b"mdat")
    index = index_of(data, found)
    new = [place + len(index) for place in places]
    assert index.endswith(table(new, width))
    assert [moved[at : at + 2] for at in new] == [data[at : at + 2] for at in places] == [b"so", b"un"]


@pytest.mark.parametrize(
    "stbl",
    [
        b"",
        box(b"stco", table([20], said=9)),
        box(b"stco", table([20], said=2**32 - 1)),
        box(b"stco", b""),
        box(b"stco", table([20]))[:-2],
        box(b"cmov", b"packed"),
    ],
)
def test_what_is_not_understood_is_left_alone(stbl: bytes) -> None:
    assert order(film(stbl)) is None


def test_a_place_that_has_no_room_gets_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes are not enough for a file of four GiB, nor one for one of 256 bytes."""
    monkeypatch.setattr("pipeline.audio.access.front_index._PLACES", {b"stco": ">u1", b"co64": ">u8"})
    data = film(box(b"stco", bytes(4) + (1).to_bytes(4, "big") + bytes([220])), sound=bytes(200) + b"mark" + bytes(6))
    found = order(data)
    assert found
    moved = laid_out(data, found)
    at = moved.index(b"co64")
    place = int.from_bytes(moved[at + 12 : at + 20], "big")
    assert moved[place : place + 4] == data[220:224] == b"mark"
    assert len(index_of(data, found)) == len(data) - found.at + 7


@given(st.binary(max_size=40), st.integers(0, 90))
def test_whatever_the_bytes_are_it_never_raises(junk: bytes, at: int) -> None:
    data = film(box(b"stco", table([20, 22])))
    order(data[:at] + junk + data[at + len(junk) :])
    order(data[:at])


@pytest.mark.processes
def test_a_film_is_heard_without_a_copy(tmp_path: Path, large: None) -> None:
    picture = ["-f", "lavfi", "-i", "testsrc=d=4:s=160x120:r=10", "-f", "lavfi", "-i", "anoisesrc=d=4:r=44100"]
    for suffix in ("mp4", "mov"):
        path = tmp_path / f"film.{suffix}"
        ffmpeg(*picture, "-c:v", "mpeg4", "-c:a", "aac", path)
        assert decoded(Elsewhere(path.read_bytes())) == decoded(path)


@pytest.mark.processes
def test_what_cannot_be_put_in_front_is_refused_in_words(recordings: Path, large: None) -> None:
    data = (recordings / "music.m4a").read_bytes().replace(b"stco", b"cmov")
    with pytest.raises(UnsupportedMedia, match=r"faststart"), decode(Elsewhere(data)):
        pass


def test_what_is_left_out_moves_what_follows_it() -> None:
    sound = bytes(range(200))
    places = [20 + at for at in (0, 50, 150, 190)]
    for data in (film(box(b"stco", table(places)), sound), front(places, sound)):
        begin = data.index(sound)
        found = reordered(lambda at, length, data=data: data[at : at + length], 0, len(data), (begin + 40, begin + 140))
        assert found
        moved = laid_out(data, found)
        assert len(moved) == len(data) - 100
        at = moved.index(b"stco") + 12
        new = [int.from_bytes(moved[at + 4 * number : at + 4 * number + 4], "big") for number in (0, 2, 3)]
        assert [moved[place] for place in new] == [0, 150, 190]


def front(places: list[int], sound: bytes) -> bytes:
    """The index before the sound."""
    behind = film(box(b"stco", table(places)), sound)
    index = behind[behind.index(b"moov") - 4 :]
    moved = film(box(b"stco", table([place + len(index) for place in places])), sound)
    index = moved[moved.index(b"moov") - 4 :]
    return moved[:12] + index + moved[12 : -len(index)]
