"""A misspelt name, on every route: refused on ours, told where OpenAI's clients ask, and never taken in silence."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

import pytest
from openai.types import (
    batch_create_params,
    batch_list_params,
    file_create_params,
    file_list_params,
    upload_complete_params,
    upload_create_params,
)
from openai.types.audio import speech_create_params, transcription_create_params, translation_create_params
from openai.types.uploads import part_create_params

from api.access.admin_key import is_admin_path
from api.http.unknown_names import Taken
from api.main import _taken_names
from api.openapi.taken_names import PAGED_BY
from tests.api.conftest import ADMIN_KEY, JOBS, House, recording

Operation = tuple[str, str]
TAKEN = _taken_names()
OWN_BODIES = [one for one, taken in TAKEN.items() if taken.body.names and not taken.foreign]
QUERIES = [one for one, taken in TAKEN.items() if taken.query.names and one[0] != "HEAD"]
LISTS = [one for one, taken in TAKEN.items() if taken.listing and not taken.foreign]
HEAR = "/v1/audio/transcriptions"
TRANSLATE = "/v1/audio/translations"
SPEAK = "/v1/audio/speech"
SOUND, SAID = recording(0.6, seed=3)
PLAIN = {"model": "oracle"}
SAY = {"model": "oracle", "input": "alpha", "voice": "alloy", "response_format": "pcm"}


def slips(name: str) -> Iterator[str]:
    """A letter in the middle of its last part left out, doubled, swapped with the next."""
    *places, last = name.split(".")
    at = len(last) // 2
    wrong = [last[:at] + last[at + 1 :], last[:at] + last[at] + last[at:]]
    if at:
        wrong.append(last[: at - 1] + last[at] + last[at - 1] + last[at + 1 :])
    yield from (".".join([*places, one]) for one in wrong if one not in ("", last))
    if places:
        yield "_".join([*places, last])


def spelt_in_form(name: str) -> str:
    first, *rest = name.split(".")
    return first + "".join(f"[{one}]" for one in rest)


def as_json(name: str) -> dict[str, Any]:
    value: Any = "x"
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


def wrong_names(known: Any) -> Iterator[str]:
    paths = set(known.paths())
    yield from (slip for path in sorted(paths) for slip in slips(path) if slip not in paths)


def theirs(house: House) -> dict[str, str]:
    """What some routes look up before the body: a job, an endpoint."""
    job = house.submit()["id"]
    house.post(f"{JOBS}/{job}/cancel")
    wanted = {"name": "n", "url": "http://127.0.0.1:9/hook", "event_types": ["webhook.test"]}
    return {"job_id": job, "endpoint_id": house.post("/v1/webhook_endpoints", json=wanted).json()["id"]}


def ask(house: House, one: Operation, ids: Mapping[str, str] | None = None, **sent: Any) -> Any:
    method, path = one
    key = ADMIN_KEY if is_admin_path(path) else house.key
    url = re.sub(r"\{(\w+)(:path)?\}", lambda part: (ids or {}).get(part[1], "x"), path)
    return house.client.request(method, url, headers={"Authorization": f"Bearer {key}"}, **sent)


@pytest.mark.parametrize("one", QUERIES, ids=" ".join)
def test_a_misspelt_parameter_is_400_with_the_one_that_was_meant(house: House, one: Operation) -> None:
    for slip in wrong_names(TAKEN[one].query):
        answer = ask(house, one, params={slip: "1"})
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, slip)
        assert "did you mean" in error["message"]


@pytest.mark.parametrize("one", LISTS, ids=" ".join)
def test_a_list_refuses_every_filter_that_it_does_not_have(house: House, one: Operation) -> None:
    answer = ask(house, one, params={"colour_of_the_sky": "blue"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "colour_of_the_sky")
    assert f"`{PAGED_BY}`" in error["message"]


@pytest.mark.parametrize("one", OWN_BODIES, ids=" ".join)
def test_a_misspelt_field_of_ours_is_400_with_the_one_that_was_meant(house: House, one: Operation) -> None:
    ids = theirs(house) if "{" in one[1] else None
    for slip in wrong_names(TAKEN[one].body):
        answer = ask(house, one, ids, json=as_json(slip))
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, slip)
        assert "did you mean" in error["message"]


@pytest.mark.parametrize("path", [JOBS, "/v1/audio/estimates"])
def test_and_in_a_form_before_the_file_or_behind_it(house: House, path: str) -> None:
    file = {"file": ("talk.wav", SOUND)}
    for slip in wrong_names(TAKEN["POST", path].body):
        data = PLAIN | {spelt_in_form(slip): "x"}
        answer = house.post(path, data=data, files=file)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, slip)
    behind = [("model", (None, "oracle")), ("file", ("talk.wav", SOUND)), ("reponse_format", (None, "srt"))]
    answer = house.post(path, files=behind)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "reponse_format")
    assert house.files() == []
    assert house.get(JOBS).json()["data"] == []


@pytest.mark.parametrize("path", [HEAR, TRANSLATE])
def test_where_openais_clients_ask_it_is_told(house: House, path: str) -> None:
    for slip in wrong_names(TAKEN["POST", path].body):
        data = PLAIN | {"response_format": "verbose_json", spelt_in_form(slip): "x"}
        answer = house.post(path, data=data, files={"file": ("talk.wav", SOUND)})
        if answer.status_code == 400:  # an object that lacks what was misspelt
            assert answer.json()["error"]["param"] == slip.partition(".")[0]
            continue
        assert answer.json()["ignored"] == [slip]
        assert answer.headers["x-perf-ignored"] == slip.replace("[", "%5B")


@pytest.mark.parametrize("shape", ["json", "text", "srt", "vtt"])
def test_in_every_format(house: House, shape: str) -> None:
    data = PLAIN | {"response_format": shape, "webhook_url": "x", "ünbekannt, [a]": "y"}
    answer = house.post(HEAR, data=data, files={"file": ("talk.wav", SOUND)})
    assert answer.status_code == 200
    told = answer.headers["x-perf-ignored"].split(", ")
    assert told[0] == "webhook_url" and len(told) == 2 and told[1].isascii()
    if shape == "json":
        assert answer.json()["ignored"][0] == "webhook_url"


def test_what_nobody_misspells_says_nothing(house: House) -> None:
    answer = house.post(HEAR, data=PLAIN | {"response_format": "verbose_json"}, files={"file": ("a.wav", SOUND)})
    assert "ignored" not in answer.json() and "x-perf-ignored" not in answer.headers
    assert house.submit()["ignored"] == []


def test_a_stream_tells_it_in_its_last_event(house: House) -> None:
    answer = house.post(HEAR, data=PLAIN | {"stream": "true", "reponse_format": "x"}, files={"file": ("a.wav", SOUND)})
    assert '"ignored": ["reponse_format"]' in answer.text.strip().rsplit("\n\n", 1)[-1]


def test_speech_tells_it_in_its_headers(house: House) -> None:
    for slip in wrong_names(TAKEN["POST", SPEAK].body):
        answer = house.post(SPEAK, json=SAY | as_json(slip))
        if answer.status_code == 200:
            assert answer.headers["x-perf-ignored"] == slip
        else:  # `voice` is an object that lacks its id
            assert answer.json()["error"]["param"].startswith("voice")


def test_parameters_in_the_url_of_a_synchronous_endpoint(house: House) -> None:
    answer = house.post(f"{HEAR}?response_format=srt&api-version=1", data=PLAIN, files={"file": ("a.wav", SOUND)})
    assert answer.json()["ignored"] == ["response_format", "api-version"]


def test_fields_in_the_url_of_ours_are_refused(house: House) -> None:
    answer = house.post(f"{JOBS}?webhook_url=x", data=PLAIN, files={"file": ("a.wav", SOUND)})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "webhook_url")
    assert "the body" in answer.json()["error"]["message"]


def test_what_looks_like_nothing_is_taken_and_told_by_the_job(house: House) -> None:
    job = house.submit(colour_of_the_sky="blue")
    assert job["ignored"] == ["colour_of_the_sky"]
    assert house.get(f"{JOBS}/{job['id']}").json()["ignored"] == ["colour_of_the_sky"]
    assert house.get(f"{JOBS}/{job['id']}", params={"_": "1"}).headers["x-perf-ignored"] == "_"


def test_a_job_of_a_synchronous_endpoint_tells_it_too(house: House) -> None:
    headers = house.auth() | {"Prefer": "respond-async"}
    data = PLAIN | {"webhook_url": "x", "priority": "low"}
    answer = house.post(HEAR, data=data, files={"file": ("a.wav", SOUND)}, headers=headers)
    assert (answer.status_code, answer.json()["ignored"]) == (202, ["webhook_url"])
    assert answer.headers["x-perf-ignored"] == "webhook_url"
    spoken = house.post(SPEAK, json=SAY | {"stream_format": "sse"}, headers=headers)
    assert (spoken.status_code, spoken.json()["ignored"]) == (202, ["stream_format"])


def test_a_job_tells_what_its_task_has_no_use_for(house: House) -> None:
    asked = {"task": "speech", "model": "oracle", "text": "alpha", "channels": "separate"}
    assert house.post(JOBS, json=asked).json()["ignored"] == ["channels"]


def test_a_translation_tells_what_translations_do_not_take(house: House) -> None:
    data = PLAIN | {"response_format": "verbose_json", "keywords": "x"}
    assert house.post(TRANSLATE, data=data, files={"file": ("a.wav", SOUND)}).json()["ignored"] == ["keywords"]


def test_a_file_by_another_name_is_told(house: House) -> None:
    answer = house.post(HEAR, data=PLAIN, files={"fiel": ("talk.wav", SOUND)})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    beside = {"file": ("talk.wav", SOUND), "cover_of_the_record": ("a.png", b"\xff\xd8" * 9)}
    assert house.post(HEAR, data=PLAIN, files=beside).json()["ignored"] == ["cover_of_the_record"]


def test_openais_other_routes_tell_it_in_their_objects(house: House) -> None:
    file = house.post("/v1/files", data={"purpose": "batch", "expires_aftr": "x"}, files={"file": ("a.jsonl", b"{}")})
    assert file.json()["ignored"] == ["expires_aftr"]
    asked = {"input_file_id": file.json()["id"], "endpoint": HEAR, "completion_window": "24h", "metdata": {}}
    assert house.post("/v1/batches", json=asked).json()["ignored"] == ["metdata"]
    announced = {"bytes": 1, "filename": "a", "mime_type": "audio/wav", "purpose": "user_data", "byts": 1}
    assert house.post("/v1/uploads", json=announced).json()["ignored"] == ["byts"]


@pytest.mark.parametrize(
    ("path", "asked", "missing"),
    [
        (JOBS, {}, ["file", "model"]),
        ("/v1/audio/estimates", {}, ["file", "model"]),
        ("/v1/batches", {}, ["input_file_id", "endpoint", "completion_window"]),
        ("/v1/uploads", {"filename": "a"}, ["purpose", "bytes"]),
        ("/v1/webhook_endpoints", {"name": "a"}, ["url", "event_types"]),
        (SPEAK, {}, ["model", "input", "voice"]),
        (SPEAK, {"model": "oracle"}, ["input", "voice"]),
    ],
)
def test_all_that_is_missing_is_named_at_once(house: House, path: str, asked: Any, missing: list[str]) -> None:
    answer = house.post(path, json=asked)
    error = answer.json()["error"]
    assert (answer.status_code, error["missing"], error["param"]) == (400, missing, missing[0])
    assert error["message"] == "input text is required" or all(f"`{name}`" in error["message"] for name in missing)


def test_a_form_without_file_and_model_is_told_both(house: House) -> None:
    error = house.post(HEAR, data={"prompt": "x"}, files={"other": ("a", b"x")}).json()["error"]
    assert (error["param"], error["missing"]) == ("file", ["file", "model"])
    assert "`file`, `model`" in error["message"]


def test_what_is_missing_may_be_misspelt(house: House) -> None:
    error = house.post(HEAR, data={"modle": "oracle"}, files={"file": ("a.wav", SOUND)}).json()["error"]
    assert (error["param"], "did you mean `model`?" in error["message"]) == ("model", True)


SDK: Mapping[Operation, tuple[str, Any]] = {
    ("POST", HEAR): ("body", transcription_create_params.TranscriptionCreateParamsStreaming),
    ("POST", TRANSLATE): ("body", translation_create_params.TranslationCreateParams),
    ("POST", SPEAK): ("body", speech_create_params.SpeechCreateParams),
    ("POST", "/v1/files"): ("body", file_create_params.FileCreateParams),
    ("GET", "/v1/files"): ("query", file_list_params.FileListParams),
    ("POST", "/v1/uploads"): ("body", upload_create_params.UploadCreateParams),
    ("POST", "/v1/uploads/{upload_id}/parts"): ("body", part_create_params.PartCreateParams),
    ("POST", "/v1/uploads/{upload_id}/complete"): ("body", upload_complete_params.UploadCompleteParams),
    ("POST", "/v1/batches"): ("body", batch_create_params.BatchCreateParams),
    ("GET", "/v1/batches"): ("query", batch_list_params.BatchListParams),
}


@pytest.mark.parametrize("one", SDK, ids=" ".join)
def test_openais_client_sends_nothing_that_is_a_slip_here(one: Operation) -> None:
    place, params = SDK[one]
    assert inspect.isclass(params)
    taken: Taken = TAKEN[one]
    sent = set(get_type_hints(params, include_extras=True))
    assert sent
    known = taken.body if place == "body" else taken.query
    assert sent <= known.names


def test_what_extra_body_adds_is_taken(house: House) -> None:
    """As its clients send it: unknown names, and our own of other routes."""
    data = PLAIN | {"seed": "1", "user": "me", "webhook[url]": "https://example.org", "vad_filter": "true"}
    answer = house.post(HEAR, data=data, files={"file": ("a.wav", SOUND)})
    assert answer.status_code == 200
    assert answer.json()["ignored"] == ["seed", "user", "webhook", "vad_filter"]
