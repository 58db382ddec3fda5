"""Stenopool behind Stenopool: one installation is the OpenAI server of another, for every endpoint."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline import formats
from pipeline.options import SPEECH_FORMATS, SpeechOptions, TranscriptionOptions
from pipeline.run import is_local, speak, transcribe
from tests.api.conftest import recording
from tests.api.serving import running

UPSTREAM = """
[models.whisper-1]
routes = [{ provider = "oracle", model = "oracle" }]
[models.tts-1]
routes = [{ provider = "oracle", model = "oracle" }]
"""
BELOW = """
[providers.small]
kind = "openai"
base_url = "{url}/v1"
api_key_env = "KEY_OF_THE_SMALL_ONE"
[models.through-a-small-one]
tasks = ["transcription"]
routes = [{{ provider = "small", model = "whisper-1" }}]
"""
MEGABYTE = 1_000_000


class Small:
    """An application that takes no body of more than a megabyte, and says so as a proxy would."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.refused = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if int(dict(scope.get("headers", ())).get(b"content-length", b"0")) <= MEGABYTE:
            await self.app(scope, receive, send)
            return
        self.refused += 1
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<html>Request Entity Too Large</html>"})


@dataclass
class Cascade:
    """The lower installation, over HTTP and as services; and the door before the upper one that takes little."""

    url: str
    headers: dict[str, str]
    services: Services
    small: Small

    def hear(self, path: str = "transcriptions", sound: bytes = b"", **fields: Any) -> httpx2.Response:
        data = {"model": "whisper-1", **fields}
        return self._post(path, data=data, files={"file": ("talk.wav", sound or SOUND)})

    def speak(self, **fields: Any) -> httpx2.Response:
        return self._post("speech", json={"model": "tts-1", "input": "seven river", "voice": "alloy", **fields})

    def _post(self, path: str, **content: Any) -> httpx2.Response:
        return httpx2.post(f"{self.url}/v1/audio/{path}", headers=self.headers, timeout=60, **content)


SOUND, SAID = recording(3.0)


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cascade]:
    home = tmp_path_factory.mktemp("cascade")
    (home / "upstream.toml").write_text(UPSTREAM)
    with ExitStack() as opened:
        upstream = opened.enter_context(
            build(Settings(home=home / "upstream", catalog=home / "upstream.toml"), engine_processes=1)
        )
        secret = key_of(upstream)
        top = opened.enter_context(running(create_app(upstream)))
        small = Small(create_app(upstream))
        (home / "below.toml").write_text(BELOW.format(url=opened.enter_context(running(small)).url))
        environ = {
            "STENOPOOL_HOME": str(home / "below"),
            "STENOPOOL_CATALOG": str(home / "below.toml"),
            "STENOPOOL_OPENAI_API_KEY": secret,
            "STENOPOOL_OPENAI_BASE_URL": f"{top.url}/v1",
            "KEY_OF_THE_SMALL_ONE": secret,
        }
        below = opened.enter_context(build(Settings.from_env(environ), engine_processes=1))
        place = opened.enter_context(running(create_app(below)))
        yield Cascade(place.url, {"Authorization": f"Bearer {key_of(below)}"}, below, small)


def key_of(services: Services) -> str:
    """Of an account that nothing limits."""
    account = services.accounts.create_account("caller", "enterprise").id
    services.ledger.top_up(account, 10**9)
    return services.accounts.create_key(account)[0]


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: {")]


def test_without_the_api(cascade: Cascade) -> None:
    sound, said = recording(40.0)  # long enough to be sent as FLAC
    asked = TranscriptionOptions(model="whisper-1")
    assert not is_local(asked, cascade.services.registry)
    heard = transcribe(sound, asked, cascade.services.registry)
    assert heard.text.split() == said
    assert (heard.model_used, heard.language) == ("oracle", "en")
    assert [word.text for word in heard.words] == said
    spoken = speak(SpeechOptions(model="tts-1", input="seven river", response_format="wav"), cascade.services.registry)
    assert spoken.model_used == "oracle"
    again = transcribe(b"".join(spoken), TranscriptionOptions(model="oracle"), cascade.services.registry)
    assert again.text == "seven river"


@pytest.mark.parametrize("shape", [name for name in formats.names() if name != "diarized_json"])
@pytest.mark.parametrize("path", ["transcriptions", "translations"])
def test_every_format(cascade: Cascade, path: str, shape: str) -> None:
    answer = cascade.hear(path, response_format=shape)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-perf-model-used"] == "oracle"
    heard = answer.json()["text"] if "json" in shape else answer.text
    assert all(word in heard for word in SAID)


def test_word_times_come_through(cascade: Cascade) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    through, direct = cascade.hear(**fields).json(), cascade.hear(**fields, model="oracle").json()
    assert [word["word"] for word in through["words"]] == SAID
    assert through["words"] == direct["words"]
    assert (through["language"], through["duration"]) == (direct["language"], direct["duration"])


def test_a_stream_of_text(cascade: Cascade) -> None:
    *deltas, done = events(cascade.hear(stream="true"))
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == " ".join(SAID)
    assert done["perf"]["model_used"] == "oracle"


@pytest.mark.parametrize("shape", SPEECH_FORMATS)
def test_speech_in_every_format(cascade: Cascade, shape: str) -> None:
    answer = cascade.speak(response_format=shape)
    assert (answer.status_code, answer.headers["x-perf-model-used"]) == (200, "oracle"), answer.text
    if shape != "pcm":  # which has no container
        assert cascade.hear(sound=answer.content, model="oracle").json()["text"] == "seven river"
    assert len(answer.content) > 1000


def test_a_stream_of_speech(cascade: Cascade) -> None:
    *deltas, done = events(cascade.speak(stream_format="sse", response_format="wav"))
    sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert done["type"] == "speech.audio.done"
    assert cascade.hear(sound=sound, model="oracle").json()["text"] == "seven river"


def test_a_refusal_above_is_told_below(cascade: Cascade) -> None:
    answer = cascade.speak(voice="nobody-at-all")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice")


def test_an_upstream_that_takes_a_megabyte(cascade: Cascade) -> None:
    """Smaller files, and more of them; nothing is lost, and the limit is found out once."""
    sound, said = recording(150.0, seed=3)
    for refused in (True, False):
        before = cascade.small.refused
        answer = cascade.hear(model="through-a-small-one", sound=sound, response_format="verbose_json")
        assert answer.status_code == 200, answer.text
        assert answer.json()["text"].split() == said
        starts = [segment["start"] for segment in answer.json()["segments"]]
        assert starts == sorted(starts) and starts[-1] > 130
        assert (cascade.small.refused > before) is refused
