"""The jobs' store: what is true about every job. A message is only a wake-up."""

from __future__ import annotations

from infra.jobs.cancel_retry_delete import CancelRetryDelete
from infra.jobs.chunks import ChunkProgress
from infra.jobs.claims import Claimed, Claims, Lease
from infra.jobs.completion import Completion, Finished, HeardChunk
from infra.jobs.create_and_read import JobRows, NewJob
from infra.jobs.missing_workers import MissingWorkers
from infra.jobs.outages import Outages
from infra.jobs.queue.archive_lane import ArchiveLane
from infra.jobs.queue.queue_load import LaneLoad, QueueLoad
from infra.jobs.queue.queue_position import QueuePlace, QueuePositions
from infra.jobs.reading import Reading
from infra.jobs.request_blobs import RequestBlobs
from infra.jobs.retention.clearing import Clearing
from infra.jobs.retention.purge import Retention, Sound
from infra.jobs.retention.records import Records
from infra.jobs.sweep_queries import SweepQueries

__all__ = ["Claimed", "Finished", "HeardChunk", "JobStore", "LaneLoad", "Lease", "NewJob", "QueuePlace", "Sound"]


class JobStore(
    JobRows,
    Claims,
    ChunkProgress,
    Completion,
    CancelRetryDelete,
    Reading,
    Outages,
    MissingWorkers,
    SweepQueries,
    QueuePositions,
    QueueLoad,
    ArchiveLane,
    Retention,
    Clearing,
    Records,
    RequestBlobs,
):
    """Everything that can happen to a job; each method is one short transaction by the database's clock.

    Created with `JobStore(database, lease_seconds=6.0, max_attempts=3, secrets=PLAIN)`. One file per idea:

        JobRows            create, get, list, events, chunks
        Claims             claim_next, heartbeat, release, forgive
        ChunkProgress      start_fetch, note_input, counts_minutes, take_minutes, cover, add_chunk, cut_done,
                           complete_chunk, fail_chunk, hear_again
        Completion         finish, want_room, put_off, fail
        CancelRetryDelete  cancel, retry, delete
        Reading            hand_out, pay
        Outages            wait, hold_on, answered, away, probe_outages, end_waits
        MissingWorkers     unserved, miss_workers, stop_missing_workers
        SweepQueries       silent_workers, rescue, due, close_cancelled, stop_forbidden, expire_overdue
        QueuePositions     places, measure_speed
        QueueLoad          counts, backlogs, queue_load, fold_counts
        ArchiveLane        raise_due, raise_batch
        Retention          due_for_purge, purged, sound_to_drop, sound_dropped, to_erase, erased
        Clearing           to_clear, cleared
        Records            remove_records
        RequestBlobs       expect_blobs
    """
