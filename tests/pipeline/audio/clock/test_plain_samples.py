"""Samples that already are what is asked for are handed on as they stand in the file, and no decoder is started for them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.clock import link_reader
from pipeline.audio.clock.placement import Piece
from pipeline.audio.containers.wav_format import BESIDE_SOUND, PlainSound, plain_sound
from pipeline.audio.decode import AudioFacts, decode
from pipeline.audio.findings import Findings
from pipeline.errors import MediaTooLong
from tests.pipeline.audio.access.test_remote import Elsewhere
from tests.pipeline.audio.sounds import tones, wav

SOUND = tones(16_000).tobytes()
MINUTE = 60 * 16_000  # samples


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def riff(*chunks: bytes, form: bytes = b"RIFF") -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return form + struct.pack("<I", len(content)) + content


def layout(kind: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16) -> bytes:
    width = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * width, width, bits))


def found(data: bytes) -> PlainSound | None:
    return plain_sound(lambda at, length: data[at : at + length], 0, len(data))


def decoded(source: bytes | Elsewhere) -> tuple[bytes, AudioFacts, Findings]:
    pieces = list[Piece]()
    with decode(source) as sound:
        pieces.extend(sound.pieces())
    ends = [at + len(pcm) // 2 for at, pcm in pieces]
    assert [at for at, _ in pieces] == [0, *ends[:-1]]
    assert max(len(pcm) for _, pcm in pieces) <= 64 * 1024
    return b"".join(pcm for _, pcm in pieces), sound.facts, sound.findings


@pytest.fixture
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("ffmpeg was started")

    monkeypatch.setattr(link_reader, "Child", refuse)


@pytest.mark.usefixtures("no_ffmpeg")
@pytest.mark.parametrize(
    "data",
    [
        wav(SOUND),
        riff(chunk(b"LIST", b"INFOISFT odd"), layout(), chunk(b"data", SOUND), chunk(b"id3 ", b"x" * 5)),
        riff(layout(), chunk(b"fact", bytes(4)), chunk(b"data", SOUND)),
    ],
)
def test_they_are_read_without_a_decoder(data: bytes) -> None:
    pcm, facts, findings = decoded(data)
    assert pcm == SOUND
    assert facts == AudioFacts("wav", "pcm_s16le", 1, 16_000)
    assert findings.gaps == findings.warnings == []
    assert [(track.number, track.codec) for track in findings.tracks] == [(1, "pcm_s16le")]
    assert decoded(Elsewhere(data)) == (pcm, facts, findings)


@pytest.mark.processes
def test_a_decoder_hears_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = riff(layout(), chunk(b"data", SOUND), chunk(b"LIST", b"INFO"))
    ours = decoded(data)
    monkeypatch.setattr(link_reader, "plain_sound", lambda *_: None)
    assert decoded(data) == ours


@pytest.mark.usefixtures("no_ffmpeg")
def test_the_limit_of_length_holds() -> None:
    with pytest.raises(MediaTooLong), decode(wav(SOUND), max_seconds=1) as sound:
        list(sound)


@pytest.mark.usefixtures("no_ffmpeg")
@pytest.mark.parametrize("begin", [0, MINUTE - 1, MINUTE, MINUTE + 7, 2 * MINUTE])
def test_a_part_far_in_is_read_from_where_it_begins(begin: int) -> None:
    whole = SOUND * (2 * MINUTE // len(SOUND) * 2 + 1)
    with decode(wav(whole), begin=begin) as sound:
        pieces = list(sound.pieces())
    at = begin if begin >= MINUTE else 0
    assert pieces[0][0] == at
    assert b"".join(pcm for _, pcm in pieces) == whole[2 * at :]


@pytest.mark.usefixtures("no_ffmpeg")
def test_a_part_behind_the_end_is_looked_for_in_all_of_it() -> None:
    with decode(wav(SOUND), begin=2 * MINUTE) as sound:
        assert b"".join(sound) == SOUND


@pytest.mark.parametrize(
    "data",
    [
        wav(SOUND, data_size=0),
        wav(SOUND, data_size=0xFFFFFFFF),
        wav(SOUND, data_size=len(SOUND) + 2),
        wav(SOUND, data_size=len(SOUND) - 2),
        wav(SOUND[:-1]),
        wav(SOUND, channels=2),
        riff(layout(kind=7, bits=8), chunk(b"data", SOUND)),
        riff(layout(kind=3, bits=32), chunk(b"data", SOUND)),
        riff(layout(kind=0xFFFE), chunk(b"data", SOUND)),
        riff(layout(), chunk(b"data", SOUND), chunk(b"data", SOUND)),
        riff(layout(), layout(), chunk(b"data", SOUND)),
        riff(chunk(b"data", SOUND), layout()),
        riff(layout(), chunk(b"SMV0", b"film"), chunk(b"data", SOUND)),
        riff(layout()[:-12], chunk(b"data", SOUND)),
        riff(layout(), chunk(b"data", SOUND), form=b"RF64"),
        riff(layout(), chunk(b"data", SOUND)) + b"rubbish",
        b"",
    ],
)
def test_what_leaves_anything_to_judge_is_a_decoders(data: bytes) -> None:
    assert found(data) is None


@given(
    before=st.lists(st.tuples(st.sampled_from(BESIDE_SOUND), st.binary(max_size=20)), max_size=3),
    samples=st.binary(min_size=2, max_size=40).filter(lambda pcm: len(pcm) % 2 == 0),
    behind=st.lists(st.tuples(st.sampled_from(BESIDE_SOUND), st.binary(max_size=20)), max_size=3),
    rate=st.sampled_from([8_000, 16_000, 48_000]),
)
def test_it_says_where_the_samples_stand(
    before: list[tuple[bytes, bytes]], samples: bytes, behind: list[tuple[bytes, bytes]], rate: int
) -> None:
    beside = ([chunk(*one) for one in some] for some in (before, behind))
    first, last = beside
    data = riff(*first, layout(rate=rate), chunk(b"data", samples), *last)
    sound = found(data)
    assert sound is not None
    assert sound.rate == rate
    assert data[sound.start : sound.end] == samples
