"""Who is still told: nobody of a closed account, and nobody whom a job names that was made with a key revoked since.

The account's own endpoints hear of such a job: whoever revokes a key wants to know what was stopped.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from infra.database.tables.accounts import Account, ApiKey
from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookMessage
from infra.keys.accounts import CLOSED


def may_be_told(session: Session, message: WebhookMessage) -> bool:
    """Whether the message may be sent now."""
    account = session.get(Account, message.account_id)
    if account is None or account.status == CLOSED:
        return False
    if message.endpoint_id is not None or message.job_id is None:
        return True
    job = session.get(Job, message.job_id)
    key = session.get(ApiKey, job.key_id) if job is not None and job.key_id is not None else None
    return key is None or key.revoked_at is None
