"""`stenopool speak`, and that `transcribe` understands it."""

import subprocess
import sys
import wave
from pathlib import Path

import pytest
import srt

from cli import exits
from pipeline.oracle.words import VOCABULARY
from tests.cli.conftest import Run

pytestmark = pytest.mark.processes

WORDS = " ".join(VOCABULARY[:5])


@pytest.mark.parametrize("ending", ["flac", "ogg", "mp3"])
def test_what_is_spoken_is_heard(run: Run, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"said.{ending}"
    said = run("speak", WORDS, "--model", "oracle", "--output", target)
    assert (said.code, said.out) == (0, "")
    assert run("transcribe", target, "--model", "oracle").out.split() == WORDS.split()


def test_facts_as_json(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "said.wav"
    facts = run("speak", "Good morning.", "--output", target, "--json").json
    assert facts == {
        "output": str(target),
        "bytes": target.stat().st_size,
        "format": "wav",
        "model_used": "espeak-ng",
    }
    assert target.read_bytes()[:4] == b"RIFF"


def test_text_from_a_pipe_to_a_pipe(home: Path) -> None:
    command = [sys.executable, "-m", "cli", "speak", "-", "--model", "oracle", "--format", "wav"]
    said = subprocess.run(command, input=WORDS.encode(), capture_output=True, timeout=300)
    assert (said.returncode, said.stdout[:4]) == (0, b"RIFF")
    assert b"by oracle" in said.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("  ",), exits.BAD_INPUT),
        (("Hello", "--format", "midi"), exits.BAD_INPUT),
        (("Hello", "--speed", "9"), exits.USAGE),
        (("Hello", "--model", "whisper-1"), exits.BAD_INPUT),
        (("Hello", "--model", "nobody"), exits.NOT_THERE),
        (("Hello", "--json"), exits.USAGE),
        (("Hello", "--voice", "no such voice"), exits.BAD_INPUT),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_refusals_leave_no_file(run: Run, tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    said = run("speak", *words, *(() if "--json" in words else ("--output", tmp_path / "said.mp3")))
    assert said.code == code
    assert "Traceback" not in said.err
    assert list(tmp_path.glob("*said*")) == []


def test_a_long_text_with_its_captions(run: Run, tmp_path: Path) -> None:
    text = " ".join(f"This is sentence {number} of a long story." for number in range(60))
    sound, captions = tmp_path / "book.wav", tmp_path / "book.srt"
    assert run("speak", text, "--speed", "4", "--output", sound, "--captions", captions).code == 0
    found = list(srt.parse(captions.read_text()))
    assert " ".join(" ".join(one.content.split()) for one in found) == text
    with wave.open(str(sound)) as file:
        assert found[-1].end.total_seconds() <= file.getnframes() / 24_000
    assert run("speak", "Hello.", "--output", sound, "--captions", tmp_path / "book.doc").code == exits.USAGE
