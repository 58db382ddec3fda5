"""`stenopool transcribe` on recordings whose words are known."""

import io
import json
import os
import sys
import wave
from pathlib import Path

import numpy as np
import psutil
import pytest
import srt

from cli import exits
from cli.main import main
from tests.cli.conftest import Run
from tests.support.holed_sound import DAMAGE, HOLE, HoledSound
from tests.support.recordings import Recording, long, short
from tests.support.sound_files import with_tracks
from tests.support.terminal import Terminal

pytestmark = pytest.mark.processes


@pytest.fixture
def talk(tmp_path: Path) -> tuple[Path, Recording]:
    path = tmp_path / "talk [1].wav"
    path.write_bytes(short(1).wav)
    return path, short(1)


def test_text_on_stdout_and_nothing_else(run: Run, talk: tuple[Path, Recording]) -> None:
    path, recording = talk
    said = run("transcribe", path, "--model", "oracle")
    assert said.code == 0
    assert said.out.split() == list(recording.words)
    assert "by oracle" in said.err


def test_what_was_not_heard_is_told_beside_the_text(
    run: Run, talk: tuple[Path, Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.run.Sound", HoledSound)
    said = run("transcribe", talk[0], "--model", "oracle", "--json")
    assert f"{talk[0]}: not heard, 0:00.0 to 1:01.5: The recording has no sound here. [hole]" in said.err
    assert said.err.count(" not heard, ") == 2
    assert "The file ends early. [truncated]" in said.err
    assert [gap["code"] for gap in said.json["gaps"]] == ["hole", "undecodable"]
    assert said.json["incomplete"] and len(said.json["warnings"]) == 1
    assert said.json["duration_seconds"] - said.json["audio_seconds"] == pytest.approx(HOLE + DAMAGE)
    plain = run("transcribe", talk[0], "--model", "oracle")
    assert plain.out.split()[: len(talk[1].words)] == list(talk[1].words)


def test_tracks(run: Run, talk: tuple[Path, Recording], tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    film.write_bytes(with_tracks(tmp_path, short(1).wav, short(2).wav))
    both = run("transcribe", film, "--model", "oracle", "--audio-track", "all").out
    assert "track_1: " in both and "track_2: " in both
    assert run("transcribe", film, "--model", "oracle", "--audio-track", "2").out.split() == list(short(2).words)
    beyond = run("transcribe", film, "--model", "oracle", "--audio-track", "3")
    assert (beyond.code, "no audio track 3" in beyond.err) == (exits.BAD_INPUT, True)
    for wrong in ("0", "two"):
        said = run("transcribe", talk[0], "--model", "oracle", "--audio-track", wrong)
        assert (said.code, said.out) == (exits.BAD_INPUT, "")
        assert 'from 1, or "all"' in said.err


def test_subtitles_of_a_longer_recording_into_a_file(run: Run, tmp_path: Path) -> None:
    recording = long(70, seed=3)
    (tmp_path / "long.wav").write_bytes(recording.wav)
    target = tmp_path / "new" / "long.srt"
    said = run("transcribe", tmp_path / "long.wav", "--model", "oracle", "--format", "srt", "--output", target)
    assert (said.code, said.out) == (0, "")
    cues = list(srt.parse(target.read_text()))
    assert " ".join(cue.content for cue in cues).split() == list(recording.words)
    assert [path.name for path in target.parent.iterdir()] == ["long.srt"]


def test_several_into_a_folder_go_on_after_a_failure(run: Run, talk: tuple[Path, Recording], tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("This is no music.")
    folder = tmp_path / "out"
    said = run("transcribe", tmp_path / "notes.mp3", talk[0], "--model", "oracle", "--format", "vtt", "-o", folder)
    assert said.code == exits.BAD_INPUT
    assert [path.name for path in folder.iterdir()] == ["talk [1].vtt"]
    assert "notes.mp3: Unsupported audio format" in said.err
    assert "Traceback" not in said.err


def test_several_on_stdout_have_headings(run: Run, talk: tuple[Path, Recording]) -> None:
    said = run("transcribe", talk[0], talk[0], "--model", "oracle")
    assert said.out.count(f"==> {talk[0]} <==\n") == 2


def test_json_is_one_object_per_recording_errors_included(
    run: Run, talk: tuple[Path, Recording], tmp_path: Path
) -> None:
    said = run("transcribe", talk[0], tmp_path / "missing.wav", "--model", "oracle", "--json")
    assert said.code == exits.BAD_INPUT
    good, bad = (json.loads(line) for line in said.out.splitlines())
    assert good["ok"] and good["text"].split() == list(talk[1].words) and good["model_used"] == "oracle"
    assert not bad["ok"] and bad["error"]["code"] == "invalid_request"


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(short(2).wav))
    monkeypatch.setattr("sys.stdin", stdin)
    assert run("transcribe", "-", "--model", "oracle").out.split() == list(short(2).words)


def test_samples_without_a_header(run: Run, talk: tuple[Path, Recording], tmp_path: Path) -> None:
    (tmp_path / "talk.raw").write_bytes(talk[1].wav[44:])
    declared = ("--input-format", "s16le", "--input-sample-rate", "16000")
    said = run("transcribe", tmp_path / "talk.raw", "--model", "oracle", *declared, "--input-channels", "1")
    assert said.out.split() == list(talk[1].words)
    half = run("transcribe", tmp_path / "talk.raw", "--model", "oracle", *declared)
    assert (half.code, half.out) == (exits.BAD_INPUT, "")
    assert "input_channels" in half.err


def test_silence_is_no_failure(run: Run, tmp_path: Path) -> None:
    wav = bytearray(short(1).wav)
    wav[44:] = bytes(len(wav) - 44)
    (tmp_path / "quiet.wav").write_bytes(wav)
    said = run("transcribe", tmp_path / "quiet.wav", "--model", "oracle")
    assert (said.code, said.out.strip()) == (0, "")
    assert "without speech" in said.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--model", "nobody"), exits.NOT_THERE),
        (("--model", "tts-1"), exits.BAD_INPUT),
        (("--format", "docx"), exits.BAD_INPUT),
        (("--colour",), exits.USAGE),
        (("--output", "/proc/nowhere/talk.srt", "--model", "oracle"), exits.BAD_INPUT),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_refusals(run: Run, talk: tuple[Path, Recording], words: tuple[str, ...], code: int) -> None:
    said = run("transcribe", talk[0], *words)
    assert said.code == code
    assert "Traceback" not in said.err


def test_no_route_is_a_service_away(run: Run, talk: tuple[Path, Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENOPOOL_EMBEDDED_ENGINES", "off")
    assert run("transcribe", talk[0]).code == exits.AWAY


def test_main_is_what_the_console_script_calls() -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["transcribe"])
    assert leaving.value.code == exits.USAGE


def test_on_a_terminal_there_is_a_bar_and_ctrl_c_does_not_wait(home: Path, tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(long(1500, seed=5).wav)
    (tmp_path / "catalog.toml").write_text("[providers.oracle]\nmax_s = 4.0\nmin_s = 1.5\n")
    target = tmp_path / "long.txt"
    words = ("transcribe", str(tmp_path / "long.wav"), "--model", "oracle", "-o", str(target))
    environ = {**os.environ, "STENOPOOL_HOME": str(home), "STENOPOOL_CATALOG": str(tmp_path / "catalog.toml")}
    terminal = Terminal([sys.executable, "-P", "-m", "cli", *words], environ)
    terminal.read_until(" of ")
    family = psutil.Process(terminal.process.pid).children(recursive=True)
    terminal.type("\x03")
    assert terminal.process.wait(300) == exits.INTERRUPTED
    assert psutil.wait_procs(family, 60)[1] == []
    assert not target.exists()


def test_each_channel_and_a_part_of_it(run: Run, tmp_path: Path) -> None:
    """The same words as in the whole, labelled, with times of the whole; TTML and paragraphs are formats like any other."""
    sides = [np.frombuffer(long(20, seed=seed).wav[44:], dtype="<i2") for seed in (1, 2)]
    length = min(map(len, sides))
    with wave.open(str(tmp_path / "call.wav"), "wb") as file:
        file.setparams((2, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.stack([side[:length] for side in sides], axis=1).tobytes())
    asked = ("transcribe", tmp_path / "call.wav", "--model", "oracle", "--channels", "separate", "--range", "5-15")
    found = run(*asked, "--json").json["transcript"]["segments"]
    assert {segment["channel"] for segment in found} == {0, 1}
    assert all(4990 <= segment["start"] <= segment["end"] <= 15_000 for segment in found)
    assert "channel_1: " in run(*asked).out
    assert run(*asked, "--format", "ttml").out.startswith("<?xml")
    assert run(*asked[:-4], "--paragraphs").code == 0
    assert run(*asked[:-1], "15-5").code == exits.USAGE
    assert "the recording has" in run(*asked[:-1], "500-").err


@pytest.mark.parametrize("language", ["de", "German", "klingon"])
def test_a_language_that_nobody_hears_is_told_before_any_work(run: Run, tmp_path: Path, language: str) -> None:
    said = run("transcribe", tmp_path / "not there.wav", "--language", language)
    assert (said.code, said.out) == (exits.BAD_INPUT, "")
    told = (
        "ISO 639-1" if language == "klingon" else "does not hear German (`de`) as it is served here. It hears only en."
    )
    assert told in said.err
    assert "unsupported_language" in said.err and "no such file" not in said.err


@pytest.mark.parametrize("language", ["auto", "", "en-US", "English"])
def test_auto_is_as_leaving_the_language_out(run: Run, talk: tuple[Path, Recording], language: str) -> None:
    plain = run("transcribe", talk[0], "--model", "oracle", "--json")
    said = run("transcribe", talk[0], "--model", "oracle", "--json", "--language", language)
    assert said.code == 0 and said.json == plain.json


def test_models_lists_the_languages_of_who_serves(run: Run) -> None:
    listed = {one["id"]: one for one in run("models", "--json").json}
    assert listed["whisper-1"]["languages"] == ["en"]
    assert "de" in listed["tts-1"]["languages"]
    assert listed["oracle"]["languages"] == []


def test_a_folder_is_a_matter_for_bulk(run: Run, tmp_path: Path) -> None:
    said = run("transcribe", tmp_path, "--model", "oracle")
    assert said.code == exits.BAD_INPUT
    assert f"use: stenopool bulk {tmp_path} --local" in said.err


def test_recordings_of_one_name_are_both_named(run: Run, tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "talk.wav", tmp_path / "b" / "talk.wav"
    said = run("transcribe", one, other, "--model", "oracle", "--output", tmp_path / "out/")
    assert said.code == exits.BAD_INPUT
    assert str(one) in said.err
    assert str(other) in said.err
