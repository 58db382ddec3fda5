"""Text that leaves before its job is whole: it is paid, whatever becomes of the job."""

from __future__ import annotations

from collections.abc import Collection

from infra.database.tables.jobs import Job
from infra.jobs.cancel_retry_delete import want_status
from infra.jobs.transitions import Store, lock_own_job
from infra.money.handed_out import chunk_rows, mark, unread
from infra.money.job_money import pay_unread, unread_price
from pipeline.errors import Expired, PaymentRequired
from pipeline.lifecycle import ACTIONS
from pipeline.money import usd, usd_text


class Reading(Store):
    """hand_out, pay. Both raise NotFound."""

    def hand_out(self, account_id: str, job_id: str, chunks: Collection[int]) -> None:
        """The text of these chunks is about to leave. Of a live job that is noted, and paid if it fails.

        Of one that has failed it is handed out at once where it costs nothing. Raises PaymentRequired(price) for other text that
        was not handed out while the job ran, QuotaExceeded.
        """
        with self._database.write() as session:
            job = lock_own_job(session, account_id, job_id)
            if job.status not in ACTIONS["pay"]:
                mark(session, job, chunks)
                return
            if any(row.idx in chunks for row in unread(job, chunk_rows(session, job))):
                price = unread_price(session, job)
                if price:
                    raise _refusal(job, price)
                pay_unread(session, job)

    def pay(self, account_id: str, job_id: str) -> Job:
        """Pay for the text of a failed job that was not handed out; it may be read then. Again: the job as it is.

        Raises WrongState, Expired, InsufficientBalance, QuotaExceeded.
        """
        with self._database.write() as session:
            job = lock_own_job(session, account_id, job_id)
            want_status(job, "pay")
            if job.purged_at is not None:
                raise Expired("The job's results have been deleted.")
            before = job.captured_micro
            pay_unread(session, job)
            if job.captured_micro != before:
                job.version += 1
        return job


def _refusal(job: Job, price: int) -> PaymentRequired:
    return PaymentRequired(
        f"The job has {job.status}, and what it heard has not been paid for: the rest of its text costs {usd_text(price)} USD. "
        f"`POST /v1/audio/jobs/{job.id}/pay` takes that from the balance; then it can be read.",
        price=usd(price),
    )
