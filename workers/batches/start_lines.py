"""Lines of a batch made jobs, as many at a time as its account's share is served anyway; what is in the way is waited for."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

from infra.batches.bulk_plan import BULK, asked_of, plan_of
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.uploads import Media
from infra.jobs.request_blobs import SplitRequest, split
from infra.jobs.store import NewJob
from infra.keys.tiers import LOW, NORMAL
from infra.requests.job_request import SpeechJobFields
from infra.requests.preparing import (
    Asker,
    Fields,
    JobInput,
    fetched,
    in_bucket,
    job_fields,
    kept,
    new_job,
    terms_of,
    written,
)
from infra.wiring import Services
from pipeline.errors import (
    BeyondLimit,
    BrokerUnavailable,
    CostLimitExceeded,
    InsufficientBalance,
    LeaseLost,
    RateLimited,
    StenopoolError,
)
from pipeline.money import usd_text

log = logging.getLogger(__name__)

SLACK, SLACK_MICRO = 110, 1_000  # percent and micro-dollars: what a job may cost where its length is known
UNDER_WAY = 64  # lines of one batch that are jobs at a time: more would only wait in another queue
AFTER_WINDOW = 3600.0  # seconds beyond a batch's window for which what its jobs brought is kept at least


class CapReached(CostLimitExceeded):
    """The run has cost as much as it may."""

    code = "max_cost_reached"


def start_lines(services: Services, batch: Batch) -> dict[str, Any] | None:
    """Make jobs of the next lines. What the account has too little of at the moment, if anything. Raises LeaseLost, and what
    keeps all lines from beginning."""
    tier = services.accounts.account(batch.account_id).tier
    asker = Asker(batch.account_id, tier, batch.key_id, batch.request_id)
    lines = services.lines.next_waiting(batch, UNDER_WAY)
    start = _Start(services, batch, asker, lines)
    for line in lines:
        try:
            if not start.line(line):
                break
        except (RateLimited, InsufficientBalance) as error:
            if not isinstance(error, BeyondLimit):
                return error.as_dict()
            services.lines.failed(batch, line, error.as_dict())
        except StenopoolError as error:
            if isinstance(error, LeaseLost | CapReached) or error.outage is not None:
                raise
            services.lines.failed(batch, line, error.as_dict())
    return None


class _Start:
    """Some lines of one batch on their way to become jobs."""

    def __init__(self, services: Services, batch: Batch, asker: Asker, lines: Sequence[BatchLine]) -> None:
        self._services, self._batch, self._asker = services, batch, asker
        self._plan = plan_of(batch) if batch.kind == BULK else None
        prints = {line.fingerprint for line in lines if line.fingerprint}
        self._twins = services.sources.twins(batch, prints) if prints else {}

    def line(self, line: BatchLine) -> bool:
        """False where no further one may begin now: what runs may cost all that the run may."""
        services, batch = self._services, self._batch
        if twin := self._twins.get(line.fingerprint or ""):
            services.sources.heard_as(batch, line, twin)
            return True
        fields = job_fields(services, self._asked(line))
        heard = self._input(fields, line)
        try:
            new, request = self._ready(fields, heard)
            capped = self._capped(new)
            if capped is None:
                return False
            if request.data:
                services.jobs.expect_blobs(request.key)
                services.storage.put(request.key, request.data)
            job, _ = services.jobs.create(capped, within=services.lines.within(batch, line))
        except BaseException:
            if heard.media is not None and isinstance(fields, SpeechJobFields):
                with suppress(StenopoolError):
                    services.media.give_up(heard.media.id)
            raise
        try:
            services.queue.send_job(job.id, job.queue)
        except BrokerUnavailable:
            log.info("nobody was woken for a line of a batch", extra={"job_id": job.id})  # the sweep does it
        return True

    def _asked(self, line: BatchLine) -> dict[str, Any]:
        if self._plan is not None:
            return asked_of(self._batch, self._plan, line.facts or {})
        asked: dict[str, Any] = json.loads(line.request or "{}")
        if self._batch.raised_at is not None and asked.get("priority") in (LOW, "low"):
            asked["priority"] = NORMAL
        return asked

    def _input(self, fields: Fields, line: BatchLine) -> JobInput:
        services, account_id = self._services, self._batch.account_id
        if isinstance(fields, SpeechJobFields):
            return written(fields.text, _kept_text(services, account_id, fields.text))
        if fields.url is not None:
            return fetched(services, fields, fields.url)
        if fields.s3_uri is not None:
            return in_bucket(services, account_id, fields, fields.s3_uri, (line.facts or {}).get("etag"))
        return kept(services, account_id, fields)

    def _ready(self, fields: Fields, heard: JobInput) -> tuple[NewJob, SplitRequest]:
        """What the job will be, and its large values; what it brings is kept until the batch's window has closed."""
        services, batch = self._services, self._batch
        terms, known_ms = terms_of(services, batch.account_id, fields, heard)
        request = split(fields.request(), batch.account_id)
        new = new_job(services, self._asker, fields, heard, request, terms=terms, known_ms=known_ms)
        window = batch.expires_at - batch.created_at + AFTER_WINDOW
        return replace(new, batch_id=batch.id, retention_seconds=max(new.retention_seconds or 0.0, window)), request

    def _capped(self, new: NewJob) -> NewJob | None:
        """The job with so much of the run's `max_cost` that all of them together never exceed it; None: it has to wait for those
        that run. Raises CostLimitExceeded when nothing runs, either."""
        if self._plan is None or self._plan.max_cost_micro is None or new.terms is None:
            return new
        batch = self._services.batches.get(self._batch.account_id, self._batch.id, BULK)
        reserved = self._services.sources.reserved_micro(batch)
        left = self._plan.max_cost_micro - self._plan.spent_micro - batch.captured_micro - reserved
        needed = new.terms.estimated_micro
        if needed > left or left <= 0:
            if reserved:
                return None
            raise CapReached(
                f"The next recording would cost more than what is left of max_cost: {usd_text(max(0, left))} USD."
            )
        guessed = new.input.get("expected_ms") is None
        most = left if guessed else min(left, needed * SLACK // 100 + SLACK_MICRO)
        return replace(new, terms=replace(new.terms, max_cost_micro=most))


def _kept_text(services: Services, account_id: str, text: str) -> Media:
    data = text.encode()
    media = services.media.begin(account_id, "", expected=len(data), at_least=len(data))
    services.storage.put(media.storage_key, data)
    return services.media.stored(media.id, len(data), sha256(data).hexdigest())
