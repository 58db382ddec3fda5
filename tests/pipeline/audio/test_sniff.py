"""What a file is by its bytes; and that nothing else is taken for sound."""

import contextlib
import re
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.containers.id3_tag import tag_length
from pipeline.audio.containers.table import CONTAINERS as TABLE
from pipeline.audio.containers.table import Container
from pipeline.audio.frame_runs import MOST_STEPS, Search
from pipeline.audio.sniff import LOOK_BYTES, MOST_RUBBISH, sniff, sniff_file
from pipeline.errors import EmptyMedia, StenopoolError, UnsupportedMedia
from tests.pipeline.audio.sounds import CONTAINERS, FILMS, id3_tag

HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.mp4\n#EXT-X-ENDLIST\n"


def zipped() -> bytes:
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("talk.mp3", b"\xff\xfb\x90\x64" * 4000)
    return whole.getvalue()


TEXTS: dict[str, bytes] = {
    "hls": HLS,
    "hls with a byte order mark": b"\xef\xbb\xbf" + HLS,
    "hls after blank lines": b"\n\n " + HLS,
    "hls behind a tag": id3_tag(512) + HLS,
    "ffconcat": b"ffconcat version 1.0\nfile other.mp4\n",
    "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
    "html": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "dash": b'<?xml version="1.0"?><MPD></MPD>',
    "prose": b"Once upon a time there was a file that was called a recording. " * 100,
    "zip": zipped(),
    "zip behind a tag": id3_tag(512) + zipped(),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(5000),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(5000),
    "an unknown form of riff": b"RIFF\0\0\0\0ACON" + bytes(5000),
    "a program": b"MZ\x90\0\x03" + bytes(5000),
    "a tape archive": b"talk.mp3".ljust(257, b"\0") + b"ustar" + bytes(5000),
    "a database": b"SQLite format 3\0" + bytes(5000),
    "lines of the letter that marks packets": (b"G001 " + b"x" * 182 + b"\n") * 50,
    "windows media's own playlist": b"<asx version='3.0'><entry><ref href='mms://127.0.0.1/x'/></entry></asx>",
    "a list of real media": b"rtsp://127.0.0.1/talk.rm\n",
    "zeros": bytes(10_000),
    "one byte": b"R",
    "a lonely sync": b"\xff\xfb\x90\x64" + b"nothing like a frame follows" * 300,
}


@pytest.mark.parametrize("name", [*CONTAINERS, *FILMS])
def test_each_container_is_known_by_its_first_4_kib(recordings: Path, name: str) -> None:
    expected = (CONTAINERS | FILMS)[name][0].split()[0]
    with (recordings / name).open("rb") as file:
        assert sniff(file.read(4096)).name == expected


@pytest.mark.parametrize("data", TEXTS.values(), ids=TEXTS)
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="Supported: mp3, mp4"):
        sniff(data)


@pytest.mark.parametrize("name", ["hls", "hls after blank lines", "ffconcat", "sdp", "html", "zip"])
def test_real_frames_behind_a_text_do_not_make_it_sound(recordings: Path, name: str) -> None:
    with pytest.raises(UnsupportedMedia):
        sniff(TEXTS[name] + (recordings / "tagless.mp3").read_bytes())


def test_a_container_that_is_not_on_the_list(recordings: Path) -> None:
    with pytest.raises(UnsupportedMedia):
        sniff((recordings / "bare.tta").read_bytes())


def test_nothing_is_empty() -> None:
    with pytest.raises(EmptyMedia):
        sniff(b"")


def test_behind_tags_of_any_length(recordings: Path) -> None:
    tags = id3_tag(300_000) + id3_tag(100)
    assert tag_length(id3_tag(300_000)) == len(id3_tag(300_000))
    for name in ("lame.mp3", "music.flac", "raw.aac"):
        data = tags + (recordings / name).read_bytes()
        assert sniff(data[:4096]).name == "mp3"  # the best guess of a short look
        found = sniff_file(lambda offset, data=data: data[offset : offset + 4096])
        assert found.container.name == CONTAINERS[name][0].split()[0]
        assert found.start == len(tags) + tag_length(data[len(tags) :])


@given(st.binary(max_size=6000) | st.binary(max_size=200).map(lambda data: b"ID3\x04\0\0\0\0\0\x10" + data))
def test_any_bytes_give_a_container_or_a_typed_error(data: bytes) -> None:
    try:
        assert isinstance(sniff(data), Container)
    except StenopoolError as error:
        assert isinstance(error, UnsupportedMedia | EmptyMedia)


@given(st.text(min_size=1, max_size=3000))
def test_no_text_is_sound(text: str) -> None:
    data = text.encode()
    if data[4:8] in {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}:
        return
    with pytest.raises(UnsupportedMedia):
        sniff(data)


RUBBISH = {
    "zeros": bytes(MOST_RUBBISH),
    "ones": b"\xff" * MOST_RUBBISH,
    "noise": np.random.default_rng(5).integers(0, 256, MOST_RUBBISH, dtype=np.uint8).tobytes(),
}


@pytest.mark.parametrize("name", ["tagless.mp3", "layer2.mp3", "raw.aac"])
@pytest.mark.parametrize("size", [5000, 100_000, MOST_RUBBISH])
@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_between_tag_and_frames(recordings: Path, name: str, size: int, kind: str) -> None:
    before = id3_tag(512) + RUBBISH[kind][:size]
    data = before + (recordings / name).read_bytes()
    found = sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    assert (found.container.name, found.start) == (CONTAINERS[name][0].split()[0], len(before))


def test_more_rubbish_than_that_is_refused(recordings: Path) -> None:
    data = id3_tag(512) + bytes(MOST_RUBBISH + 1) + (recordings / "tagless.mp3").read_bytes()
    with pytest.raises(UnsupportedMedia):
        sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])


@pytest.mark.parametrize("name", [name for name in TEXTS if "tag" not in name and name not in ("zeros", "one byte")])
def test_far_behind_something_else_frames_are_no_recording(recordings: Path, name: str) -> None:
    """An archive, a program, a letter with a recording in it: behind a tag as well."""
    data = TEXTS[name][:3000].ljust(5000, TEXTS[name][:1]) + (recordings / "tagless.mp3").read_bytes()
    for before in (b"", id3_tag(512)):
        if name == "a lonely sync" and before:
            continue  # with a tag in front of it that is rubbish
        with pytest.raises(UnsupportedMedia):
            sniff(before + data)


def test_without_a_tag_only_padding_may_precede_so_much(recordings: Path) -> None:
    frames = (recordings / "tagless.mp3").read_bytes()
    assert sniff(bytes(50_000) + frames).name == "mp3"
    with pytest.raises(UnsupportedMedia):
        sniff(RUBBISH["noise"][:50_000] + frames)


@pytest.mark.parametrize("name", [*CONTAINERS, "music.m4a", "film.mp4"])
def test_a_tag_may_precede_anything(recordings: Path, name: str) -> None:
    tag, data = id3_tag(5000), (recordings / name).read_bytes()
    own, data = tag_length(data), tag + data
    found = sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    assert (found.container.name, found.start) == ((CONTAINERS | FILMS)[name][0].split()[0], len(tag) + own)


def test_what_is_refused_is_told_all_that_is_taken() -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        sniff(b"prose " * 1000)
    first, also, nothing = re.split(r"\. Also taken: |\.$", caught.value.message)
    assert first == "Unsupported audio format. Supported: mp3, mp4, mpeg, mpga, m4a, wav, webm"
    assert not nothing
    named = {*first.partition("Supported: ")[2].split(", "), *also.split(", ")}
    assert named == {ending for container in TABLE for ending in container.endings}


def worst_cases() -> dict[str, bytes]:
    """Bytes that are a header wherever one looks, of frames of each length, and yet no stream."""
    header = b"\xff\xfb\x92"  # whose frames end where there is none
    chains = bytearray(LOOK_BYTES)
    for at in range(0, LOOK_BYTES - 4, 5):
        chains[at : at + 4] = bytes((0xFF, 0xFB, 0x10 + 16 * (at // 5 % 14), at % 4 & 1))
    return {"headers": header * (LOOK_BYTES // 3), "chains": bytes(chains), "adts": b"\xff\xf1" * (LOOK_BYTES // 2)}


@pytest.mark.parametrize("name", worst_cases())
def test_a_search_ends_after_so_many_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[Search] = []
    begin = Search.__init__

    def noted(self: Search, *arguments: Any) -> None:
        searches.append(self)
        begin(self, *arguments)

    monkeypatch.setattr(Search, "__init__", noted)
    with contextlib.suppress(UnsupportedMedia):
        sniff(id3_tag(512) + worst_cases()[name])
    assert 1 <= len(searches) <= 2
    assert all(search.steps <= MOST_STEPS + 10 for search in searches)
