"""Oracle speech and its ear: exact in the clear, through every codec, and honest about what is cut or damaged."""

import itertools
import json
import subprocess
import sys
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pocketsphinx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.decode import decode
from pipeline.audio.ffmpeg.binary import ffmpeg_path
from pipeline.oracle.ear import BROKEN, listen
from pipeline.oracle.speech import VOCABULARY, Spoken, Style, generate, say, word_seconds
from pipeline.oracle.words import index_of

STYLES: tuple[Style, ...] = ("natural", "dense", "sparse")
CODECS = {
    "mp3-32": ("mp3", "-b:a 32k"),
    "mp3-64": ("mp3", "-b:a 64k"),
    "mp3-stereo": ("mp3", "-b:a 128k -ac 2 -ar 44100"),
    "mp3-8khz": ("mp3", "-b:a 16k -ar 8000"),
    "aac-32": ("m4a", "-c:a aac -b:a 32k"),
    "aac-64-44khz": ("mp4", "-c:a aac -b:a 64k -ar 44100"),
    "adts-48": ("aac", "-c:a aac -b:a 48k"),
    "opus-24": ("ogg", "-c:a libopus -b:a 24k"),
    "opus-voip-24": ("ogg", "-c:a libopus -b:a 24k -application voip"),
    "webm-32": ("webm", "-c:a libopus -b:a 32k"),
    "vorbis": ("ogg", "-c:a libvorbis"),
    "flac-48khz": ("flac", "-ar 48000"),
    "mulaw-8khz": ("wav", "-c:a pcm_mulaw -ar 8000"),
}


def recording(style: Style, seconds: float, seed: int = 7) -> tuple[bytes, list[Spoken]]:
    sound, truth = bytearray(), list[Spoken]()
    for block, words in generate(seconds=seconds, style=style, seed=seed):
        sound += block
        truth += words
    return bytes(sound), truth


def ffmpeg(*arguments: str, sound: bytes = b"") -> bytes:
    command = [ffmpeg_path(), "-nostdin", "-v", "error", "-y", *arguments]
    return subprocess.run(command, input=sound, capture_output=True, check=True, timeout=300).stdout


@pytest.fixture(scope="module", params=["natural", "dense"])
def minutes(request: pytest.FixtureRequest) -> tuple[bytes, list[Spoken]]:
    return recording(request.param, 75)


@pytest.mark.processes
@pytest.mark.parametrize("codec", CODECS)
def test_no_codec_takes_a_word_or_moves_it(codec: str, minutes: tuple[bytes, list[Spoken]], tmp_path: Path) -> None:
    pcm, truth = minutes
    suffix, settings = CODECS[codec]
    encoded = tmp_path / f"speech.{suffix}"
    raw = ["-f", "s16le", "-ar", "16000", "-ac", "1"]
    ffmpeg(*raw, "-i", "pipe:", *settings.split(), str(encoded), sound=pcm)
    with decode(encoded) as sound:
        heard = listen(b"".join(sound))
    assert [word.text for word in heard] == [word.text for word in truth]
    moved = np.array([word.start for word in heard]) - np.array([word.start for word in truth])
    assert np.abs(moved).max() <= 16  # samples: a millisecond


@pytest.mark.parametrize("style", STYLES)
def test_in_the_clear_every_word_is_where_it_was_said(style: Style) -> None:
    pcm, truth = recording(style, 120)
    heard = listen(pcm)
    assert [(word.text, word.start, word.end) for word in heard] == [
        (word.text, word.start, word.end) for word in truth
    ]


@pytest.mark.processes
@pytest.mark.parametrize("rate", [8_000, 11_025, 24_000, 44_100, 48_000])
def test_other_sample_rates(rate: int) -> None:
    stream = list(generate(seconds=20, style="natural", seed=2, sample_rate=rate))
    pcm = b"".join(block for block, _ in stream)
    assert len(pcm) == 2 * 20 * rate
    raw = ["-f", "s16le", "-ac", "1"]
    heard = listen(ffmpeg(*raw, "-ar", str(rate), "-i", "pipe:", *raw, "-ar", "16000", "pipe:", sound=pcm))
    truth = [word for _, words in stream for word in words]
    assert [word.text for word in heard] == [word.text for word in truth]
    assert all(abs(h.start / 16_000 - t.start / rate) < 0.002 for h, t in zip(heard, truth, strict=True))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 20 * 16_000), st.integers(0, 4 * 16_000), st.sampled_from(["natural", "dense"]))
def test_any_piece_has_whole_words_right_and_cut_ones_broken(start: int, length: int, style: Style) -> None:
    pcm, truth = recording(style, 24, seed=11)
    end = start + length
    heard = [(word.text, word.start + start) for word in listen(pcm[2 * start : 2 * end])]
    inside = [(word.text, word.start) for word in truth if word.start >= start and word.end <= end]
    nearly = [(word.text, word.start) for word in truth if word.start >= start - 400 and word.end <= end + 400]
    told = [word for word in heard if word[0] != BROKEN]
    assert [word for word in told if word in inside] == inside
    assert {text for text, _ in told} <= {text for text, _ in nearly}
    assert len(told) <= len(nearly)


@pytest.mark.parametrize("lost_ms", [40, 80, 120, 200])
def test_a_word_without_its_end_is_broken(lost_ms: int) -> None:
    pcm = say(["harbor"], edge_s=0.0)
    assert [word.text for word in listen(pcm)] == ["harbor"]
    assert [word.text for word in listen(pcm[: -32 * lost_ms])] == [BROKEN]


@pytest.mark.parametrize("lost_ms", [25, 40, 100, 250])
def test_a_word_without_its_beginning_is_never_told(lost_ms: int) -> None:
    heard = listen(say(["harbor", "tunnel"], edge_s=0.0)[32 * lost_ms :])
    assert [word.text for word in heard if word.text != BROKEN] == ["tunnel"]


def test_a_hole_in_a_word_breaks_it() -> None:
    pcm = bytearray(say(["harbor", "tunnel", "castle"], edge_s=0.1))
    begin = 3200 + round(32_000 * (word_seconds(index_of("harbor")) + 0.06)) + 32 * 100
    pcm[begin : begin + 32 * 90] = bytes(32 * 90)
    assert [word.text for word in listen(bytes(pcm))] == ["harbor", BROKEN, "castle"]


@pytest.mark.parametrize(
    "sound",
    [
        b"",
        b"\0",
        bytes(2),
        bytes(3200),
        bytes(64_000),
        np.random.default_rng(1).integers(-9000, 9000, 160_000, dtype="<i2").tobytes(),
        (12_000 * np.sin(np.arange(160_000) * 0.3)).astype("<i2").tobytes(),
        np.full(50_000, -32768, dtype="<i2").tobytes(),
    ],
    ids=["nothing", "half a sample", "one sample", "silence", "long silence", "noise", "a tone", "full scale"],
)
def test_nothing_is_heard_where_nobody_speaks(sound: bytes) -> None:
    assert listen(sound) == []


def test_faint_and_clipped_speech_is_heard() -> None:
    pcm, truth = recording("natural", 20)
    samples = np.frombuffer(pcm, "<i2").astype(float)
    for gain in (0.01, 0.1, 8.0):
        changed = np.clip(samples * gain, -32768, 32767).astype("<i2").tobytes()
        assert [word.text for word in listen(changed)] == [word.text for word in truth]


def test_every_word_of_the_vocabulary_can_be_said_and_heard() -> None:
    assert [word.text for word in listen(say(VOCABULARY, gap_s=0.0))] == list(VOCABULARY)


@pytest.mark.processes
@pytest.mark.parametrize("codec", ["none", "-c:a libmp3lame -b:a 32k -f mp3", "-c:a libopus -b:a 24k -f ogg"])
def test_a_speech_detector_hears_speech_in_words_and_silence_in_pauses(codec: str) -> None:
    pcm, truth = recording("sparse", 150)
    if codec != "none":
        raw = ["-f", "s16le", "-ar", "16000", "-ac", "1"]
        encoded = ffmpeg(*raw, "-i", "pipe:", *codec.split(), "pipe:", sound=pcm)
        pcm = ffmpeg("-i", "pipe:", *raw, "pipe:", sound=encoded)
    detector = pocketsphinx.Vad(mode=3, sample_rate=16_000, frame_length=0.03)
    frames = [pcm[at : at + 960] for at in range(0, len(pcm) - 959, 960)]
    speech = np.array([detector.is_speech(frame) for frame in frames])
    in_word, near_word = np.zeros(len(frames), bool), np.zeros(len(frames), bool)
    for word in truth:
        in_word[-(-word.start // 480) + 3 : word.end // 480] = True  # three frames for a codec's delay through a pipe
        near_word[max(0, word.start // 480 - 4) : word.end // 480 + 14] = True
    assert speech[in_word].mean() > 0.98
    assert speech[~near_word].mean() < 0.02


def test_dense_speech_is_heard_as_speech_without_one_pause() -> None:
    pcm, _ = recording("dense", 120)
    detector = pocketsphinx.Vad(mode=3, sample_rate=16_000, frame_length=0.03)
    assert all(detector.is_speech(pcm[at : at + 960]) for at in range(0, len(pcm) - 32_000, 960))


@pytest.mark.parametrize("style", STYLES)
def test_a_stream_is_exactly_as_long_as_asked_and_repeats_by_its_seed(style: Style) -> None:
    first, again, other = (recording(style, 33.333, seed) for seed in (4, 4, 5))
    assert len(first[0]) == 2 * round(33.333 * 16_000)
    assert first == again != other


def test_natural_words_and_pauses_are_as_long_as_peoples() -> None:
    _, truth = recording("natural", 600)
    lengths = [(word.end - word.start) / 16 for word in truth]
    pauses = [(after.start - before.end) / 16 for before, after in itertools.pairwise(truth)]
    assert min(lengths) >= 250
    assert max(lengths) <= 450
    assert all(20 <= pause <= 81 or 299 <= pause <= 1001 for pause in pauses)


def test_ten_hours_need_no_more_memory_than_a_minute() -> None:
    def peak(seconds: float) -> int:
        tracemalloc.start()
        for block, _ in itertools.islice(generate(seconds=36_000, style="dense", seed=1), int(seconds / 0.34)):
            assert len(block) <= 2 * 16_000
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(300)  # makes every word's wave once
    assert peak(600) <= peak(60) + 1_000_000


@pytest.mark.processes
def test_the_command_writes_sound_and_truth(tmp_path: Path) -> None:
    out, truth = tmp_path / "out.wav", tmp_path / "truth.json"
    options = ["--seconds", "5", "--seed", "3", "--style", "natural", "--truth", str(truth)]
    subprocess.run([sys.executable, "-m", "pipeline.oracle.speech", *options, str(out)], check=True, timeout=300)
    with wave.open(str(out)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (16_000, 1, 80_000)
        heard = listen(sound.readframes(80_000))
    assert [word.text for word in heard] == [word["text"] for word in json.loads(truth.read_text())]
