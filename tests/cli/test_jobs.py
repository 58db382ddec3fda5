"""`stenopool jobs`: as an operator in the database, and as a client of a running API."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from api.main import create_app
from cli import exits
from cli.job_fields import ONE_WORD, option_of
from infra.jobs.store import NewJob
from infra.money.job_money import Terms
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.catalog.model import Prices
from pipeline.cut.cutter import Span, span_as_dict
from pipeline.lifecycle import JobStatus
from pipeline.transcript import Heard, Segment, Word, heard_to_json
from tests.api.serving import running
from tests.cli.conftest import Run
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness
from tests.support.accounts import rich
from tests.support.commands import every_command, options
from tests.support.recordings import short


@pytest.fixture
def services(home: Path) -> Iterator[Services]:
    with build(Settings(home=home), engine_processes=1) as opened:
        yield opened


@pytest.fixture
def base_url(services: Services) -> Iterator[str]:
    """An API without workers: jobs stay as they are."""
    with running(create_app(services)) as server:
        yield server.url


@pytest.fixture
def key(services: Services) -> str:
    return services.accounts.create_key(rich(services.database, "a"))[0]


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(short(1).wav)
    return path


@pytest.fixture
def submitted(run: Run, base_url: str, key: str, talk: Path) -> Callable[..., str]:
    def submit(*words: str) -> str:
        said = run("jobs", "submit", talk, "--model", "oracle", "--base-url", base_url, "--api-key", key, *words)
        assert said.code == 0, said.err
        return said.out.strip()

    return submit


def test_submitted_listed_shown_and_cancelled_over_http(
    run: Run, base_url: str, key: str, submitted: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submitted()
    monkeypatch.setenv("STENOPOOL_BASE_URL", f"{base_url}/v1")
    monkeypatch.setenv("STENOPOOL_API_KEY", key)
    assert [job["id"] for job in run("jobs", "list", "--json").json] == [job_id]
    assert run("jobs", "list", "--status", "completed", "--json").json == []
    assert run("jobs", "show", job_id, "--json").json["object"] == "audio.job"
    assert job_id in run("jobs", "list").out
    assert "talk.wav" in run("jobs", "show", job_id).out
    assert run("jobs", "transcript", job_id).code == exits.NOT_THERE
    assert run("jobs", "cancel", job_id, "--json").json["status"] == JobStatus.CANCELLED
    refused = run("jobs", "retry", job_id)
    assert refused.code == exits.NOT_THERE
    assert refused.err.strip().endswith("[wrong_state]")


def test_many_jobs_come_in_pages(run: Run, base_url: str, key: str, services: Services) -> None:
    with_key = ("--base-url", base_url, "--api-key", key)
    account = services.accounts.authenticate(key).account_id
    made = [new_job(services, account) for _ in range(103)]
    assert len(run("jobs", "list", "--limit", 102, "--json", *with_key).json) == 102
    assert {job["id"] for job in run("jobs", "list", "--limit", 500, "--json", *with_key).json} == set(made)


def test_the_operator_sees_all_accounts(run: Run, submitted: Callable[..., str], services: Services) -> None:
    mine = submitted()
    other = services.accounts.create_account("b").id
    theirs = new_job(services, other)
    seen = {job["id"]: job for job in run("jobs", "list", "--json").json}
    assert set(seen) == {mine, theirs}
    assert seen[theirs]["account_id"] == other
    assert run("jobs", "cancel", theirs).code == 0
    assert services.jobs.get(other, theirs).status == JobStatus.CANCELLED
    assert run("jobs", "cancel", theirs).code == 0  # it is what was asked for
    assert run("jobs", "retry", theirs).code == exits.NOT_THERE
    assert run("jobs", "show", "job_nobody").code == exits.NOT_THERE
    assert [job["id"] for job in run("jobs", "list", "--status", "queued", "--json").json] == [mine]


def test_the_operator_asks_by_account_model_task_and_reference(run: Run, services: Services) -> None:
    mine, other = (services.accounts.create_account(name).id for name in ("mine", "other"))
    theirs = new_job(services, other)
    known = services.jobs.create(
        NewJob(account_id=mine, task="translation", model="whisper-1", client_reference_id="invoice-7")
    )[0].id

    def found(*words: str) -> list[str]:
        return [job["id"] for job in run("jobs", "list", "--json", *words).json]

    assert found("--account", other) == [theirs]
    for words in (
        ("--account", mine),
        ("--task", "translation"),
        ("--model", "whisper-1"),
        ("--reference", "invoice-7"),
    ):
        assert found(*words) == [known], words
    assert found("--account", mine, "--model", "oracle") == []


def test_an_account_is_the_operators_to_name(run: Run, base_url: str, key: str) -> None:
    refused = run("jobs", "list", "--account", "acct_x", "--base-url", base_url, "--api-key", key)
    assert refused.code == exits.BAD_INPUT
    assert "--base-url" in refused.err


def test_many_jobs_at_once_and_one_that_refuses_stops_none(run: Run, services: Services) -> None:
    account = services.accounts.create_account("b").id
    first, last = new_job(services, account), new_job(services, account)
    said = run("jobs", "cancel", first, "job_nobody", last)
    assert said.code == exits.NOT_THERE
    assert "job_nobody: There is no job 'job_nobody'. [not_found]" in said.err
    assert {services.jobs.get(account, one).status for one in (first, last)} == {JobStatus.CANCELLED}
    assert [job["id"] for job in run("jobs", "cancel", first, last, "--json").json] == [first, last]


def test_what_the_operator_does_to_a_job_is_in_the_audit_log(
    run: Run, base_url: str, key: str, services: Services
) -> None:
    account = services.accounts.authenticate(key).account_id
    job = new_job(services, account)
    claimed = services.jobs.claim_next("cpu", "test")
    assert claimed is not None
    services.jobs.fail(claimed.lease, {"code": "provider_unavailable", "message": "away", "retryable": True})
    assert run("jobs", "retry", job).code == 0
    assert run("jobs", "cancel", job).code == 0
    assert run("jobs", "cancel", job).code == 0  # it is cancelled already: no act
    assert run("jobs", "retry", job).code == exits.NOT_THERE
    other = new_job(services, account)
    assert run("jobs", "cancel", other, "--base-url", base_url, "--api-key", key).code == 0  # the account's own doing
    found = run("audit", "--account", account, "--json").json
    told = [(entry["act"], entry["subject"]) for entry in found if entry["act"].startswith("job.")]
    assert told == [("job.cancel", job), ("job.retry", job)]


def test_the_text_of_a_failed_job_is_paid_and_printed(run: Run, base_url: str, key: str, services: Services) -> None:
    with_key = ("--base-url", base_url, "--api-key", key)
    jobs = JobStoreHarness(
        services.database, services.jobs, services.media, services.accounts.authenticate(key).account_id
    )
    job = jobs.submit(terms=Terms(prices=Prices(audio_minute=Decimal(6)), audio_ms=2000))
    refused = run("jobs", "pay", job.id, *with_key)
    assert (refused.code, refused.err.strip().split()[-1]) == (exits.NOT_THERE, "[wrong_state]")
    lease = jobs.claim(job)
    span = Span(0, 0, CHUNK, 0, CHUNK, "start", "end", CHUNK, ((0, CHUNK),), CHUNK)
    services.jobs.add_chunk(lease, 0, span_as_dict(span), "sound/0")
    heard = Heard((Segment("good morning", 0, 900, (Word("good", 0, 400), Word("morning", 400, 900))),))
    services.storage.put("heard/0-1", heard_to_json(heard))
    jobs.hear(job, 0)
    services.jobs.fail(lease, ERROR)
    for _ in range(2):
        said = run("jobs", "pay", job.id, *with_key)
        assert (said.code, said.out) == (0, "good morning\n"), said.err
        assert f"{job.id} has cost 0.1 USD in all" in said.err
    assert run("jobs", "pay", job.id, "--json", *with_key).json["cost"]["captured"] == 0.1
    silent = jobs.submit()
    services.jobs.fail(jobs.claim(silent), ERROR)
    said = run("jobs", "pay", silent.id, *with_key)
    assert (said.code, said.out) == (0, "")
    assert "it has no text to read" in said.err


def test_the_same_idempotency_key_makes_no_second_job(submitted: Callable[..., str]) -> None:
    assert submitted("--idempotency-key", "k") == submitted("--idempotency-key", "k")


def test_who_may_not_and_who_is_not_there(run: Run, base_url: str, talk: Path) -> None:
    nobody = run("jobs", "submit", talk, "--base-url", base_url)
    assert nobody.code == exits.NOT_ALLOWED
    assert run("jobs", "list", "--base-url", base_url, "--api-key", "sk-wrong").code == exits.NOT_ALLOWED
    away = run("jobs", "list", "--base-url", "http://127.0.0.1:1")
    assert away.code == exits.AWAY
    assert len(away.err.splitlines()) == 1
    assert run("jobs", "list", "--base-url", "ftp://example.org").code == exits.BAD_INPUT
    assert run("jobs", "show", "../keys", "--base-url", base_url).code == exits.BAD_INPUT
    assert run("jobs", "submit", talk.parent / "missing.wav", "--base-url", base_url).code == exits.USAGE


def test_a_stranger_on_that_port_is_told_as_such(run: Run) -> None:
    async def stranger(scope: dict[str, str], receive: object, send: Callable[..., object]) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"<html>hello</html>"})

    with running(stranger) as server:
        said = run("jobs", "list", "--base-url", server.url)
    assert said.code == exits.AWAY
    assert "not as Stenopool does" in said.err


def new_job(services: Services, account_id: str) -> str:
    media = services.media.begin(account_id, "talk.wav")
    services.storage.put(media.storage_key, b"x")
    media = services.media.stored(media.id, 1, "0" * 64)
    new = NewJob(account_id=account_id, task="transcription", model="oracle", request={"model": "oracle"}, media=media)
    return services.jobs.create(new)[0].id


def test_json_lists_are_one_line(run: Run, services: Services) -> None:
    assert json.loads(run("jobs", "list", "--json").out) == []


def test_what_a_job_did_not_hear_is_told_in_plain_words(run: Run, services: Services, base_url: str, key: str) -> None:
    account = services.accounts.authenticate(key).account_id
    holes = [
        {"start": at, "end": at + 61_000, "code": "hole", "retryable": False} for at in range(0, 30 * 90_000, 90_000)
    ]
    caution = {"code": "truncated", "start": 5, "end": 5, "message": "It ends early.", "lost": True}
    facts = {"findings": {"gaps": holes, "warnings": [caution]}}
    job_id = services.jobs.create(NewJob(account_id=account, task="transcription", model="oracle", input=facts))[0].id
    for words in ((), ("--base-url", base_url, "--api-key", key)):
        said = run("jobs", "show", job_id, *words)
        assert f"{job_id}: not heard, 0:00.0 to 1:01.0: The recording has no sound here. [hole]" in said.err
        assert f"{job_id}: not heard, 10 more" in said.err
        assert f"{job_id}: warning, 0:00.0 to 0:00.0: It ends early. [truncated]" in said.err
        shown = run("jobs", "show", job_id, "--json", *words)
        assert (len(shown.json["gaps"]), shown.json["incomplete"], "findings" in shown.json["input"]) == (
            30,
            True,
            False,
        )
        assert "not heard" not in shown.err and "warning" not in shown.err


def test_tracks_and_channels_are_asked_for(submitted: Callable[..., str], services: Services) -> None:
    asked = [submitted("--audio-track", "all", "--channels", "separate"), submitted()]
    found = [job.request for job_id in asked if (job := services.jobs.find(job_id))]
    assert [(one.get("audio_track"), one.get("channels")) for one in found] == [("all", "separate"), (None, None)]


def test_submit_has_an_option_for_every_field_of_the_route() -> None:
    """Those of objects by themselves, unless the whole is written in one word."""
    body = create_app(settings=Settings()).state.taken["POST", "/v1/audio/jobs"].body
    words = {
        path
        for path in body.paths()
        if path.partition(".")[0] not in ONE_WORD and not any(other.startswith(f"{path}.") for other in body.paths())
    }
    fields = words | set(ONE_WORD) - {"file"}
    offered = options(every_command()["jobs submit"])
    assert sorted(option_of(name) for name in fields - {"file"}) == sorted(
        offered - {"--idempotency-key", "--wait", "--format", "--output", "--base-url", "--api-key", "--json"}
    )
    assert len(fields) > 40


def test_fields_arrive_as_they_were_given(submitted: Callable[..., str], services: Services) -> None:
    words = ("--metadata", "show=Night Waves", "--metadata", "n=a=b", "--keywords", "one", "--keywords", "two")
    more = ("--range", "0.1-0.9", "--temperature", "0.5", "--webhook-url", "https://example.org", "--max-cost", "3")
    job = services.jobs.find(submitted(*words, *more, "--webhook-link-format", "srt", "--client-reference-id", "e-1"))
    assert job is not None
    assert (job.meta, job.client_reference_id) == ({"show": "Night Waves", "n": "a=b"}, "e-1")
    assert (job.webhook_url, (job.webhook_link or {})["format"]) == ("https://example.org", "srt")
    assert (job.request["keywords"], job.request["temperature"]) == (["one", "two"], 0.5)
    assert job.request["range"] == {"start": 0.1, "end": 0.9}
    assert job.ignored is None


def test_a_job_without_a_file(
    run: Run, base_url: str, key: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_key = ("--base-url", base_url, "--api-key", key)
    said = run("jobs", "submit", "--url", "https://example.org/a.wav", "--headers", "Authorization=x", *with_key)
    fetched = services.jobs.find(said.out.strip())
    assert fetched is not None and (fetched.input["type"], fetched.model) == ("url", "whisper-1")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Good morning."))
    said = run("jobs", "submit", "--text", "-", "--voice", "nova", *with_key)
    spoken = services.jobs.find(said.out.strip())
    assert spoken is not None and (spoken.task, spoken.model, spoken.input["characters"]) == ("speech", "tts-1", 13)
    wrong = run("jobs", "submit", "--text", "a", "--metadata", "nothing", *with_key)
    assert (wrong.code, "NAME=VALUE" in wrong.err) == (exits.BAD_INPUT, True)
    nothing = run("jobs", "submit", *with_key)
    assert (nothing.code, "file" in nothing.err) == (exits.BAD_INPUT, True)


def test_a_link_is_printed_and_revoked(
    run: Run, base_url: str, key: str, submitted: Callable[..., str], services: Services
) -> None:
    with_key, job_id = ("--base-url", base_url, "--api-key", key), submitted()
    url = run("jobs", "link", job_id, "--format", "srt", "--expires-in", 60, *with_key).out.strip()
    assert url.startswith(f"{base_url}/v1/audio/jobs/{job_id}/links/link_")
    made = run("jobs", "link", job_id, "--json", *with_key).json
    assert run("jobs", "unlink", job_id, made["id"], *with_key).code == 0
    assert run("jobs", "unlink", job_id, made["id"], *with_key).code == exits.NOT_THERE
    assert run("jobs", "unlink", job_id, "../x", *with_key).code == exits.BAD_INPUT


def test_waiting_for_a_job_that_ends_without_a_result(
    run: Run, base_url: str, key: str, submitted: Callable[..., str]
) -> None:
    job_id = submitted()
    assert run("jobs", "cancel", job_id, "--base-url", base_url, "--api-key", key).code == 0
    said = run("jobs", "wait", job_id, "--base-url", base_url, "--api-key", key)
    assert (said.code, "cancelled" in said.err) == (exits.FAILED, True)
