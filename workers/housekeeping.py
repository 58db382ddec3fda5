"""What keeps an installation from growing for ever, a little at a time: orphans of the store, rows past their time, the ledger."""

from __future__ import annotations

import logging
import time

from infra.housekeeping.ledger_compaction import LedgerCompaction
from infra.housekeeping.orphan_sweep import OrphanSweep
from infra.housekeeping.record_purge import RecordPurge
from infra.wiring import Services

log = logging.getLogger(__name__)

PAGE_SECONDS = 60.0  # from one page of the store to the next: a million objects take seventeen hours
REST_SECONDS = 24 * 3600.0  # from one sweep to the next
STEPS = 20  # in one pass
LONGEST_PAUSE = 0.5  # seconds between two of them


def sweep_storage(services: Services) -> None:
    """A page of the store: what no row leads to goes. Raises WrongState for more of it than can be believed."""
    sweep = OrphanSweep(services.database, services.storage)
    after = sweep.claim(PAGE_SECONDS)
    if after is None:
        return
    page = sweep.look(after)
    sweep.remove(page)
    sweep.note(page, rest=REST_SECONDS)
    services.metrics.orphans.inc(len(page.orphans))
    if page.orphans:
        log.warning("removed %d objects of the store to which no row leads", len(page.orphans))


def forget_records(services: Services) -> bool:
    """Rows of jobs that were purged long ago, of messages and batches. True: there are more."""
    purge, keep = RecordPurge(services.database, services.jobs), services.settings.record_retention_seconds
    for _ in range(STEPS):
        began = time.monotonic()
        if not purge.step(keep):
            return False
        time.sleep(min(LONGEST_PAUSE, time.monotonic() - began))  # half of SQLite's one writer is left to the others
    return True


def compact_ledger(services: Services) -> None:
    """Old entries of settled work are summed up, where the operator wants that."""
    keep = services.settings.ledger_retention_seconds
    if not keep:
        return
    ledger = LedgerCompaction(services.database)
    for account_id in ledger.accounts():
        after: int | None = 0
        while after is not None:
            done = ledger.compact(account_id, keep, after)
            after = done.after
            if done.entries:
                log.info("summed up %d entries of the ledger", done.entries, extra={"account_id": account_id})
