"""Recordings made of random pieces, heard by the oracle, against what their time stamps say from first principles.

A piece is a few words with silence around them, in a format of its own. How pieces come together is the container's: bare frames
one behind the other, whole files joined end to end, packets with holes between them, tracks of which one is meant. No word may be
lost or doubled, each begins within 20 ms of its time and the delays that its codec does not state, and what is missing is told.
"""

import functools
import itertools
import random
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.audio.ffmpeg.binary import ffmpeg_path
from pipeline.cut.channel_chunks import Sound
from pipeline.cut.cutter import CutProfile
from pipeline.cut.holes import on_clock
from pipeline.oracle.ear import listen
from pipeline.oracle.speech import VOCABULARY, say, word_seconds
from pipeline.oracle.words import index_of
from pipeline.transcript import SAMPLE_RATE

pytestmark = pytest.mark.processes

EDGE, GAP = 0.3, 0.08  # seconds of silence around a piece, and between its words
NEAR = 0.02  # seconds
_QUIETLY = (ffmpeg_path(), "-nostdin", "-v", "error", "-y")
Words = list[tuple[str, float]]


@dataclass(frozen=True)
class Piece:
    """Words of a seed, in a format; `phase` -1: the second channel is the first one upside down."""

    seed: int
    rate: int
    channels: int
    phase: int = 1

    @property
    def spoken(self) -> tuple[str, ...]:
        return tuple(random.Random(self.seed).sample(VOCABULARY, 2 + self.seed % 3))

    @property
    def words(self) -> Words:
        """Each with when it begins, in seconds from the beginning of the piece."""
        lengths = [word_seconds(index_of(word)) + GAP for word in self.spoken]
        return list(zip(self.spoken, itertools.accumulate(lengths, initial=EDGE), strict=False))


PIECES = st.builds(
    Piece,
    st.integers(0, 11),
    st.sampled_from([16_000, 22_050, 32_000, 44_100, 48_000]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 1, -1]),
)
SEVERAL = st.lists(PIECES, min_size=1, max_size=5)


@functools.cache
def made(piece: Piece, suffix: str, *options: str) -> bytes:
    """The piece as a file of its own."""
    pan = [] if piece.channels == 1 else ["-af", f"pan=stereo|c0=c0|c1={piece.phase}*c0"]
    pcm = say(piece.spoken, gap_s=GAP, edge_s=EDGE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"piece.{suffix}"
        source = ("-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "pipe:0")
        subprocess.run([*_QUIETLY, *source, "-ar", str(piece.rate), *pan, *options, path], input=pcm, check=True)
        return path.read_bytes()


@functools.cache
def seconds(data: bytes, demuxer: str) -> float:
    """How long bare frames last: their samples, which ffmpeg counts, at their own rate."""
    counted = (*_QUIETLY, "-f", demuxer, "-i", "pipe:0", "-f", "s16le", "-ac", "1", "-ar", "192000", "pipe:1")
    return len(subprocess.run(counted, input=data, capture_output=True, check=True).stdout) / 2 / 192_000


@dataclass(frozen=True)
class Heard:
    words: Words
    sound: Sound
    seconds: float  # of sound
    end: float


def hear(data: bytes, **asked: object) -> Heard:
    """All words with their times on the clock of the recording, chunk by chunk as everybody hears them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(data)
        sound, words, end = Sound(path, **asked), list[tuple[str, float]](), 0
        for chunk in sound.chunks(CutProfile(max_s=30, min_s=10)):
            at = chunk.span.audio_start
            holes = [hole for hole in chunk.span.holes if hole.start >= at]
            words += [(word.text, on_clock(at + word.start, holes) / SAMPLE_RATE) for word in listen(chunk.pcm)]
            end = chunk.span.own_end
    return Heard(words, sound, sound.samples / SAMPLE_RATE, end / SAMPLE_RATE)


def placed(pieces: Sequence[Piece], starts: Sequence[float]) -> Words:
    return [(word, start + at) for piece, start in zip(pieces, starts, strict=True) for word, at in piece.words]


def assert_same(found: Words, wanted: Words, delay: float = 0.0, early: float = 0.0) -> None:
    assert [word for word, _ in found] == [word for word, _ in wanted]
    for (_, at), (_, when) in zip(found, wanted, strict=True):
        assert -NEAR - early <= at - when <= NEAR + delay


def starts_of(lengths: Sequence[float]) -> list[float]:
    return list(itertools.accumulate(lengths[:-1], initial=0.0))


BARE = {  # demuxer, encoder's options; in samples the delay that every piece behind the first keeps, and the longest frame
    "mp3": ("mp3", ("-write_xing", "0", "-id3v2_version", "0"), 1105 + 576, 1152),
    "aac": ("aac", ("-f", "adts"), 1024, 1024),
    "ac3": ("ac3", (), 256, 1536),
}
JUNK = st.binary(max_size=300).filter(lambda data: b"\xff" not in data and b"\x0b" not in data)


@pytest.mark.parametrize("kind", BARE)
@given(pieces=SEVERAL, junk=JUNK)
@settings(max_examples=10)
def test_bare_frames_one_behind_the_other(kind: str, pieces: list[Piece], junk: bytes) -> None:
    demuxer, options, delay, frame = BARE[kind]
    rates = {"ac3": (32_000, 44_100, 48_000)}.get(kind, ())
    pieces = [
        piece if not rates or piece.rate in rates else Piece(piece.seed, 48_000, piece.channels) for piece in pieces
    ]
    files = [made(piece, kind, *options) for piece in pieces]
    starts = starts_of([seconds(data, demuxer) for data in files])
    found = hear(junk.join(files))
    slowest = min(piece.rate for piece in pieces)
    lost = (len(pieces) - 1) * bool(junk)  # frames: what is found again behind rubbish begins with the second header
    early = delay / pieces[0].rate + lost * frame / slowest  # the first piece's own delay is left out for all of them
    assert_same(found.words, placed(pieces, starts), delay / slowest, early)
    assert found.seconds == pytest.approx(found.end, abs=0.001)


JOINED: dict[str, tuple[str, ...]] = {
    "wav": (),
    "flac": (),
    "ogg": ("-ar", "48000", "-c:a", "libopus"),
    "oga": ("-c:a", "libvorbis"),
    "aiff": (),
    "au": (),
    "w64": (),
    "mp3": (),  # each with the tag that tells its encoder's delay
}


@pytest.mark.parametrize("kind", JOINED)
@given(pieces=SEVERAL)
@settings(max_examples=6)
def test_files_joined_end_to_end(kind: str, pieces: list[Piece]) -> None:
    files = [made(piece, kind, *JOINED[kind]) for piece in pieces]
    lengths = [len(say(piece.spoken, gap_s=GAP, edge_s=EDGE)) / 2 / SAMPLE_RATE for piece in pieces]
    found = hear(b"".join(files))
    assert_same(found.words, placed(pieces, starts_of(lengths)))
    assert found.end == pytest.approx(sum(lengths), abs=0.01 * len(pieces))
    assert not found.sound.findings.gaps
    opposite = [piece for piece in pieces if piece.channels > 1 and piece.phase < 0]
    assert bool(opposite) == any(caution.code == "opposite_phase" for caution in found.sound.findings.warnings)


KINDS = {**JOINED, "m4a": ("-c:a", "aac"), "webm": ("-c:a", "libvorbis"), "caf": (), "wv": (), "voc": ()}


@given(parts=st.lists(st.tuples(PIECES, st.sampled_from(list(KINDS))), min_size=2, max_size=5))
@settings(max_examples=25)
def test_files_of_several_kinds_joined_end_to_end(parts: list[tuple[Piece, str]]) -> None:
    pieces = [piece for piece, _ in parts]
    files = [made(piece, kind, *KINDS[kind]) for piece, kind in parts]
    lengths = [len(say(piece.spoken, gap_s=GAP, edge_s=EDGE)) / 2 / SAMPLE_RATE for piece in pieces]
    found = hear(b"".join(files))
    assert_same(found.words, placed(pieces, starts_of(lengths)), 0.01 * len(parts))
    assert found.end == pytest.approx(sum(lengths), abs=0.025 * len(pieces))
    assert not found.sound.findings.gaps
    assert {caution.code for caution in found.sound.findings.warnings} <= {"opposite_phase"}


STAMPED = {
    "mka": ("-c:a", "libopus"),
    "webm": ("-c:a", "libvorbis"),
    "mkv": ("-c:a", "pcm_s16le"),
    "m4a": ("-c:a", "aac"),
    "mp4": ("-c:a", "libmp3lame"),
    "ogg": ("-c:a", "libopus"),
    "ts": ("-c:a", "mp2"),
    "mov": ("-c:a", "alac"),
}
STAMP_DELAY = {"ts": 0.012, "ogg": 0.01}
PAGES = {
    "ogg": ("-page_duration", "20000")
}  # µs: stamps belong to pages, and a hole in one of a second lies before all of it
HOLES = st.lists(st.sampled_from([0.0, 0.0, 0.05, 0.4, 0.95, 1.5, 4.0, 120.0]), min_size=5, max_size=5)


@pytest.mark.parametrize("kind", STAMPED)
@given(seeds=st.lists(st.integers(0, 11), min_size=2, max_size=5), holes=HOLES, channels=st.sampled_from([1, 2]))
@settings(max_examples=6)
def test_packets_with_holes_between_them(kind: str, seeds: list[int], holes: list[float], channels: int) -> None:
    """The words of all seeds in one stream; behind each lies a hole, in the silence."""
    pieces = [Piece(seed, 48_000, channels) for seed in seeds]
    lengths = [len(say(piece.spoken, gap_s=GAP, edge_s=EDGE)) / 2 / SAMPLE_RATE for piece in pieces]
    cuts = list(itertools.accumulate(lengths))[:-1]
    gaps = holes[: len(cuts)]
    shifts = list(itertools.accumulate(gaps, initial=0.0))
    starts = [start + shift for start, shift in zip(starts_of(lengths), shifts, strict=True)]
    found = hear(holed(pieces, kind, cuts, gaps))
    assert_same(found.words, placed(pieces, starts), STAMP_DELAY.get(kind, 0.0))
    told = found.sound.findings.gaps
    assert [gap.code for gap in told] == ["hole" for length in gaps if length >= 1]
    assert [(gap.end - gap.start) / 1000 for gap in told] == pytest.approx([one for one in gaps if one >= 1], abs=NEAR)
    assert found.end - found.seconds == pytest.approx(sum(gap.end - gap.start for gap in told) / 1000, abs=0.002)


def holed(pieces: Sequence[Piece], suffix: str, cuts: Sequence[float], gaps: Sequence[float]) -> bytes:
    """All pieces encoded as one, and the packets behind each cut stamped so much later."""
    pcm = b"".join(say(piece.spoken, gap_s=GAP, edge_s=EDGE) for piece in pieces)
    later = "+".join(f"if(gte(PTS*TB,{cut}),{gap},0)" for cut, gap in zip(cuts, gaps, strict=True)) or "0"
    channels = str(pieces[0].channels)
    with tempfile.TemporaryDirectory() as folder:
        plain, path = Path(folder) / f"plain.{suffix}", Path(folder) / f"holed.{suffix}"
        source = ("-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "pipe:0")
        encode = ("-ar", "48000", "-ac", channels, *STAMPED[suffix], *PAGES.get(suffix, ()), plain)
        subprocess.run([*_QUIETLY, *source, *encode], input=pcm, check=True)
        moved = ("-c", "copy", "-bsf:a", f"setts=ts='PTS+({later})/TB'", *PAGES.get(suffix, ()), path)
        subprocess.run([*_QUIETLY, "-i", plain, *moved], check=True)
        return path.read_bytes()


@given(
    seeds=st.lists(st.integers(0, 11), min_size=2, max_size=4, unique=True),
    default=st.integers(0, 3),
    silent=st.sets(st.integers(0, 3)),
)
@settings(max_examples=10)
@example(seeds=[1, 2], default=0, silent={0, 1})
def test_of_several_tracks_the_one_that_is_meant(seeds: list[int], default: int, silent: set[int]) -> None:
    default %= len(seeds)
    pieces = [Piece(seed, 48_000, 1 + seed % 2) for seed in seeds]
    with tempfile.TemporaryDirectory() as folder:
        inputs, maps = list[str](), list[str]()
        for number, piece in enumerate(pieces):
            path = Path(folder) / f"{number}.wav"
            data = made(piece, "wav")
            path.write_bytes(data[:80] + bytes(len(data) - 80) if number in silent else data)
            inputs += ["-i", str(path)]
            maps += ["-map", str(number), f"-disposition:a:{number}", "default" if number == default else "0"]
        film = Path(folder) / "film.mkv"
        subprocess.run([*_QUIETLY, *inputs, *maps, "-c:a", "flac", film], check=True)
        data = film.read_bytes()
    order = sorted(range(len(pieces)), key=lambda number: (number != default, number))
    meant = next((number for number in order if number not in silent), default)
    found = hear(data)
    assert_same(found.words, [] if meant in silent else placed([pieces[meant]], [0.0]))
    codes = [caution.code for caution in found.sound.findings.warnings]
    assert ("other_track" in codes, "silent_track" in codes) == (meant != default, meant in silent)
    for number, piece in enumerate(pieces):
        alone = hear(data, track=number + 1)
        assert_same(alone.words, [] if number in silent else placed([piece], [0.0]))


CUT: dict[str, tuple[str, ...]] = {  # a chain of Ogg that ends between two pages is as whole as any, and claims nothing
    "wav": (),
    "flac": (),
    "aiff": (),
    "au": (),
    "w64": (),
    "mp3": (),
    "m4a": ("-movflags", "faststart"),
    "mka": ("-c:a", "libopus"),
    "wv": (),
    "avi": (),
}


@pytest.mark.parametrize("kind", CUT)
@given(seeds=st.lists(st.integers(0, 11), min_size=2, max_size=4), share=st.floats(0.3, 0.95))
@settings(max_examples=5)
def test_what_is_cut_off_is_heard_as_far_as_it_goes_and_told(kind: str, seeds: list[int], share: float) -> None:
    pieces = [Piece(seed, 48_000, 1) for seed in seeds]
    pcm = b"".join(say(piece.spoken, gap_s=GAP, edge_s=EDGE) for piece in pieces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"whole.{kind}"
        source = ("-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "pipe:0")
        subprocess.run([*_QUIETLY, *source, "-ar", "48000", *CUT[kind], path], input=pcm, check=True)
        data = path.read_bytes()
    found = hear(data[: int(share * len(data))])
    lengths = [len(say(piece.spoken, gap_s=GAP, edge_s=EDGE)) / 2 / SAMPLE_RATE for piece in pieces]
    wanted = [(word, at) for word, at in placed(pieces, starts_of(lengths)) if at + 0.5 < found.end]
    assert_same(found.words[: len(wanted)], wanted)
    assert any(caution.code == "truncated" and caution.lost for caution in found.sound.findings.warnings)
