"""A job's way through the steps, in one process and without a broker: the bells are rung by hand."""

import pytest

from infra.database.tables import Job
from pipeline.cut import Chunk
from pipeline.errors import ProviderRefused, StorageUnavailable
from pipeline.lifecycle import ChunkStatus, JobStatus
from pipeline.options import TranscriptionOptions
from pipeline.run import Toolbox
from pipeline.transcript import Heard
from tests.support.recordings import long, short, silence
from tests.workers.conftest import Office
from workers.advance import advance
from workers.sweep import drop_media
from workers.transcribe import transcribe

pytestmark = pytest.mark.processes

LONG = long(12, seed=3)


def hear_all(office: Office, role: str = "cpu") -> None:
    for bell in office.bells.rung:
        if bell[0] == role and len(bell) == 3:
            transcribe(office.desk(role), bell[1], bell[2])  # type: ignore[arg-type]


def test_one_chunk_costs_one_task(office: Office) -> None:
    job_id = office.submit(short(1))
    advance(office.desk(), job_id)
    job = office.job(job_id)
    assert job.status == JobStatus.COMPLETED
    assert office.text(job_id).split() == list(short(1).words)
    assert not office.bells.rung
    assert (job.chunks_total, job.attempt, job.model_used, job.language) == (1, 1, "oracle", "en")
    coverage = (job.quality or {}).pop("coverage")
    assert coverage["transcribed_seconds"] == coverage["speech_seconds"] > 0.3
    assert coverage["chunks_short"] == []
    assert job.quality == {
        "seams": {"silence": 0, "soft": 0, "hard": 0},
        "suspect_segments": 0,
        "timeline_monotonic": True,
    }
    assert job.input["codec"] == "pcm_s16le"
    assert not [key for key in office.stored() if "sound" in key]


def test_the_only_chunk_is_seen_to_be_heard(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = office.submit(short(1))
    seen: list[Job] = []

    def hear(chunk: Chunk, options: TranscriptionOptions, toolbox: Toolbox) -> Heard:
        seen.append(office.job(job_id))
        raise ProviderRefused("No.", provider="oracle")

    monkeypatch.setattr("workers.prepare.hear_chunk", hear)
    advance(office.desk(), job_id)
    (meanwhile,) = seen
    assert (meanwhile.stage, meanwhile.input["duration"]) == ("transcribing", round(len(short(1).wav[44:]) / 32_000, 3))
    error = office.job(job_id).error
    assert error
    assert (error["code"], error["stage"], error["chunk"]) == ("provider_refused", "transcribing", 0)


def test_silence_is_sent_to_nobody(office: Office) -> None:
    job_id = office.submit(silence(2), model="far")
    advance(office.desk(), job_id)
    assert office.job(job_id).status == JobStatus.COMPLETED
    assert office.text(job_id) == ""
    assert office.calls() == 0


def test_many_chunks_are_heard_one_by_one_and_the_last_one_finishes(office: Office) -> None:
    job_id = office.submit(LONG)
    advance(office.desk(), job_id)
    job = office.job(job_id)
    assert job.stage == "transcribing"
    assert job.chunks_total > 2
    assert len(office.bells.rung) == job.chunks_total
    hear_all(office)
    assert office.job(job_id).status == JobStatus.COMPLETED
    assert office.text(job_id).split() == list(LONG.words)
    assert not [key for key in office.stored() if "sound" in key]


def test_a_remote_model_is_heard_by_the_io_workers(office: Office) -> None:
    one, many = office.submit(short(1), model="far"), office.submit(LONG, model="far")
    advance(office.desk(), one)
    advance(office.desk(), many)
    assert {bell[0] for bell in office.bells.rung} == {"io"}
    hear_all(office, "io")
    assert [office.job(job_id).status for job_id in (one, many)] == [JobStatus.COMPLETED] * 2
    assert office.text(one).split() == list(short(1).words)


def test_a_bell_for_nothing_does_nothing(office: Office) -> None:
    advance(office.desk(), "job_unknown")
    transcribe(office.desk(), "job_unknown", 0)
    job_id = office.submit(short(1))
    for _ in range(3):
        advance(office.desk(), job_id)
    assert office.calls() == 1


def test_finished_chunks_are_not_cut_and_heard_again(office: Office) -> None:
    """The preparing worker dies after a chunk was heard; another one prepares the job once more."""
    job_id = office.submit(LONG)
    advance(office.desk(), job_id)
    transcribe(office.desk(), job_id, 0)
    calls = office.calls()
    with office.services.database.write() as session:
        job = session.merge(office.job(job_id))
        job.cut_done = False
    office.bells.rung.clear()
    advance(office.desk(), job_id)
    assert (job_id, 0) not in {bell[1:] for bell in office.bells.rung}
    for chunk in office.services.jobs.chunks(job_id):
        transcribe(office.desk(), job_id, chunk.idx)
    assert office.text(job_id).split() == list(LONG.words)
    assert office.calls() == calls + office.job(job_id).chunks_total - 1


def test_a_gap_is_told_and_the_rest_is_there(office: Office) -> None:
    lost = LONG.words[-1]
    job_id = office.submit(LONG, f"fail=9 error=refused at={lost}", request={"on_chunk_failure": "partial"})
    advance(office.desk(), job_id)
    hear_all(office)
    job = office.job(job_id)
    assert job.status == JobStatus.COMPLETED
    assert job.partial
    assert job.gaps
    assert job.gaps[0]["code"] == "provider_refused"
    assert lost not in office.text(job_id).split()


def test_gaps_and_nothing_else_are_a_failure(office: Office) -> None:
    job_id = office.submit(LONG, "fail=9 error=refused", request={"on_chunk_failure": "partial"})
    advance(office.desk(), job_id)
    hear_all(office)
    job = office.job(job_id)
    assert (job.status, job.result_key) == ("failed", None)
    assert job.error is not None
    assert (job.error["code"], job.error["chunk"]) == ("provider_refused", 0)


def test_a_chunk_that_fails_for_good_fails_the_job(office: Office) -> None:
    job_id = office.submit(LONG, f"fail=9 error=refused at={LONG.words[-1]}")
    advance(office.desk(), job_id)
    hear_all(office)
    error = office.job(job_id).error
    assert error
    assert (error["code"], error["stage"], error["provider"]) == ("provider_refused", "transcribing", "oracle")
    assert error["chunk"] == office.job(job_id).chunks_total - 1


def test_what_can_be_tried_again_waits_its_turn(office: Office) -> None:
    job_id = office.submit(short(1), "fail=1")
    advance(office.desk(), job_id)
    job = office.job(job_id)
    assert (job.status, job.failures) == (JobStatus.QUEUED, 1)
    advance(office.desk(), job_id)
    assert office.calls() == 1, "not before its time"


@pytest.mark.parametrize(
    ("wav", "code"), [(b"", "empty_media"), (b"just some text, no sound " * 400, "unsupported_media")]
)
def test_bad_input_is_the_jobs_end_with_its_reason(office: Office, wav: bytes, code: str) -> None:
    media = office.services.media.begin(office.account, "bad.wav")
    office.services.storage.put(media.storage_key, wav)
    job_id = office.create(media=office.services.media.stored(media.id, len(wav), ""))
    advance(office.desk(), job_id)
    job = office.job(job_id)
    assert job.status == JobStatus.FAILED
    assert job.error
    assert (job.error["code"], job.error["stage"]) == (code, "preparing")
    assert office.stored() == [], "nobody can ever use it"
    office.services.jobs.retry(office.account, job_id)
    advance(office.desk(), job_id)
    again = office.job(job_id)
    assert (again.status, again.error) == (JobStatus.FAILED, job.error), "and who tries again is told the same"


def test_a_bad_recording_stays_while_another_job_needs_it(office: Office) -> None:
    media = office.services.media.begin(office.account, "bad.wav")
    office.services.storage.put(media.storage_key, b"just some text")
    media = office.services.media.stored(media.id, 14, "")
    first, second = office.create(media=media), office.create(media=media)
    advance(office.desk(), first)
    assert office.stored() == [f"media/{media.id}"]
    advance(office.desk(), second)
    assert office.stored() == []
    error = office.job(second).error
    assert error
    assert error["code"] == "unsupported_media"


def test_a_bad_recording_that_storage_keeps_goes_with_the_sweep(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = office.services.media.begin(office.account, "bad.wav")
    office.services.storage.put(media.storage_key, b"just some text")
    job_id = office.create(media=office.services.media.stored(media.id, 14, ""))

    def away(*_keys: str) -> None:
        raise StorageUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(office.services.storage, "delete", away)
        advance(office.desk(), job_id)
    error = office.job(job_id).error
    assert error
    assert error["code"] == "unsupported_media", "what is wrong with the file is told all the same"
    assert office.stored() == [f"media/{media.id}"]
    monkeypatch.setattr("infra.media.GIVE_UP_AGAIN", -1.0)
    drop_media(office.services)
    assert office.stored() == []


def test_media_that_is_gone_is_told(office: Office) -> None:
    job_id = office.submit(short(1))
    office.services.storage.delete_prefix(f"t/{office.account}/media")
    advance(office.desk(), job_id)
    error = office.job(job_id).error
    assert error
    assert error["code"] == "input_missing"


def test_a_surprise_is_an_internal_error_without_its_words(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise ZeroDivisionError("sk-secret")

    monkeypatch.setattr("pipeline.cutting.sound.decode", surprise)
    job_id = office.submit(short(1))
    advance(office.desk(), job_id)
    error = office.job(job_id).error
    assert error
    assert error["code"] == "internal_error"
    assert "secret" not in str(error)
    assert "ZeroDivisionError" in caplog.text


def test_storage_that_is_away_is_tried_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailable()

    job_id = office.submit(short(1))
    with monkeypatch.context() as patch:
        patch.setattr(office.services.storage, "put", away)
        advance(office.desk(), job_id)
    assert office.job(job_id).status == JobStatus.QUEUED


def test_a_cancelled_job_is_left_at_the_next_block(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = office.submit(LONG)
    advance(office.desk(), job_id)
    office.services.jobs.cancel(office.account, job_id)
    calls = office.calls()
    hear_all(office)
    assert office.job(job_id).status == JobStatus.CANCELLED
    assert office.calls() == calls
    assert {chunk.status for chunk in office.services.jobs.chunks(job_id)} == {ChunkStatus.CANCELLED}
