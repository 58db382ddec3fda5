"""The official OpenAI client for Node, unmodified, with another base URL: against `stenopool up`, and against an application
in this process whose JSON begins without its transcript after a moment already.

The client is fetched from the npm registry into a temp folder; without node and npm the test is skipped, which fails in CI.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import build
from tests.api.conftest import recording
from tests.api.serving import running
from tests.e2e.conftest import Installation
from tests.support.accounts import rich

SOUND, SAID = recording(16.0, seed=5)
LATE = next(word for word in reversed(SAID) if SAID.count(word) == 1)
CATALOG = """
[providers.oracle]
scripted = true
max_s = 4
min_s = 1.5
"""


@pytest.fixture(scope="module", params=["up", "hasty"])
def seen(
    request: pytest.FixtureRequest, node_package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the script saw, by case."""
    if request.param == "up":
        installation: Installation = request.getfixturevalue("installation")
        yield asked(node_package, f"{installation.url}/v1", installation.key, STENOPOOL_WORKERS="1")
        return
    home = tmp_path_factory.mktemp("home")
    (home / "catalog.toml").write_text(CATALOG)
    with (
        pytest.MonkeyPatch.context() as patch,
        build(Settings(home=home, catalog=home / "catalog.toml"), engine_processes=1) as services,
        running(create_app(services)) as place,
    ):
        patch.setattr("api.sync.transcription_response.JSON_PATIENCE", 1.5)
        patch.setattr("api.sync.transcription_response.KEEPALIVE_SECONDS", 0.4)
        key, _ = services.accounts.create_key(rich(services.database, "node"))
        yield asked(node_package, f"{place.url}/v1", key)


def asked(package: Path, url: str, key: str, **more: str) -> dict[str, Any]:
    """Run the script."""
    (package / "talk.wav").write_bytes(SOUND)
    told = {
        "PATH": os.environ["PATH"],
        "STENOPOOL_URL": url,
        "STENOPOOL_KEY": key,
        "STENOPOOL_BREAK": f"oracle: fail=99 at={LATE}",
        **more,
    }
    ran = subprocess.run(
        ["node", "client.mjs", "talk.wav"], cwd=package, env=told, capture_output=True, text=True, timeout=180
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize(
    "case", ["file", "blob", "readStream", "toFile", "namelessFile", "objects", "slow", "translation"]
)
def test_json_however_the_file_comes(seen: dict[str, Any], case: str) -> None:
    assert seen[case]["text"].split() == SAID


def test_words_and_segments(seen: dict[str, Any]) -> None:
    verbose = seen["verbose"]
    assert [word["word"] for word in verbose["words"]] == SAID
    assert " ".join(segment["text"].strip() for segment in verbose["segments"]).split() == SAID
    assert (verbose["language"], verbose["duration"]) == ("english", 16.0)


@pytest.mark.parametrize(("case", "start"), [("text", SAID[0]), ("srt", "1\n00:00:0"), ("vtt", "WEBVTT\n\n")])
def test_text_is_a_string(seen: dict[str, Any], case: str, start: str) -> None:
    assert seen[case].startswith(start)
    assert SAID[-1] in seen[case]


@pytest.mark.parametrize("case", ["stream", "streamFromFile"])
def test_a_stream_is_iterated(seen: dict[str, Any], case: str) -> None:
    *deltas, last = seen[case]
    assert len(deltas) > 1
    assert {one["type"] for one in deltas} == {"transcript.text.delta"}
    assert "".join(one["delta"] for one in deltas) == last["text"]
    assert (last["type"], last["text"].split()) == ("transcript.text.done", SAID)


def test_what_fails_late_is_never_taken_for_a_transcript(seen: dict[str, Any]) -> None:
    assert seen["brokenStream"]["class"] == "APIError"
    assert seen["brokenStream"]["code"] == "provider_unavailable"
    assert seen["slowFailure"]["class"] is not None


def test_speech_comes_as_bytes(seen: dict[str, Any]) -> None:
    assert seen["speech"]["type"] == "audio/mpeg"
    assert seen["speech"]["bytes"] > 500
    assert seen["speech"]["start"].startswith(("494433", "ff"))


def test_speech_as_a_stream_and_as_events(seen: dict[str, Any]) -> None:
    assert seen["speechStream"] > 500
    assert {event["type"] for event in seen["speechEvents"][:-1]} == {"speech.audio.delta"}
    assert seen["speechEvents"][-1]["type"] == "speech.audio.done"


def test_the_raw_answer_has_our_headers(seen: dict[str, Any]) -> None:
    raw = seen["raw"]
    assert raw["status"] == 200
    assert raw["text"].split() == SAID
    assert raw["requestId"].startswith("req_")
    assert raw["modelUsed"] == "oracle"


@pytest.mark.parametrize(
    ("case", "name", "status", "code"),
    [
        ("badKey", "AuthenticationError", 401, "invalid_api_key"),
        ("badKeyUpload", "AuthenticationError", 401, "invalid_api_key"),
        ("badModel", "NotFoundError", 404, "model_not_found"),
        ("badFile", "BadRequestError", 400, "unsupported_media"),
        ("tooLarge", "BadRequestError", 400, "file_too_large"),
    ],
)
def test_errors_have_their_class(seen: dict[str, Any], case: str, name: str, status: int, code: str) -> None:
    failed = seen[case]
    assert (failed["class"], failed["status"], failed["code"]) == (name, status, code)
    assert failed["type"] == "invalid_request"
    assert failed["requestID"].startswith("req_")


def test_models_are_listed(seen: dict[str, Any]) -> None:
    assert "whisper-1" in seen["models"]
    assert seen["model"] == {"id": "whisper-1", "object": "model"}
    assert seen["slashModel"]["code"] == "model_not_found"


def test_an_archive_goes_up_in_parts_and_comes_back_as_a_batch(seen: dict[str, Any]) -> None:
    """With workers behind it, that is: one part broke off on its way and was sent again."""
    told = seen["archive"]
    if told is not None:
        assert (told["status"], told["counts"]) == ("completed", {"total": 6, "completed": 6, "failed": 0})
        assert told["broken"] == 1
        assert {name: text.split() for name, text in told["texts"].items()} == {f"r-{n}": SAID for n in range(6)}
