"""Hearing by jobs: what is found again, what is sent once more, and one question for all that run."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.archive.hearer import JobFailed, Recording
from cli.archive.plan import Hearing
from cli.archive.throttle import Stopped
from cli.archive_jobs import job_watch
from cli.archive_jobs.job_hearer import JobHearer
from cli.exits import ApiRefused
from pipeline.errors import InvalidRequest
from pipeline.formats import load
from pipeline.formats.base import RenderOptions
from pipeline.transcript import Segment, Transcript, transcript_as_dict
from tests.support.waiting import wait_until

HEARD = Transcript((Segment("hello", 0, 900),), 1000, model_used="oracle")


class Server:
    """What `cli.client.Client` is to a hearer, with jobs that end as they are told to."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.submitted: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.acts: list[tuple[str, str]] = []
        self.asked: list[list[str]] = []
        self.ends: Callable[[dict[str, Any]], None] = lambda job: job.update(status="completed")

    def put(self, job_id: str, reference: str = "key", status: str = "queued", **more: Any) -> None:
        self.held[job_id] = {
            "id": job_id,
            "client_reference_id": reference,
            "status": status,
            "cost": {"captured": 0.25},
            **more,
        }

    def submit(self, recording: Path, fields: dict[str, Any], *, idempotency_key: str, filename: str) -> dict[str, Any]:
        self.submitted.append({**fields, "filename": filename})
        self.keys.append(idempotency_key)
        self.put(f"job_new{len(self.submitted)}", fields["client_reference_id"])
        return dict(self.held[f"job_new{len(self.submitted)}"])

    def job(self, job_id: str) -> dict[str, Any]:
        if job_id not in self.held:
            raise ApiRefused("No such job.", status=404, code="not_found")
        return dict(self.held[job_id])

    def jobs_called(self, references: list[str]) -> dict[str, dict[str, Any]]:
        return {
            job["client_reference_id"]: job for job in self.held.values() if job["client_reference_id"] in references
        }

    def jobs_of(self, ids: list[str]) -> list[dict[str, Any]]:
        self.asked.append(list(ids))
        for job_id in ids:
            self.ends(self.held[job_id])
        return [dict(self.held[job_id]) for job_id in ids if job_id in self.held]

    def act(self, job_id: str, action: str) -> dict[str, Any]:
        self.acts.append((job_id, action))
        self.held[job_id]["status"] = "queued"
        return dict(self.held[job_id])

    def transcript(self, job_id: str, form: str) -> str:
        return load(form).render(HEARD, RenderOptions())


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def hearer(server: Server) -> Iterator[JobHearer]:
    client: Any = server
    made = JobHearer(client)
    yield made
    made.close()


def recording(tmp_path: Path, **more: Any) -> Recording:
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    return Recording(path, "a.wav", "x/a.wav", "key", "digest", Hearing("oracle"), **more)


def heard(hearer: JobHearer, asked: Recording) -> tuple[list[str], Any]:
    jobs: list[str] = []
    return jobs, hearer.hear(asked, jobs.append, lambda _code, _message: None)


def test_a_recording_is_sent_with_its_key_and_heard_whole(server: Server, hearer: JobHearer, tmp_path: Path) -> None:
    jobs, answer = heard(hearer, recording(tmp_path, max_cost_micro=1500))
    assert (jobs, server.keys) == (["job_new1"], ["key"])
    assert server.submitted[0]["client_reference_id"] == "key"
    assert (server.submitted[0]["priority"], server.submitted[0]["max_cost"]) == ("low", "0.0015")
    assert (answer.transcript, answer.duration_ms, answer.cost_micro) == (HEARD, 1000, 250_000)


def test_a_job_knows_when_all_should_be_done(server: Server, tmp_path: Path) -> None:
    client: Any = server
    with closing(JobHearer(client, complete_by=4_000_000_000)) as made:
        heard(made, recording(tmp_path))
    assert server.submitted[0]["complete_by"] == 4_000_000_000


def test_a_transcript_that_came_with_the_job_is_not_fetched(
    server: Server, hearer: JobHearer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Server, "transcript")
    server.ends = lambda job: job.update(status="completed", transcript=transcript_as_dict(HEARD))
    _, answer = heard(hearer, recording(tmp_path))
    assert answer.transcript == HEARD


@pytest.mark.parametrize("known", [None, "job_1", "job_deleted"])
def test_what_was_sent_before_is_found_by_its_job_or_by_its_key(
    server: Server, hearer: JobHearer, tmp_path: Path, known: str | None
) -> None:
    server.put("job_1")
    jobs, _ = heard(hearer, recording(tmp_path, job_id=known))
    assert (jobs, server.submitted) == (["job_1"], [])


def test_what_has_failed_by_its_own_fault_is_not_sent_again_unless_asked(
    server: Server, hearer: JobHearer, tmp_path: Path
) -> None:
    server.put(
        "job_1", status="failed", error={"code": "unsupported_media", "message": "No sound.", "retryable": False}
    )
    with pytest.raises(JobFailed) as caught:
        heard(hearer, recording(tmp_path))
    assert caught.value.as_dict()["code"] == "unsupported_media"
    assert (server.submitted, server.acts) == ([], [])
    heard(hearer, recording(tmp_path, again=True))
    assert (server.submitted, server.acts) == ([], [("job_1", "retry")])


def test_what_may_pass_is_retried_where_it_failed(server: Server, hearer: JobHearer, tmp_path: Path) -> None:
    server.put("job_1", status="failed", error={"code": "providers_failed", "message": "Away.", "retryable": True})
    heard(hearer, recording(tmp_path, job_id="job_1"))
    assert server.acts == [("job_1", "retry")]


@pytest.mark.parametrize("status", ["completed", "cancelled", "expired"])
def test_anew_is_another_job_with_a_key_of_its_own(
    server: Server, hearer: JobHearer, tmp_path: Path, status: str
) -> None:
    server.put("job_1", status=status)
    heard(hearer, recording(tmp_path, anew=True))
    assert server.keys == ["key.job_1"]


def test_other_bytes_than_were_hashed_are_not_taken_for_them(server: Server, hearer: JobHearer, tmp_path: Path) -> None:
    server.put("job_1", input={"sha256": "other"})
    with pytest.raises(Exception, match="changed"):
        heard(hearer, recording(tmp_path))
    assert server.acts == [("job_1", "cancel")]


def test_a_refusal_is_handed_on(
    server: Server, hearer: JobHearer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise InvalidRequest("no")

    monkeypatch.setattr(server, "submit", refuse)
    with pytest.raises(InvalidRequest):
        heard(hearer, recording(tmp_path))


def test_however_many_begin_to_wait_nobody_is_asked_again_at_once(
    server: Server, hearer: JobHearer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_watch, "SOONEST", 1e6)
    monkeypatch.setattr(job_watch, "LATEST", 1e6)
    server.ends = lambda _: None
    asked = [replace(recording(tmp_path), key=str(number)) for number in range(8)]
    with ThreadPoolExecutor(len(asked)) as threads:
        waiting = [threads.submit(heard, hearer, asked[0])]
        wait_until(lambda: bool(server.asked))
        waiting += [threads.submit(heard, hearer, one) for one in asked[1:]]
        wait_until(lambda: len(hearer._watch._awaited) == len(asked))
        hearer.close()
    assert all(isinstance(one.exception(), Stopped) for one in waiting)
    assert len(server.asked) == 1


def test_whoever_waits_when_it_closes_is_stopped(server: Server, hearer: JobHearer, tmp_path: Path) -> None:
    def closing(_: dict[str, Any]) -> None:
        hearer.close()

    server.ends = closing
    with pytest.raises(Stopped):
        heard(hearer, recording(tmp_path))
