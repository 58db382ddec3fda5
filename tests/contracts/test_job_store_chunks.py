"""From bytes to chunks, and from chunks to results."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.jobs.store import Finished, HeardChunk
from pipeline.errors import InputMissing
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness, span

PARTIAL = {"on_chunk_failure": "partial"}


def test_chunks_are_heard_while_later_sound_is_still_cut(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    assert harness.jobs.add_chunk(lease, 0, span(0), "s0", "io")
    assert not harness.hear(job, 0)
    assert harness.jobs.add_chunk(lease, 1, span(1), "s1", "io")
    row = harness.now(job)
    assert (row.chunks_total, row.chunks_completed, row.samples_done, row.audio_samples) == (2, 1, CHUNK, 2 * CHUNK)
    assert not harness.jobs.cut_done(lease, 2 * CHUNK + 5, 2)
    row = harness.now(job)
    assert (row.stage, row.cut_done, row.audio_samples, row.lease_token) == ("transcribing", True, 2 * CHUNK + 5, None)
    assert row.input["duration"] == 2.0
    assert harness.hear(job, 1)
    harness.check_counters(job)


def test_a_hole_in_the_recording_is_no_sound(harness: JobStoreHarness) -> None:
    """One second, a hole of an hour, another second: two seconds are heard, covered and counted, on a clock of an hour."""
    job = harness.submit()
    lease, hour = harness.claim(job), 3600 * CHUNK
    late = {**span(1), **{name: span(1)[name] + hour for name in ("audio_start", "audio_end", "own_start", "own_end")}}
    harness.jobs.add_chunk(lease, 0, span(0), "s0", samples=CHUNK)
    harness.jobs.add_chunk(lease, 1, late, "s1", samples=2 * CHUNK)
    assert harness.now(job).audio_samples == 2 * CHUNK
    harness.jobs.cut_done(lease, 2 * CHUNK, 2, {"duration": 3602.0, "findings": {"gaps": []}})
    assert not harness.hear(job, 0)
    assert harness.hear(job, 1)
    done = harness.finish(job)
    assert (done.audio_samples, done.samples_done) == (2 * CHUNK, 2 * CHUNK)
    assert (done.input["duration"], done.partial) == (3602.0, False)
    harness.check_counters(job)


def test_silence_is_heard_at_birth(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    assert not harness.jobs.add_chunk(lease, 0, span(0), None)
    assert harness.take(job.id, 0) is None
    assert harness.jobs.cut_done(lease, CHUNK, 1)
    harness.check_counters(job)
    assert harness.finish(job).status == "completed"


def test_a_recording_without_chunks_is_finished_too(harness: JobStoreHarness) -> None:
    job = harness.submit()
    assert harness.jobs.cut_done(harness.claim(job), 0, 0)
    assert harness.finish(job).status == "completed"


def test_a_second_preparation_keeps_what_is_there(harness: JobStoreHarness) -> None:
    job = harness.submit()
    first = harness.claim(job)
    for idx in range(3):
        harness.jobs.add_chunk(first, idx, span(idx), f"sound/1-{idx}")
    harness.hear(job, 0)
    running = harness.claim_chunk(job, 1)
    harness.silence(job)
    assert harness.jobs.rescue() == 1
    second = harness.claim(job)
    assert second.attempt == 2
    assert [harness.jobs.add_chunk(second, idx, span(idx), f"sound/2-{idx}") for idx in range(4)] == [False] * 3 + [
        True
    ]
    assert harness.jobs.complete_chunk(running, "heard/1") is False
    rows = harness.jobs.chunks(job.id)
    assert [row.status for row in rows] == ["completed", "completed", "pending", "pending"]
    assert [row.sound_key for row in rows] == ["sound/1-0", "sound/1-1", "sound/1-2", "sound/2-3"]
    assert harness.erasures() == {"sound/2-0", "sound/2-1", "sound/2-2"}
    harness.check_counters(job)


def test_another_cut_makes_rows_anew(harness: JobStoreHarness) -> None:
    job = harness.submit()
    first = harness.claim(job)
    for idx in range(4):
        harness.jobs.add_chunk(first, idx, span(idx), f"sound/1-{idx}")
    harness.hear(job, 0)
    harness.hear(job, 3)
    running = harness.claim_chunk(job, 1)
    harness.silence(job)
    harness.jobs.rescue()
    second = harness.claim(job)
    assert harness.jobs.add_chunk(second, 0, span(0, start=3), "sound/2-0")
    assert harness.jobs.add_chunk(second, 1, span(1, start=3), "sound/2-1")
    assert harness.jobs.heartbeat([running]) == set()
    harness.check_counters(job)
    assert not harness.jobs.cut_done(second, 2 * CHUNK, 2)
    assert [(row.status, row.attempt, row.result_key) for row in harness.jobs.chunks(job.id)] == [
        ("pending", 1, None),
        ("pending", 1, None),
    ]
    assert harness.claim_chunk(job, 0).attempt == 2
    assert harness.erasures() == {f"sound/1-{idx}" for idx in range(4)}
    harness.check_counters(job)


def test_adding_a_chunk_twice_is_adding_it_once(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    assert harness.jobs.add_chunk(lease, 0, span(0), "s0")
    assert not harness.jobs.add_chunk(lease, 0, span(0), "s0")
    assert harness.erasures() == set()
    harness.check_counters(job)


def test_a_chunk_tries_again_when_told_so(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 1)
    assert not harness.break_chunk(job, 0, retry_in=60)
    assert harness.take(job.id, 0) is None
    assert harness.due() == []
    harness.shift_chunk(job, 0, run_at=1.0)
    assert harness.due() == [(job.id, 0)]
    chunk = harness.jobs.chunks(job.id)[0]
    assert (chunk.failures, chunk.error, harness.now(job).chunks_retried) == (1, ERROR, 1)
    assert harness.hear(job, 0)
    assert harness.jobs.chunks(job.id)[0].error is None


def test_one_chunk_that_fails_for_good_fails_the_job_at_once(harness: JobStoreHarness) -> None:
    job = harness.submit(webhook_url="https://example.com")
    lease = harness.claim(job)
    for idx in range(3):
        harness.jobs.add_chunk(lease, idx, span(idx), f"s{idx}")
    other = harness.claim_chunk(job, 1)
    assert not harness.break_chunk(job, 0)
    row = harness.now(job)
    assert (row.status, row.stage, row.error) == ("failed", "done", ERROR | {"chunk": 0})
    assert [chunk.status for chunk in harness.jobs.chunks(job.id)] == ["failed", "cancelled", "cancelled"]
    assert harness.jobs.heartbeat([lease, other]) == set()
    assert harness.due() == []
    assert [message.type for message in harness.messages(job)] == ["audio.job.failed"]
    harness.check_counters(job)


def test_with_partial_results_a_failed_chunk_is_a_gap(harness: JobStoreHarness) -> None:
    job = harness.submit(request=PARTIAL)
    harness.cut(job, 3)
    assert not harness.hear(job, 2)
    assert not harness.break_chunk(job, 1)
    assert harness.hear(job, 0)
    done = harness.finish(job)
    assert (done.status, done.partial, done.chunks_failed) == ("completed", True, 1)
    (gap,) = done.gaps or ()
    assert gap == {
        "start": 1.0, "end": 2.0, "code": "provider_refused", "reason": "no", "retryable": True, "chunk": 1,
    }  # fmt: skip
    harness.check_counters(job)


def test_the_last_chunk_may_be_one_that_failed(harness: JobStoreHarness) -> None:
    job = harness.submit(request=PARTIAL)
    harness.cut(job, 2)
    assert not harness.hear(job, 0)
    assert harness.break_chunk(job, 1)
    assert harness.finish(job).partial


@pytest.mark.parametrize("partial", [False, True])
def test_exactly_one_worker_hears_the_last_chunk(harness: JobStoreHarness, partial: bool) -> None:
    """Twenty workers end their chunks at once, while the preparation ends as well."""
    job = harness.submit(request=PARTIAL if partial else {})
    lease = harness.claim(job)
    for idx in range(20):
        harness.jobs.add_chunk(lease, idx, span(idx), f"s{idx}")
    leases = [harness.claim_chunk(job, idx) for idx in range(20)]
    start = threading.Barrier(21)

    def end(idx: int) -> bool:
        start.wait()
        if idx == 20:
            return harness.jobs.cut_done(lease, 20 * CHUNK, 20)
        if partial and idx % 2:
            return harness.jobs.fail_chunk(leases[idx], ERROR)
        return harness.jobs.complete_chunk(leases[idx], f"r{idx}")

    with ThreadPoolExecutor(21) as threads:
        last = list(threads.map(end, range(21)))
    assert sum(last) == 1
    harness.check_counters(job)
    assert len(harness.finish(job).gaps or []) == (10 if partial else 0)


def test_what_is_learned_of_the_input_is_added(harness: JobStoreHarness) -> None:
    job = harness.submit(source={"url": "https://example.com/secret", "headers": {}}, input={"type": "url"})
    lease = harness.claim(job)
    harness.jobs.start_fetch(lease)
    assert harness.now(job).stage == "fetching"
    media = harness.upload()
    row = harness.jobs.note_input(lease, {"bytes": 12}, media)
    assert (row.stage, row.source, row.media_id, row.input) == (
        "preparing",
        None,
        media.id,
        {"type": "url", "bytes": 12},
    )
    row = harness.jobs.note_input(lease, {"codec": "mp3"})
    assert row.input == {"type": "url", "bytes": 12, "codec": "mp3"}
    assert row.media_id == media.id
    with pytest.raises(InputMissing):
        harness.jobs.note_input(lease, {}, harness.media.begin(harness.account, "x"))


def test_a_job_of_one_chunk_is_three_transactions(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.note_input(lease, {"codec": "flac"}, samples=CHUNK + 8)
    heard = HeardChunk(span=span(0), model_used="oracle")
    done = harness.jobs.finish(lease, Finished(result_key="t", model_used="oracle"), heard)
    assert (done.chunks_total, done.chunks_completed, done.samples_done) == (1, 1, CHUNK)
    assert (done.audio_samples, done.input["duration"], done.gaps, done.partial) == (CHUNK + 8, 1.0, [], False)
    harness.check_counters(job)


def test_an_unheard_job_cannot_be_finished(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), "s")
    with pytest.raises(AssertionError):
        harness.jobs.finish(lease, Finished(result_key="t"))
    assert harness.now(job).status == "processing"


def test_every_change_a_caller_can_see_is_a_new_version(harness: JobStoreHarness) -> None:
    job = harness.submit()
    versions = [harness.now(job).version]

    def seen() -> None:
        versions.append(harness.now(job).version)

    lease = harness.claim(job)
    seen()
    harness.jobs.add_chunk(lease, 0, span(0), "s")
    seen()
    harness.jobs.cut_done(lease, CHUNK, 1)
    seen()
    chunk = harness.claim_chunk(job, 0)
    harness.jobs.fail_chunk(chunk, ERROR, retry_in=0)
    seen()
    harness.hear(job, 0)
    seen()
    lease = harness.claim(job)
    seen()
    harness.jobs.heartbeat([lease])
    assert harness.now(job).version == versions[-1]
    harness.jobs.finish(lease, Finished(result_key="t"))
    seen()
    assert versions == sorted(set(versions))
