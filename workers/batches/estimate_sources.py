"""A bulk run that only wants to know: what its recordings would cost, by what their beginnings tell. No sound is fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from infra.batches.bulk_plan import BulkPlan, asked_of, plan_of
from infra.batches.line_store import HEARD, WAITING
from infra.database.tables.batches import Batch, BatchLine
from infra.requests.job_request import JobFields
from infra.requests.preparing import in_bucket, job_fields, terms_of
from infra.wiring import Services
from pipeline.errors import StenopoolError

AT_ONCE = 64  # recordings in one step
READERS = 8


def estimate_sources(services: Services, batch: Batch) -> None:
    """The next ones; what was heard already, or is heard with the first of its kind, costs nothing. Raises LeaseLost."""
    plan, sums = plan_of(batch), Counter[str]()
    lines = services.sources.page(batch.id, limit=AT_ONCE, states=(WAITING, HEARD))
    if not lines:
        return
    twice = services.sources.duplicates(batch, [line.n for line in lines])
    known = [line for line in lines if line.state == HEARD or line.n in twice]
    sums.update(files=len(known), skipped=len(known) - len(twice), duplicates=len(twice))
    with ThreadPoolExecutor(READERS, thread_name_prefix="estimate") as threads:
        new = [line for line in lines if line not in known]
        for one in threads.map(partial(_estimate, services, batch, plan), new):
            sums.update(one)
    services.sources.estimated(batch, [line.n for line in lines], sums)


def _estimate(services: Services, batch: Batch, plan: BulkPlan, line: BatchLine) -> Mapping[str, int]:
    """What goes into the sums for one recording."""
    facts = line.facts or {}
    try:
        fields = job_fields(services, asked_of(batch, plan, facts))
        assert isinstance(fields, JobFields)
        heard = in_bucket(services, batch.account_id, fields, facts["uri"], facts.get("etag"))
        terms, _ = terms_of(services, batch.account_id, fields, heard)
    except StenopoolError as error:
        if error.outage is not None:
            raise
        return {"files": 1, "unusable": 1}
    length = heard.ends.estimate(fields.raw) if heard.ends else None
    return {
        "files": 1,
        "audio_ms": 0 if length is None or length.guessed else int(heard.facts.get("expected_ms") or 0),
        "unknown": int(length is None or length.guessed),
        "cost_micro": terms.estimated_micro if terms is not None else 0,
    }
