"""A job's way through the steps, in one process and without a broker: the messages are sent by hand."""

from dataclasses import replace

import pytest

from infra.database.tables.jobs import Job
from infra.leases import LeaseKeeper
from pipeline.cut.cutter import Chunk
from pipeline.errors import ProviderRefused, StorageUnavailable
from pipeline.lifecycle import ChunkStatus, JobStatus
from pipeline.options import TranscriptionOptions
from pipeline.run import ProviderRegistry
from pipeline.transcript import Heard
from tests.support.recordings import long, short, silence
from tests.workers.conftest import WorkerHarness
from workers.deletions import drop_media
from workers.steps.turn import take_turn

pytestmark = pytest.mark.processes

LONG = long(12, seed=3)


def test_one_chunk_costs_one_task(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1))
    harness.work(most=1)
    job = harness.job(job_id)
    assert job.status == JobStatus.COMPLETED
    assert harness.text(job_id).split() == list(short(1).words)
    assert not harness.messages.sent
    assert (job.chunks_total, job.attempt, job.model_used, job.language) == (1, 1, "oracle", "en")
    coverage = (job.quality or {}).pop("coverage")
    assert coverage["transcribed_seconds"] == coverage["speech_seconds"] > 0.3
    assert coverage["chunks_short"] == []
    assert job.quality == {
        "seams": {"silence": 0, "soft": 0, "hard": 0},
        "suspect_segments": 0,
        "timeline_monotonic": True,
        "not_sent": [],
    }
    assert job.input["codec"] == "pcm_s16le"
    assert not [key for key in harness.stored() if "sound" in key]


def test_what_has_to_wait_in_line_is_not_heard_on_the_spot(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T11: whoever prepares short recordings for an engine that all share, goes on and does not wait for it."""
    monkeypatch.setattr(harness.services.registry, "has_line", lambda _route: True)
    job_id = harness.submit(short(1))
    harness.work(most=1)
    assert harness.calls() == 0 and harness.messages.sent == [("cpu", job_id, 0)]
    (chunk,) = harness.services.jobs.chunks(job_id)
    assert (chunk.queue, chunk.in_line) == ("cpu", True)
    harness.work()
    assert harness.text(job_id).split() == list(short(1).words)


def test_what_goes_to_another_machine_stands_in_no_line(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.services.registry, "has_line", lambda _route: True)
    job_id = harness.submit(short(1), model="far")
    harness.work(most=1)
    (chunk,) = harness.services.jobs.chunks(job_id)
    assert (chunk.queue, chunk.in_line) == ("io", False)


def test_the_only_chunk_is_seen_to_be_heard(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = harness.submit(short(1))
    seen: list[Job] = []

    def hear(chunk: Chunk, options: TranscriptionOptions, registry: ProviderRegistry) -> Heard:
        seen.append(harness.job(job_id))
        raise ProviderRefused("No.", provider="oracle")

    monkeypatch.setattr("workers.steps.prepare.hear_chunk", hear)
    harness.work(most=1)
    (meanwhile,) = seen
    assert (meanwhile.stage, meanwhile.input["duration"]) == ("transcribing", round(len(short(1).wav[44:]) / 32_000, 3))
    error = harness.job(job_id).error
    assert error
    assert (error["code"], error["stage"], error["chunk"]) == ("provider_refused", "transcribing", 0)


def test_silence_is_sent_to_nobody(harness: WorkerHarness) -> None:
    job_id = harness.submit(silence(2), model="far")
    harness.work(most=1)
    assert harness.job(job_id).status == JobStatus.COMPLETED
    assert harness.text(job_id) == ""
    assert harness.calls() == 0


def test_many_chunks_are_heard_one_by_one_and_the_last_one_finishes(harness: WorkerHarness) -> None:
    job_id = harness.submit(LONG)
    harness.work(most=1)
    job = harness.job(job_id)
    assert job.stage == "transcribing"
    assert job.chunks_total > 2
    assert len(harness.messages.sent) == job.chunks_total
    harness.work()
    assert harness.job(job_id).status == JobStatus.COMPLETED
    assert harness.text(job_id).split() == list(LONG.words)
    assert not [key for key in harness.stored() if "sound" in key]


def test_a_remote_model_is_heard_by_the_io_workers(harness: WorkerHarness) -> None:
    one, many = harness.submit(short(1), model="far"), harness.submit(LONG, model="far")
    harness.work(most=2)
    assert {message[0] for message in harness.messages.sent} == {"io"}
    harness.work("io", "cpu")
    assert [harness.job(job_id).status for job_id in (one, many)] == [JobStatus.COMPLETED] * 2
    assert harness.text(one).split() == list(short(1).words)


def test_a_message_for_nothing_does_nothing(harness: WorkerHarness) -> None:
    assert not take_turn(harness.worker(), "job_unknown")
    assert not take_turn(harness.worker(), "job_unknown", 0)
    job_id = harness.submit(short(1))
    for _ in range(3):
        take_turn(harness.worker(), job_id)
    assert harness.calls() == 1


def test_finished_chunks_are_not_cut_and_heard_again(harness: WorkerHarness) -> None:
    """The preparing worker dies after a chunk was heard; another one prepares the job once more."""
    job_id = harness.submit(LONG)
    harness.work(most=1)
    harness.work(most=1)
    calls = harness.calls()
    with harness.services.database.write() as session:
        job = session.merge(harness.job(job_id))
        job.cut_done = False
    harness.messages.sent.clear()
    harness.work(most=1)
    assert (job_id, 0) not in {message[1:] for message in harness.messages.sent}
    harness.work()
    assert harness.text(job_id).split() == list(LONG.words)
    assert harness.calls() == calls + harness.job(job_id).chunks_total - 1


def test_a_gap_is_told_and_the_rest_is_there(harness: WorkerHarness) -> None:
    lost = LONG.words[-1]
    job_id = harness.submit(LONG, f"fail=9 error=refused at={lost}", request={"on_chunk_failure": "partial"})
    harness.work(most=1)
    harness.work()
    job = harness.job(job_id)
    assert job.status == JobStatus.COMPLETED
    assert job.partial
    assert job.gaps
    assert job.gaps[0]["code"] == "provider_refused"
    assert lost not in harness.text(job_id).split()


def test_gaps_and_nothing_else_are_a_failure(harness: WorkerHarness) -> None:
    job_id = harness.submit(LONG, "fail=9 error=refused", request={"on_chunk_failure": "partial"})
    harness.work(most=1)
    harness.work()
    job = harness.job(job_id)
    assert (job.status, job.result_key) == ("failed", None)
    assert job.error is not None
    assert (job.error["code"], job.error["chunk"]) == ("provider_refused", 0)


def test_a_chunk_that_fails_for_good_fails_the_job(harness: WorkerHarness) -> None:
    job_id = harness.submit(LONG, f"fail=9 error=refused at={LONG.words[-1]}")
    harness.work(most=1)
    harness.work()
    error = harness.job(job_id).error
    assert error
    assert (error["code"], error["stage"], error["provider"]) == ("provider_refused", "transcribing", "oracle")
    assert error["chunk"] == harness.job(job_id).chunks_total - 1


def test_what_can_be_tried_again_waits_its_turn(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1), "fail=1")
    harness.work(most=1)
    job = harness.job(job_id)
    assert (job.status, job.failures) == (JobStatus.QUEUED, 1)
    harness.work(most=1)
    assert harness.calls() == 1, "not before its time"


@pytest.mark.parametrize(
    ("wav", "code"), [(b"", "empty_media"), (b"just some text, no sound " * 400, "unsupported_media")]
)
def test_bad_input_is_the_jobs_end_with_its_reason(harness: WorkerHarness, wav: bytes, code: str) -> None:
    media = harness.services.media.begin(harness.account, "bad.wav")
    harness.services.storage.put(media.storage_key, wav)
    job_id = harness.create(media=harness.services.media.stored(media.id, len(wav), ""))
    harness.work(most=1)
    job = harness.job(job_id)
    assert job.status == JobStatus.FAILED
    assert job.error
    assert (job.error["code"], job.error["stage"]) == (code, "preparing")
    assert harness.stored() == [], "nobody can ever use it"
    harness.services.jobs.retry(harness.account, job_id)
    harness.work(most=1)
    again = harness.job(job_id)
    assert (again.status, again.error) == (JobStatus.FAILED, job.error), "and who tries again is told the same"


def test_a_bad_recording_stays_while_another_job_needs_it(harness: WorkerHarness) -> None:
    media = harness.services.media.begin(harness.account, "bad.wav")
    harness.services.storage.put(media.storage_key, b"just some text")
    media = harness.services.media.stored(media.id, 14, "")
    harness.create(media=media)
    second = harness.create(media=media)
    harness.work(most=1)
    assert harness.stored() == [f"media/{media.id}"]
    harness.work(most=1)
    assert harness.stored() == []
    error = harness.job(second).error
    assert error
    assert error["code"] == "unsupported_media"


def test_a_bad_recording_that_storage_keeps_goes_with_the_sweep(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = harness.services.media.begin(harness.account, "bad.wav")
    harness.services.storage.put(media.storage_key, b"just some text")
    job_id = harness.create(media=harness.services.media.stored(media.id, 14, ""))

    def away(*_keys: str) -> None:
        raise StorageUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(harness.services.storage, "delete", away)
        harness.work(most=1)
    error = harness.job(job_id).error
    assert error
    assert error["code"] == "unsupported_media", "what is wrong with the file is told all the same"
    assert harness.stored() == [f"media/{media.id}"]
    monkeypatch.setattr("infra.media.GIVE_UP_AGAIN", -1.0)
    drop_media(harness.services)
    assert harness.stored() == []


def test_media_that_is_gone_is_told(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1))
    harness.services.storage.delete_prefix(f"t/{harness.account}/media")
    harness.work(most=1)
    error = harness.job(job_id).error
    assert error
    assert error["code"] == "input_missing"


def test_a_surprise_is_an_internal_error_without_its_words(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise ZeroDivisionError("sk-secret")

    monkeypatch.setattr("pipeline.cut.channel_chunks.decode", surprise)
    job_id = harness.submit(short(1))
    harness.work(most=1)
    error = harness.job(job_id).error
    assert error
    assert error["code"] == "internal_error"
    assert "secret" not in str(error)
    assert "ZeroDivisionError" in caplog.text


def test_storage_that_is_away_is_tried_again(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailable()

    job_id = harness.submit(short(1))
    with monkeypatch.context() as patch:
        patch.setattr(harness.services.storage, "recording", away)
        harness.work(most=1)
    job = harness.job(job_id)
    assert (job.status, job.stage) == (JobStatus.QUEUED, "waiting_for_storage")


def test_a_cancelled_job_is_left_at_the_next_block(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = harness.submit(LONG)
    harness.work(most=1)
    harness.services.jobs.cancel(harness.account, job_id)
    calls = harness.calls()
    harness.work()
    assert harness.job(job_id).status == JobStatus.CANCELLED
    assert harness.calls() == calls
    assert {chunk.status for chunk in harness.services.jobs.chunks(job_id)} == {ChunkStatus.CANCELLED}


def test_who_is_told_to_stop_begins_nothing(harness: WorkerHarness) -> None:
    harness.submit(short(1))
    keeper = LeaseKeeper(harness.services.jobs, 6.0, lambda: 1e12)
    worker = replace(harness.worker(), leases=keeper)
    assert take_turn(worker) is False
    assert harness.services.jobs.due()["cpu"] == 1
    keeper.close()
