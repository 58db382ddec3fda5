"""Clients that others have made, unmodified, with another base URL, against `stenopool up`: Groq's for Node, Vercel's AI SDK with
its providers for Groq and OpenAI, SpeechRecognition. Those for Node come from npm into a temp folder, as OpenAI's own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import recording
from tests.e2e.conftest import Installation

SOUND, SAID = recording(3.0, seed=9)
TEXT = " ".join(SAID)
RECOGNIZE = """
import sys
import speech_recognition

recognizer = speech_recognition.Recognizer()
with speech_recognition.AudioFile("talk.wav") as source:
    sound = recognizer.record(source)
print(recognizer.recognize_groq(sound, model="whisper-large-v3-turbo", language="en"))
print(recognizer.recognize_openai(sound, model="whisper-1"))
"""


@pytest.fixture(scope="module")
def seen(installation: Installation, node_package: Path) -> dict[str, Any]:
    """What the script saw, by case."""
    (node_package / "talk.wav").write_bytes(SOUND)
    told = {"PATH": os.environ["PATH"], "STENOPOOL_SERVER": installation.url, "STENOPOOL_KEY": installation.key}
    command = ["node", "others.mjs", "talk.wav"]
    ran = subprocess.run(command, cwd=node_package, env=told, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(
    "case", ["groqSdk", "groqSdkTranslates", "aiGroq", "aiGroqVerbose", "aiOpenAI", "aiOpenAIWords"]
)
def test_a_recording_becomes_text(seen: dict[str, Any], case: str) -> None:
    assert seen[case]["text"] == TEXT


def test_what_they_look_for_besides(seen: dict[str, Any]) -> None:
    assert seen["groqSdk"]["x_groq"]["id"].startswith("req_")
    assert seen["aiGroqVerbose"]["segments"] == seen["aiOpenAIWords"]["segments"] == TEXT
    assert (seen["aiGroqVerbose"]["language"], seen["aiGroqVerbose"]["seconds"]) == ("english", 3.0)


def test_text_becomes_sound(seen: dict[str, Any]) -> None:
    assert seen["groqSdkSpeaks"] == "RIFF"
    assert seen["aiOpenAISpeaks"]["type"] == "audio/mpeg" and seen["aiOpenAISpeaks"]["bytes"] > 500


def test_speech_recognition(installation: Installation, tmp_path: Path) -> None:
    """Its own warnings about old modules of Python are none of ours: another process."""
    (tmp_path / "talk.wav").write_bytes(SOUND)
    told = {"GROQ_BASE_URL": installation.url, "GROQ_API_KEY": installation.key, **installation.environ}
    command = [sys.executable, "-W", "ignore", "-c", RECOGNIZE]
    ran = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [TEXT, TEXT]
