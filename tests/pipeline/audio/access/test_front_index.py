"""An index that stands last comes first, and names the same sound; what cannot be moved is left alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.access.front_index import Reordered, reordered
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
    new = [place + len(found.index) for place in places]
    assert found.index.endswith(table(new, width))
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


def test_a_place_that_has_no_room_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes are not enough for a file of four GiB."""
    monkeypatch.setattr("pipeline.audio.access.front_index._PLACES", {b"stco": ">u1"})
    small = film(box(b"stco", bytes(4) + (1).to_bytes(4, "big") + bytes([220])), sound=bytes(230))
    assert order(small) is None


@given(st.binary(max_size=40), st.integers(0, 90))
def test_whatever_the_bytes_are_it_never_raises(junk: bytes, at: int) -> None:
    data = film(box(b"stco", table([20, 22])))
    order(data[:at] + junk + data[at + len(junk) :])
    order(data[:at])


@pytest.mark.processes
def test_a_film_is_heard_without_a_copy(tmp_path: Path) -> None:
    picture = ["-f", "lavfi", "-i", "testsrc=d=4:s=160x120:r=10", "-f", "lavfi", "-i", "anoisesrc=d=4:r=44100"]
    for suffix in ("mp4", "mov"):
        path = tmp_path / f"film.{suffix}"
        ffmpeg(*picture, "-c:v", "mpeg4", "-c:a", "aac", path)
        elsewhere = Elsewhere(path.read_bytes(), path)
        assert decoded(elsewhere) == decoded(path)
        assert elsewhere.copies == 0
