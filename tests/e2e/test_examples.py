"""The examples that readers paste, run as they are printed, by the programs they are for: those of docs/openai-clients.md, and
those that GET /v1/models/{id} gives."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest

from tests.api.conftest import recording
from tests.e2e.conftest import Installation
from tests.support.repository import ROOT

DOCUMENT = (ROOT / "docs" / "openai-clients.md").read_text("utf-8")
EXECUTED = re.compile(r"<!-- executed by tests/e2e/test_examples.py -->\n```(\w+)\n(.*?)```", re.DOTALL)
EXAMPLES = EXECUTED.findall(DOCUMENT)
SOUND, SAID = recording(3.0, seed=4)


def need(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"needs {program}")


def run(command: Sequence[str], installation: Installation, folder: Path) -> str:
    """What it prints, in a folder where talk.mp3 is."""
    (folder / "talk.mp3").write_bytes(SOUND)
    for old in folder.glob("speech.*"):
        old.unlink()
    ran = subprocess.run(command, env=installation.environ, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


def execute(language: str, code: str, installation: Installation, folder: Path, package: Path | None = None) -> str:
    """The code, by the program that it is for."""
    if language == "python":
        return run([sys.executable, "-c", code], installation, folder)
    if language in ("sh", "curl"):
        need("curl")
        return run(["sh", "-ec", code], installation, folder)
    need("node")
    place = package or folder
    (place / "example.mjs").write_text(code)
    return run(["node", "example.mjs"], installation, place)


def folder_for(code: str, request: pytest.FixtureRequest) -> Path | None:
    """Where OpenAI's client for Node is, for examples that use it."""
    wants = 'from "openai"' in code
    folder: Path | None = request.getfixturevalue("node_package") if wants else None
    return folder


@pytest.mark.parametrize(("language", "code"), EXAMPLES, ids=[f"{lang}-{n}" for n, (lang, _) in enumerate(EXAMPLES)])
def test_as_printed(
    language: str, code: str, installation: Installation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    package = folder_for(code, request)
    printed = execute(language, code, installation, tmp_path, package)
    assert SAID[0] in printed
    made = [path for path in (package or tmp_path).glob("speech.*") if path.stat().st_size > 500]
    assert made, "a file with speech"


def test_each_way_is_there() -> None:
    assert [language for language, _ in EXAMPLES] == ["sh", "python", "python", "js", "js"]
    assert len(EXAMPLES) == DOCUMENT.count("<!-- executed by tests/e2e/test_examples.py")


@pytest.mark.parametrize("language", ["python", "node", "curl"])
@pytest.mark.parametrize(
    ("model", "task"), [("whisper-1", "transcription"), ("whisper-1", "translation"), ("tts-1", "speech")]
)
def test_the_catalogs_examples(  # noqa: PLR0917
    model: str, task: str, language: str, installation: Installation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    code = shown(installation, model)["examples"][task][language]
    assert installation.url in code
    package = folder_for(code, request)
    printed = execute(language, code, installation, tmp_path, package)
    if task == "speech":
        assert ((package or tmp_path) / "speech.mp3").stat().st_size > 500
    else:
        assert SAID[0] in printed


def shown(installation: Installation, model: str) -> dict[str, dict[str, dict[str, str]]]:
    key = {"Authorization": f"Bearer {installation.key}"}
    answer = httpx2.get(f"{installation.url}/v1/models/{model}", headers=key, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_model_and_task_has_examples(installation: Installation) -> None:
    key = {"Authorization": f"Bearer {installation.key}"}
    for listed in httpx2.get(f"{installation.url}/v1/models", headers=key, timeout=60).json()["data"]:
        examples = shown(installation, listed["id"])["examples"]
        assert list(examples) == listed["tasks"]
        for by_language in examples.values():
            assert all(
                listed["id"] in code and "$" not in code.replace("$OPENAI_API_KEY", "") for code in by_language.values()
            )
            compile(by_language["python"], "example", "exec")
