"""Lines of a batch made jobs, as many at a time as its account's share is served anyway; what is in the way is waited for."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

from infra.database.tables import Batch, BatchLine, Media
from infra.jobs.request_blobs import SplitRequest, split
from infra.jobs.store import NewJob
from infra.requests.job_request import SpeechJobFields
from infra.requests.preparing import Asker, Fields, JobInput, fetched, job_fields, kept, new_job, terms_of, written
from infra.wiring import Services
from pipeline.errors import (
    BeyondLimit,
    BrokerUnavailable,
    InsufficientBalance,
    LeaseLost,
    RateLimited,
    StenopoolError,
)

log = logging.getLogger(__name__)

UNDER_WAY = 64  # lines of one batch that are jobs at a time: more would only wait in another queue
AFTER_WINDOW = 3600.0  # seconds beyond a batch's window for which what its jobs brought is kept at least


def start_lines(services: Services, batch: Batch) -> dict[str, Any] | None:
    """Make jobs of the next lines. What the account has too little of at the moment, if anything. Raises LeaseLost, and what
    keeps all lines from beginning."""
    tier = services.accounts.account(batch.account_id).tier
    asker = Asker(batch.account_id, tier, batch.key_id, batch.request_id)
    for line in services.lines.next_waiting(batch, UNDER_WAY):
        try:
            _start(services, batch, line, asker)
        except (RateLimited, InsufficientBalance) as error:
            if not isinstance(error, BeyondLimit):
                return error.as_dict()
            services.lines.failed(batch, line, error.as_dict())
        except StenopoolError as error:
            if isinstance(error, LeaseLost) or error.outage is not None:
                raise
            services.lines.failed(batch, line, error.as_dict())
    return None


def _start(services: Services, batch: Batch, line: BatchLine, asker: Asker) -> None:
    fields = job_fields(services, json.loads(line.request or "{}"))
    heard = _input(services, batch.account_id, fields)
    try:
        new, request = _ready(services, batch, asker, fields, heard)
        if request.data:
            services.jobs.expect_blobs(request.key)
            services.storage.put(request.key, request.data)
        job, _ = services.jobs.create(new, within=services.lines.within(batch, line))
    except BaseException:
        if heard.media is not None and isinstance(fields, SpeechJobFields):
            with suppress(StenopoolError):
                services.media.give_up(heard.media.id)
        raise
    try:
        services.queue.send_job(job.id, job.queue)
    except BrokerUnavailable:
        log.info("nobody was woken for a line of a batch", extra={"job_id": job.id})  # the sweep does it


def _input(services: Services, account_id: str, fields: Fields) -> JobInput:
    if isinstance(fields, SpeechJobFields):
        return written(fields.text, _kept_text(services, account_id, fields.text))
    if fields.url is not None:
        return fetched(services, fields, fields.url)
    return kept(services, account_id, fields)


def _ready(
    services: Services, batch: Batch, asker: Asker, fields: Fields, heard: JobInput
) -> tuple[NewJob, SplitRequest]:
    """What the job will be, and its large values; what it brings is kept until the batch's window has closed."""
    terms, known_ms = terms_of(services, batch.account_id, fields, heard)
    request = split(fields.request(), batch.account_id)
    new = new_job(services, asker, fields, heard, request, terms=terms, known_ms=known_ms)
    window = batch.expires_at - batch.created_at + AFTER_WINDOW
    return replace(new, batch_id=batch.id, retention_seconds=max(new.retention_seconds or 0.0, window)), request


def _kept_text(services: Services, account_id: str, text: str) -> Media:
    data = text.encode()
    media = services.media.begin(account_id, "", expected=len(data), at_least=len(data))
    services.storage.put(media.storage_key, data)
    return services.media.stored(media.id, len(data), sha256(data).hexdigest())
