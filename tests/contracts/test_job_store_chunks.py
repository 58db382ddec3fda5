"""From bytes to chunks, and from chunks to results."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.jobs.store import Finished, HeardChunk
from pipeline.errors import InputMissing
from tests.contracts.job_store_harness import CHUNK, ERROR, JobDesk, span

PARTIAL = {"on_chunk_failure": "partial"}


def test_chunks_are_heard_while_later_sound_is_still_cut(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    assert desk.jobs.add_chunk(lease, 0, span(0), "s0", "io")
    assert not desk.hear(job, 0)
    assert desk.jobs.add_chunk(lease, 1, span(1), "s1", "io")
    row = desk.now(job)
    assert (row.chunks_total, row.chunks_completed, row.samples_done, row.audio_samples) == (2, 1, CHUNK, 2 * CHUNK)
    assert not desk.jobs.cut_done(lease, 2 * CHUNK + 5, 2)
    row = desk.now(job)
    assert (row.stage, row.cut_done, row.audio_samples, row.lease_token) == ("transcribing", True, 2 * CHUNK + 5, None)
    assert row.input["duration"] == 2.0
    assert desk.hear(job, 1)
    desk.check_counters(job)


def test_silence_is_heard_at_birth(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    assert not desk.jobs.add_chunk(lease, 0, span(0), None)
    assert desk.jobs.claim_chunk(job.id, 0, "w") is None
    assert desk.jobs.cut_done(lease, CHUNK, 1)
    desk.check_counters(job)
    assert desk.finish(job).status == "completed"


def test_a_recording_without_chunks_is_finished_too(desk: JobDesk) -> None:
    job = desk.submit()
    assert desk.jobs.cut_done(desk.claim(job), 0, 0)
    assert desk.finish(job).status == "completed"


def test_a_second_preparation_keeps_what_is_there(desk: JobDesk) -> None:
    job = desk.submit()
    first = desk.claim(job)
    for idx in range(3):
        desk.jobs.add_chunk(first, idx, span(idx), f"sound/1-{idx}")
    desk.hear(job, 0)
    running = desk.claim_chunk(job, 1)
    desk.silence(job)
    assert desk.jobs.rescue() == 1
    second = desk.claim(job)
    assert second.attempt == 2
    assert [desk.jobs.add_chunk(second, idx, span(idx), f"sound/2-{idx}") for idx in range(4)] == [False] * 3 + [True]
    assert desk.jobs.complete_chunk(running, "heard/1") is False
    rows = desk.jobs.chunks(job.id)
    assert [row.status for row in rows] == ["completed", "completed", "pending", "pending"]
    assert [row.sound_key for row in rows] == ["sound/1-0", "sound/1-1", "sound/1-2", "sound/2-3"]
    assert desk.erasures() == {"sound/2-0", "sound/2-1", "sound/2-2"}
    desk.check_counters(job)


def test_another_cut_makes_rows_anew(desk: JobDesk) -> None:
    job = desk.submit()
    first = desk.claim(job)
    for idx in range(4):
        desk.jobs.add_chunk(first, idx, span(idx), f"sound/1-{idx}")
    desk.hear(job, 0)
    desk.hear(job, 3)
    running = desk.claim_chunk(job, 1)
    desk.silence(job)
    desk.jobs.rescue()
    second = desk.claim(job)
    assert desk.jobs.add_chunk(second, 0, span(0, start=3), "sound/2-0")
    assert desk.jobs.add_chunk(second, 1, span(1, start=3), "sound/2-1")
    assert desk.jobs.heartbeat([running]) == set()
    desk.check_counters(job)
    assert not desk.jobs.cut_done(second, 2 * CHUNK, 2)
    assert [(row.status, row.attempt, row.result_key) for row in desk.jobs.chunks(job.id)] == [
        ("pending", 1, None),
        ("pending", 1, None),
    ]
    assert desk.claim_chunk(job, 0).attempt == 2
    assert desk.erasures() == {f"sound/1-{idx}" for idx in range(4)}
    desk.check_counters(job)


def test_adding_a_chunk_twice_is_adding_it_once(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    assert desk.jobs.add_chunk(lease, 0, span(0), "s0")
    assert not desk.jobs.add_chunk(lease, 0, span(0), "s0")
    assert desk.erasures() == set()
    desk.check_counters(job)


def test_a_chunk_tries_again_when_told_so(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job, 1)
    assert not desk.break_chunk(job, 0, retry_in=60)
    assert desk.jobs.claim_chunk(job.id, 0, "w") is None
    assert desk.jobs.to_ring() == desk.jobs.stale_bells(0) == []
    desk.shift_chunk(job, 0, run_at=1.0)
    assert [bell.idx for bell in desk.jobs.to_ring()] == [0]
    chunk = desk.jobs.chunks(job.id)[0]
    assert (chunk.failures, chunk.error, desk.now(job).chunks_retried) == (1, ERROR, 1)
    assert desk.hear(job, 0)
    assert desk.jobs.chunks(job.id)[0].error is None


def test_one_chunk_that_fails_for_good_fails_the_job_at_once(desk: JobDesk) -> None:
    job = desk.submit(webhook_url="https://example.com")
    lease = desk.claim(job)
    for idx in range(3):
        desk.jobs.add_chunk(lease, idx, span(idx), f"s{idx}")
    other = desk.claim_chunk(job, 1)
    assert not desk.break_chunk(job, 0)
    row = desk.now(job)
    assert (row.status, row.stage, row.error) == ("failed", "done", ERROR | {"chunk": 0})
    assert [chunk.status for chunk in desk.jobs.chunks(job.id)] == ["failed", "cancelled", "cancelled"]
    assert desk.jobs.heartbeat([lease, other]) == set()
    assert desk.jobs.to_ring() == []
    assert [message.type for message in desk.messages(job)] == ["audio.job.failed"]
    desk.check_counters(job)


def test_with_partial_results_a_failed_chunk_is_a_gap(desk: JobDesk) -> None:
    job = desk.submit(request=PARTIAL)
    desk.cut(job, 3)
    assert not desk.hear(job, 2)
    assert not desk.break_chunk(job, 1)
    assert desk.hear(job, 0)
    done = desk.finish(job)
    assert (done.status, done.partial, done.chunks_failed) == ("completed", True, 1)
    assert done.gaps == [{"start": 1.0, "end": 2.0, "code": "provider_refused", "chunk": 1}]
    desk.check_counters(job)


def test_the_last_chunk_may_be_one_that_failed(desk: JobDesk) -> None:
    job = desk.submit(request=PARTIAL)
    desk.cut(job, 2)
    assert not desk.hear(job, 0)
    assert desk.break_chunk(job, 1)
    assert desk.finish(job).partial


@pytest.mark.parametrize("partial", [False, True])
def test_exactly_one_worker_hears_the_last_chunk(desk: JobDesk, partial: bool) -> None:
    """Twenty workers end their chunks at once, while the preparation ends as well."""
    job = desk.submit(request=PARTIAL if partial else {})
    lease = desk.claim(job)
    for idx in range(20):
        desk.jobs.add_chunk(lease, idx, span(idx), f"s{idx}")
    leases = [desk.claim_chunk(job, idx) for idx in range(20)]
    start = threading.Barrier(21)

    def end(idx: int) -> bool:
        start.wait()
        if idx == 20:
            return desk.jobs.cut_done(lease, 20 * CHUNK, 20)
        if partial and idx % 2:
            return desk.jobs.fail_chunk(leases[idx], ERROR)
        return desk.jobs.complete_chunk(leases[idx], f"r{idx}")

    with ThreadPoolExecutor(21) as threads:
        last = list(threads.map(end, range(21)))
    assert sum(last) == 1
    desk.check_counters(job)
    assert len(desk.finish(job).gaps or []) == (10 if partial else 0)


def test_what_is_learned_of_the_input_is_added(desk: JobDesk) -> None:
    job = desk.submit(source={"url": "https://example.com/secret", "headers": {}}, input={"type": "url"})
    lease = desk.claim(job)
    desk.jobs.start_fetch(lease)
    assert desk.now(job).stage == "fetching"
    media = desk.upload()
    row = desk.jobs.note_input(lease, {"bytes": 12}, media)
    assert (row.stage, row.source, row.media_id, row.input) == (
        "preparing",
        None,
        media.id,
        {"type": "url", "bytes": 12},
    )
    row = desk.jobs.note_input(lease, {"codec": "mp3"})
    assert row.input == {"type": "url", "bytes": 12, "codec": "mp3"}
    assert row.media_id == media.id
    with pytest.raises(InputMissing):
        desk.jobs.note_input(lease, {}, desk.media.begin(desk.account, "x"))


def test_a_job_of_one_chunk_is_three_transactions(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    heard = HeardChunk(span=span(0), model_used="oracle")
    done = desk.jobs.finish(lease, Finished(result_key="t", model_used="oracle", duration_samples=CHUNK + 8), heard)
    assert (done.chunks_total, done.chunks_completed, done.samples_done) == (1, 1, CHUNK)
    assert (done.audio_samples, done.input["duration"], done.gaps, done.partial) == (CHUNK + 8, 1.0, [], False)
    desk.check_counters(job)


def test_an_unheard_job_cannot_be_finished(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    desk.jobs.add_chunk(lease, 0, span(0), "s")
    with pytest.raises(AssertionError):
        desk.jobs.finish(lease, Finished(result_key="t"))
    assert desk.now(job).status == "processing"


def test_every_change_a_caller_can_see_is_a_new_version(desk: JobDesk) -> None:
    job = desk.submit()
    versions = [desk.now(job).version]

    def seen() -> None:
        versions.append(desk.now(job).version)

    lease = desk.claim(job)
    seen()
    desk.jobs.add_chunk(lease, 0, span(0), "s")
    seen()
    desk.jobs.cut_done(lease, CHUNK, 1)
    seen()
    chunk = desk.claim_chunk(job, 0)
    desk.jobs.fail_chunk(chunk, ERROR, retry_in=0)
    seen()
    desk.hear(job, 0)
    seen()
    lease = desk.claim(job)
    seen()
    desk.jobs.heartbeat([lease])
    assert desk.now(job).version == versions[-1]
    desk.jobs.finish(lease, Finished(result_key="t"))
    seen()
    assert versions == sorted(set(versions))
