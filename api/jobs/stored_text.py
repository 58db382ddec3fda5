"""A finished job's transcript as it lies in storage: the original, or a revision of it."""

from __future__ import annotations

from functools import partial

from api.dependencies import AppContext
from infra.database.tables.jobs import Job, TranscriptRevision
from pipeline.errors import Expired, InputMissing, ResultLost, StenopoolError, WrongState
from pipeline.lifecycle import ACTIONS
from pipeline.text.edits import Edits, edited, edits_from_json
from pipeline.transcript import Transcript

WHAT_GOES = "The job's results have been deleted."
LATEST = "latest"
REVISION = r"^(latest|\d{1,9})$"  # 0: the original


def finished(job: Job) -> Job:
    """Raises WrongState unless the job is completed, Expired when its results are deleted."""
    if job.purged_at is not None:
        raise Expired(WHAT_GOES)
    if job.status not in ACTIONS["transcript"]:
        raise WrongState(
            "The transcript is there once the job is completed.",
            current_status=job.status,
            allowed_statuses=sorted(ACTIONS["transcript"]),
        )
    return job


def original(context: AppContext, job: Job, row: TranscriptRevision | None = None) -> Transcript:
    """What was heard; with a revision, what that one corrects. Raises Expired, ResultLost, StorageUnavailable."""
    assert job.result_key is not None
    try:
        return context.transcript_cache.transcript(context.services, row.result_key if row else job.result_key)
    except InputMissing as error:
        raise why_gone(context, job) from error


def edits_of(context: AppContext, job: Job, row: TranscriptRevision | None) -> Edits:
    """What a revision changes; None: the original. Raises Expired, ResultLost, StorageUnavailable."""
    if row is None:
        return Edits()
    try:
        return edits_from_json(context.services.storage.get(row.storage_key))
    except InputMissing as error:
        raise why_gone(context, job) from error


def text_of(context: AppContext, job: Job, row: TranscriptRevision | None) -> Transcript:
    """The original, or a revision, with the same numbers of segments. Raises Expired, ResultLost, StorageUnavailable."""
    whole = original(context, job, row)
    return edited(whole, edits_of(context, job, row)) if row else whole


async def transcript_of(context: AppContext, job: Job, row: TranscriptRevision | None = None) -> Transcript:
    """A finished job's. Raises Expired, ResultLost, StorageUnavailable."""
    return await context.renderings.in_turn(job.account_id, partial(text_of, context, job, row))


async def revision_of(context: AppContext, job: Job, asked: str | None) -> TranscriptRevision | None:
    """The one that is asked for; None: the original. Raises NotFound."""
    if asked is None or not asked.strip("0"):
        return None
    revisions = context.services.revisions
    if asked == LATEST:
        return await context.query(partial(revisions.latest, job.id))
    return await context.query(partial(revisions.get, job.id, int(asked)))


def why_gone(context: AppContext, job: Job) -> StenopoolError:
    """Why its result is not in storage: its time was over a moment ago, or it is lost. Raises NotFound when the job is gone."""
    purged = context.services.jobs.get(job.account_id, job.id).purged_at is not None
    return Expired(WHAT_GOES) if purged else ResultLost()
