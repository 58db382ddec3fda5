"""What a message asks for: to claim whatever is next, and to do it."""

from __future__ import annotations

from infra.keys.tiers import LOW
from infra.logs import log_context
from infra.tracing.spans import span
from pipeline.concurrency.shares import Owner, working_for
from pipeline.concurrency.stopping import stopped_by
from pipeline.lifecycle import Stage
from workers.job_context import JobContext
from workers.steps.next_step import advance
from workers.steps.transcribe import transcribe
from workers.worker_context import WorkerContext


def take_turn(worker: WorkerContext, *_hint: str | int) -> bool:
    """Do the piece of this role's work whose turn it is; False: none is due.

    The job or chunk for which the message was sent decides nothing: it is only why there may be work.
    """
    services = worker.services
    if worker.leases.is_ending:  # what this message was for, the sweep rings for again
        return False
    claimed = services.jobs.claim_next(worker.role, worker.name)
    if claimed is None:
        return False
    lease, job, chunk = claimed.lease, claimed.job, claimed.chunk
    facts = {
        "job_id": job.id,
        "chunk": lease.idx,
        "account_id": job.account_id,
        "key_id": job.key_id,
        "request_id": job.request_id,
        "attempt": lease.attempt,
    }
    step = span(
        f"job {job.stage if chunk is None else Stage.TRANSCRIBING}", parent=job.trace, job_id=job.id, chunk=lease.idx
    )
    # Whose work is next, the claim has decided. At the machine's engines it is a line beside that of the account's requests: a clip
    # that somebody waits for is not behind an archive of the same account. And an archive has there what all leave over, too.
    owner = Owner(f"{job.account_id}/jobs") if job.priority > LOW else Owner(f"{job.account_id}/archive", weight=0)
    with log_context(**facts), step, working_for(owner), worker.leases.holding(lease) as held, stopped_by(held.check):
        context = JobContext(services, held, job)
        to_finish = advance(worker, context) if chunk is None else transcribe(worker, context, chunk)
    if to_finish:
        services.queue.send_job(job.id, job.queue)
    if claimed.slow:  # the next one may have waited for its place
        services.queue.wake(worker.role)
    return True
