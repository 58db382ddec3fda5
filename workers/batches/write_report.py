"""A bulk run's report, which is written into its bucket while it runs and at its end, each time as a whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from infra.batches.bulk_plan import BulkPlan, plan_of
from infra.batches.report_lines import as_csv, as_jsonl, report_line, summary
from infra.database.tables.batches import Batch, BatchLine
from infra.wiring import Services

EVERY = 60.0  # seconds
SIGN_OF_LIFE = 10.0  # seconds
PAGE = 500
Writing = Callable[[Iterable[Mapping[str, Any]]], Iterator[bytes]]


def write_report(services: Services, batch: Batch) -> None:
    """Raises LeaseLost, StorageUnavailable, BucketNotAllowed."""
    plan = plan_of(batch)
    _write(services, batch, plan, "report.jsonl", as_jsonl)
    _write(services, batch, plan, "report.csv", as_csv)
    now = services.batches.get(batch.account_id, batch.id, batch.kind)
    told = json.dumps(summary(now, plan.spent_micro), indent=1).encode() + b"\n"
    path = plan.report("summary.json")
    with services.buckets.open(batch.account_id, path, "write").writer(path.key) as writer:
        writer.write(told)


def _write(services: Services, batch: Batch, plan: BulkPlan, name: str, shape: Writing) -> None:
    path = plan.report(name)
    with services.buckets.open(batch.account_id, path, "write").writer(path.key) as writer:
        for data in shape(report_line(line) for line in _lines(services, batch)):
            writer.write(data)


def _lines(services: Services, batch: Batch) -> Iterator[BatchLine]:
    """All of them in order, a page in memory. Says that we live."""
    after, told = 0, time.monotonic()
    while page := services.sources.page(batch.id, after=after, limit=PAGE):
        yield from page
        after = page[-1].n
        if time.monotonic() - told > SIGN_OF_LIFE:
            services.batches.standing(batch)
            told = time.monotonic()
