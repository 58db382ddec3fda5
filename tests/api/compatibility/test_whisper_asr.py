"""The interface of whisper-asr-webservice as Bazarr's Whisper provider uses it: samples without a head go in, srt comes out."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import srt
import webvtt

from api import job_watcher
from api.main import create_app
from infra.keys import scopes
from infra.settings import Settings
from infra.wiring import Services, build
from tests.api.conftest import CATALOG, House, house_over, recording
from tests.api.serving import Running, running
from tests.support.sound_files import encoded
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

SOUND, SAID = recording(4.0, seed=3)
SAMPLES = SOUND[44:]  # what ffmpeg's s16le, mono, 16 kHz is
MADE = '\n[models.whisper-1]\nroutes = [{ provider = "oracle", model = "oracle" }]\n'
TIMEOUT = (600, 600)  # to be answered, to be done


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """With an account that pays for whoever has no key."""
    home = tmp_path_factory.mktemp("home")
    (home / "catalog.toml").write_text(
        CATALOG.replace("scripted = true", f'scripted = true\nlog = "{home}/calls"') + MADE
    )
    with build(Settings(home=home, catalog=home / "catalog.toml"), engine_processes=1) as opened:
        yield opened


@dataclass
class Place:
    """A server with one worker, and a client that knows nothing of keys but what stands in the URL."""

    server: Running
    house: House

    @property
    def url(self) -> str:
        return self.server.url

    def statuses(self) -> list[str]:
        """Of the account's jobs."""
        return [job["status"] for job in self.house.get("/v1/audio/jobs").json()["data"]]

    def with_password(self, key: str | None = None) -> str:
        return self.url.replace("http://", f"http://anybody:{key or self.house.key}@")

    def ask(self, path: str, sound: bytes = SAMPLES, *, at: str | None = None, **params: str) -> requests.Response:
        """As the provider does it: options in the query, the sound as a form's file without a name of its own."""
        asked = {"encode": "false", **params}
        where = f"{at or self.with_password()}{path}"
        return requests.post(where, params=asked, files={"audio_file": sound}, timeout=TIMEOUT)


@contextmanager
def worked(house: House) -> Iterator[None]:
    """Somebody works in the background for as long as the block lasts."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            house.work()
            done.wait(0.02)

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        try:
            yield
        finally:
            done.set()
            working.result()


@pytest.fixture
def place(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(job_watcher, "LOOK_SECONDS", 0.05)
    with house_over(services) as house, running(create_app(services)) as served:
        yield Place(served, house)


def as_srt(text: str) -> list[str]:
    return " ".join(cue.content for cue in srt.parse(text, ignore_errors=False)).split()


def test_what_bazarr_does(place: Place) -> None:
    with worked(place.house):
        found = place.ask("/detect-language").json()
        answer = place.ask("/asr", task="transcribe", language="en", output="srt")
    assert found == {"detected_language": "english", "language_code": "en", "confidence": None}
    assert as_srt(answer.content.decode()) == SAID
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="audio_file.srt"'
    assert (answer.headers["x-perf-model-used"], answer.headers["x-perf-cost-usd"]) == ("oracle", "0.0004")
    assert int(answer.headers["x-perf-latency-ms"]) > 0


def _columns(text: str) -> str:
    head, *rows = text.splitlines()
    assert head == "start\tend\ttext"
    cells = [row.split("\t") for row in rows]
    assert all(0 <= int(start) < int(end) for start, end, _ in cells)
    return " ".join(text for _, _, text in cells)


READERS: dict[str, Callable[[str], str]] = {
    "txt": lambda text: text,
    "tsv": _columns,
    "srt": lambda text: " ".join(as_srt(text)),
    "vtt": lambda text: " ".join(caption.text for caption in webvtt.from_string(text)),
    "json": lambda text: json.loads(text)["text"],
}


@pytest.mark.parametrize("output", READERS)
def test_the_five_outputs_of_a_file(place: Place, tmp_path: Path, output: str) -> None:
    film = encoded(SAMPLES, tmp_path / "film.mkv", ("-c:a", "flac"))
    with worked(place.house):
        answer = place.ask("/asr", film, encode="true", output=output, word_timestamps="true")
    assert READERS[output](answer.content.decode()).split() == SAID


def test_its_json_is_whispers(place: Place) -> None:
    with worked(place.house):
        told = place.ask("/asr", output="json", word_timestamps="true").json()
        plain = place.ask("/asr", output="json").json()
        english = place.ask("/asr", output="json", task="translate").json()
    assert (set(told), told["language"], english["language"]) == ({"text", "segments", "language"}, "en", "en")
    assert [word["word"].strip() for segment in told["segments"] for word in segment["words"]] == SAID
    assert {"id", "seek", "start", "end", "text", "tokens", "no_speech_prob"} <= set(plain["segments"][0])
    assert "words" not in plain["segments"][0]


def test_text_is_the_default_and_a_segment_a_line(place: Place) -> None:
    with worked(place.house):
        answer = place.ask("/asr")
    assert answer.text.endswith("\n") and " ".join(answer.text.splitlines()).split() == SAID


def test_without_a_key_it_is_off(place: Place) -> None:
    for answer in (
        place.ask("/asr", at=place.url),
        place.ask("/asr", at=place.url.replace("http://", "http://user:@")),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert "STENOPOOL_ASR_ACCOUNT" in answer.json()["error"]["message"]
    wrong = place.ask("/asr", at=place.with_password("sk-nobody"))
    assert wrong.status_code == 401
    limited, _ = place.house.services.accounts.create_key(place.house.account_id, scopes=[scopes.SPEECH])
    assert place.ask("/asr", at=place.with_password(limited)).json()["error"]["code"] == "missing_scope"
    elsewhere = requests.get(f"{place.with_password()}/v1/models", timeout=TIMEOUT)
    assert elsewhere.status_code == 401, "a password opens these two and nothing else"


def test_a_key_comes_in_its_own_header_as_well(place: Place) -> None:
    files = {"audio_file": SAMPLES}
    with worked(place.house):
        answer = requests.post(
            f"{place.url}/asr?encode=false", files=files, headers=place.house.auth(), timeout=TIMEOUT
        )
    assert answer.text.split() == SAID


def test_the_operator_may_name_who_pays(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_watcher, "LOOK_SECONDS", 0.05)
    with house_over(services) as house:
        before = services.ledger.balance(house.account_id)
        named = services.settings.model_copy(update={"asr_account": house.account_id})
        monkeypatch.setattr(services, "settings", named)
        with running(create_app(services)) as served, worked(house):
            place = Place(served, house)
            assert place.ask("/asr", at=place.url).text.split() == SAID
            assert place.ask("/asr", at=place.with_password("sk-nobody")).status_code == 401, (
                "a wrong key is no missing one"
            )
            assert requests.get(f"{place.url}/v1/balance", timeout=TIMEOUT).status_code == 401
            assert before - services.ledger.balance(house.account_id) == 400
            services.accounts.update(house.account_id, status="suspended")
            assert place.ask("/asr", at=place.url).json()["error"]["code"] == "account_suspended"
            monkeypatch.setattr(services, "settings", named.model_copy(update={"asr_account": "acct_nobody"}))
            assert place.ask("/asr", at=place.url).status_code == 401


REFUSALS: list[tuple[str, dict[str, str], bytes, int, str]] = [
    ("/asr", {"output": "docx"}, SAMPLES, 400, "invalid_request"),
    ("/asr", {"task": "sing"}, SAMPLES, 400, "invalid_request"),
    ("/asr", {"model": "nobody"}, SAMPLES, 404, "model_not_found"),
    ("/asr", {"language": "nonsense language"}, SAMPLES, 400, "unsupported_language"),
    ("/asr", {"encode": "true"}, b"this is no sound", 400, "unsupported_media"),
    ("/asr", {}, b"", 400, "empty_media"),
    ("/detect-language", {}, bytes(64_000), 400, "invalid_request"),
    ("/asr", {"initial_prompt": "oracle: fail=99 error=refused"}, SAMPLES, 502, "provider_refused"),
]


@pytest.mark.parametrize("row", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(place: Place, row: tuple[str, dict[str, str], bytes, int, str]) -> None:
    path, params, sound, status, code = row
    with worked(place.house):
        answer = place.ask(path, sound, **params)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_form_without_the_file(place: Place) -> None:
    answer = requests.post(f"{place.with_password()}/asr", files={"file": SAMPLES}, timeout=TIMEOUT)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "audio_file")


def test_whoever_hangs_up_ends_the_work(place: Place) -> None:
    """Nobody works yet: the job waits, its client leaves, and it is cancelled."""
    asked = requests.Request(
        "POST", f"{place.url}/asr?encode=false", files={"audio_file": SAMPLES}, headers=place.house.auth()
    )
    whole = asked.prepare()
    assert isinstance(whole.body, bytes)
    lines = "".join(f"{name}: {value}\r\n" for name, value in whole.headers.items())
    with place.server.connection(timeout=600) as connection:
        connection.sendall(f"POST {whole.path_url} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode() + whole.body)
        wait_until(place.statuses)
    wait_until(lambda: place.statuses() == ["cancelled"])
    assert place.house.services.statements.held(place.house.account_id) == 0
