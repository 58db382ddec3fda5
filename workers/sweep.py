"""The sweep: keeps the promises when processes die and messages get lost. Every duty is idempotent; any number may run.

A duty does a bounded amount of work; one that leaves some of it says so, and is performed again at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from infra.broker import WEBHOOKS
from infra.metrics import ALIVE_SECONDS
from infra.wiring import Services
from pipeline.errors import BrokerUnavailable, DatabaseUnavailable, StenopoolError, WrongState
from workers.batches.advance import advance_batches
from workers.deletions import abort_uploads, clear, drop_media, drop_sound, erase, erase_accounts, purge
from workers.housekeeping import compact_ledger, forget_records, sweep_storage
from workers.steps.deliver import ring

log = logging.getLogger(__name__)

WAKE_UPS = 100  # messages that wait at most for the sweep's sake: more than any role has workers that sleep
DELIVERIES_AT_ONCE = 100
RECEIVER_FORGOTTEN = 7 * 24 * 3600.0  # seconds since anything was sent to it
LISTENER_FORGOTTEN = 120.0  # seconds since it last read: it may come back for what it has missed
UPLOAD_FORGOTTEN = 7 * 24 * 3600.0  # seconds since one ended
IDEMPOTENCY_SECONDS = 24 * 3600.0
WORKER_FORGOTTEN = 600.0

Duty = Callable[[Services], bool | None]  # True: there is more to do


def rescue(services: Services) -> None:
    """Take work back from workers that fell silent. Who cannot reach the database and says so elsewhere keeps it: to begin it
    again would be to pay for it again."""
    silent = services.jobs.silent_workers()
    spared = _cut_off(services, silent) if silent else set()
    while silent - spared and (rescued := services.jobs.rescue(spared=spared)):
        services.metrics.rescued.inc(rescued)
        log.warning("rescued %d pieces of work from silent workers", rescued)


def _cut_off(services: Services, silent: set[str]) -> set[str]:
    try:
        return services.queue.still_there(silent)
    except BrokerUnavailable:
        return set()


def ask_for_the_absent(services: Services) -> None:
    """Let work see whether what it waits for is back, and let all go on that waits for what is."""
    services.jobs.probe_outages()
    if going_on := services.jobs.end_waits():
        log.warning("%d jobs go on after an outage", going_on)


def wake_workers(services: Services) -> None:
    """See that as many messages wait for the workers of each role as pieces of work do, up to WAKE_UPS.

    This is what makes any message dispensable: a submit whose broker was away, a retry whose time has come, a queue that was
    lost. A long backlog is not doubled, because its messages are still there.
    """
    due = services.jobs.due(WAKE_UPS)
    if not any(due.values()):
        return
    lengths = services.queue.lengths()
    sent = sum(services.queue.wake(role) for role, pieces in due.items() for _ in range(pieces - lengths.get(role, 0)))
    services.metrics.wake_ups.inc(sent)
    if sent:
        log.info("woke the workers for %d pieces of work", sent)


def raise_late(services: Services) -> None:
    """Archives that would be late for their `complete_by` are no archives any more."""
    for job_id in services.jobs.raise_due():
        log.info("raised: its `complete_by` draws near", extra={"job_id": job_id})


def measure_speed(services: Services) -> None:
    """How fast the workers of each role are: for the queue's ETA."""
    services.jobs.measure_speed()


def deliver_due(services: Services) -> None:
    """Dispatch webhook messages whose time has come, as many as may be sent at once."""
    services.queue.lengths()  # a dead broker raises here, before rows are marked as rung
    ring(services, DELIVERIES_AT_ONCE)


def deliver_again(services: Services) -> None:
    """Wake-ups for webhook messages that must be lost: more were sent than wait to be taken."""
    rung = services.webhooks.rung()
    if not rung:
        return
    missing = rung - services.queue.lengths()[WEBHOOKS]
    if missing > 0:
        age = services.settings.lease_seconds
        for message_id in services.webhooks.lost(age, min(missing, DELIVERIES_AT_ONCE)):
            services.queue.send_delivery(message_id)


def close_cancelled(services: Services) -> None:
    """Cancelling jobs that nobody works on any more are cancelled."""
    for job_id in services.jobs.close_cancelled():
        log.info("cancelled", extra={"job_id": job_id})


def stop_forbidden(services: Services) -> None:
    """Jobs of closed accounts and revoked keys stop, also where whoever closed or revoked died before it came to them."""
    for job_id in services.jobs.stop_forbidden():
        log.warning("stopped: its account is closed or its key revoked", extra={"job_id": job_id})


def expire_overdue(services: Services) -> None:
    """Jobs past their deadline expire."""
    for job_id in services.jobs.expire_overdue():
        log.warning("expired", extra={"job_id": job_id})


def announce_low_balances(services: Services) -> None:
    """Accounts whose balance has fallen below their threshold are told."""
    for account_id in services.balance_alerts.announce():
        log.info("told that the balance is low", extra={"account_id": account_id})


def reseal(services: Services) -> None:
    """Secrets that stand in plain text, or under an older key, are sealed."""
    services.resealing.reseal()


def expire_files(services: Services) -> None:
    """Files past their time go, and uploads that got no part for a day."""
    after = ""
    while found := services.files.expire(after_id=after):
        after = found[-1]
    while services.uploads.expire():
        pass
    services.uploads.forget(UPLOAD_FORGOTTEN)


def fold_counts(services: Services) -> None:
    """How many jobs there are in each status, of which moves are noted one by one."""
    services.jobs.fold_counts()


def forget_old(services: Services) -> None:
    """Rows of dead workers, of receivers that nothing is sent to, of listeners that left, of bulk runs that ended long ago, and
    idempotency keys past their day."""
    services.workers.forget(WORKER_FORGOTTEN)
    services.webhooks.forget_receivers(RECEIVER_FORGOTTEN)
    services.webhooks.forget_listeners(LISTENER_FORGOTTEN)
    services.idempotency.forget(IDEMPOTENCY_SECONDS)
    services.sources.forget()


def release_dead(services: Services) -> None:
    """What was held, and what of a quota was taken, for requests that died with their process goes back."""
    dead = services.settings.request_hold_seconds
    if released := services.ledger.release_dead(dead):
        log.warning("gave back %d holds of requests that never ended", released)
    services.quota.release_dead(dead)


def compare_books(services: Services) -> None:
    """Do balances, ledger, open holds and jobs tell one story? Whoever has to know finds it in log, metrics and doctor."""
    differences = services.ledger.check()
    services.ledger.differences = len(differences)
    for difference in differences:
        log.error("the books do not agree: %s", difference)


def recount_storage(services: Services) -> None:
    """What accounts store is counted with every change; a process of an older version changes it without counting."""
    for account_id, (size, results) in services.quota.recount().items():
        log.warning("%s was counted %d stored bytes and %d results too much", account_id, size, results)


def miss_workers(services: Services) -> None:
    """Work that nobody can take is told of: to whoever waits for it, and once to the operator, with what to do. Raises
    WrongState."""
    roles = services.jobs.unserved(ALIVE_SECONDS)
    services.jobs.stop_missing_workers(roles)
    if roles:
        services.jobs.miss_workers(roles, ALIVE_SECONDS)
        start = " and ".join(f"`stenopool worker --role {role}`" for role in roles)
        raise WrongState(f"work waits for workers of which none lives: start {start}")


EVERY_SWEEP: tuple[Duty, ...] = (
    rescue,
    close_cancelled,
    expire_overdue,
    ask_for_the_absent,
    raise_late,
    wake_workers,
    measure_speed,
    deliver_due,
    deliver_again,
)
BESIDE_IT: tuple[Duty, ...] = (drop_sound, advance_batches)  # as often, but it may wait for the store
CLEANING: tuple[Duty, ...] = (purge, clear, erase_accounts, erase, drop_media)
EVERY_MINUTE: tuple[Duty, ...] = (
    stop_forbidden,
    abort_uploads,
    expire_files,
    release_dead,
    announce_low_balances,
    forget_old,
    fold_counts,
    reseal,
    miss_workers,
    sweep_storage,
    forget_records,
)
EVERY_NIGHT: tuple[Duty, ...] = (compare_books, recount_storage, compact_ledger)


class Sweeper:
    """Performs duties in turn; one that fails never stops the others, and is told of once, not every second.

    Who could not be heard is not dead: after an outage of the database, or a time in which it or we stood still, workers have the
    time of a lease to show that they live. Whoever has just begun to listen does not know what was before.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._failing: set[str] = set()
        self._lease = services.settings.lease_seconds
        self._listens_every = services.settings.sweep_seconds + self._lease / 2  # seconds at most
        self._listened = float("-inf")  # time.monotonic(), as the next one
        self._unheard_until = 0.0

    def perform(self, duties: Sequence[Duty]) -> bool:
        """Every duty once. True: one of them has left something to do."""
        if rescue in duties and time.monotonic() - self._listened > self._listens_every:
            self._doubt_silence()
        more = self._perform(duties)
        if rescue in duties:
            self._listened = time.monotonic()
        return more

    def _perform(self, duties: Sequence[Duty]) -> bool:
        more = False
        for duty in duties:
            if duty is rescue and time.monotonic() < self._unheard_until:
                continue
            began = time.monotonic()
            try:
                more = bool(duty(self._services)) or more
            except StenopoolError as error:
                self._failed(duty, error)
            except Exception as error:
                log.exception("%s failed on something nobody thought of", duty.__name__)
                self._failed(duty, error)
            else:
                self._went_well(duty)
            if duty in EVERY_SWEEP and time.monotonic() - began > self._lease / 2:
                self._doubt_silence()
        return more

    def _doubt_silence(self) -> None:
        self._unheard_until = time.monotonic() + self._lease

    def _failed(self, duty: Duty, error: Exception) -> None:
        if isinstance(error, DatabaseUnavailable):
            self._doubt_silence()
        self._services.metrics.duty_failures.labels(duty.__name__).inc()
        if duty.__name__ not in self._failing:
            self._failing.add(duty.__name__)
            log.warning("%s fails: %s", duty.__name__, error)

    def _went_well(self, duty: Duty) -> None:
        if duty.__name__ in self._failing:
            self._failing.discard(duty.__name__)
            log.info("%s works again", duty.__name__)
