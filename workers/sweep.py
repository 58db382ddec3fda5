"""The sweep: keeps the promises when processes die and messages get lost. Every duty is idempotent; any number may run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from infra.broker import WEBHOOKS
from infra.wiring import Services
from pipeline.errors import StenopoolError
from workers.steps.deliver import ring

log = logging.getLogger(__name__)

WAKE_UPS = 100  # messages that wait at most for the sweep's sake: more than any role has workers that sleep
DELIVERIES_AT_ONCE = 100
RECEIVER_FORGOTTEN = 7 * 24 * 3600.0  # seconds since anything was sent to it
UPLOAD_GIVEN_UP = 3600.0  # seconds without a byte
IDEMPOTENCY_SECONDS = 24 * 3600.0
WORKER_FORGOTTEN = 600.0
MOST_FAILURES = 3

Duty = Callable[[Services], None]


def rescue(services: Services) -> None:
    """Take work back from workers that fell silent."""
    while rescued := services.jobs.rescue():
        services.metrics.rescued.inc(rescued)
        log.warning("rescued %d pieces of work from silent workers", rescued)


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


def drop_sound(services: Services) -> None:
    """The sound of chunks that are heard goes at once."""
    if sounds := services.jobs.sound_to_drop():
        services.storage.delete(*(sound.sound_key for sound in sounds))
        services.jobs.sound_dropped(sounds)


def purge(services: Services) -> None:
    """Jobs past their retention lose their objects."""
    skip_failing = SkipFailing()
    after = ""
    while jobs := services.jobs.due_for_purge(after_id=after):
        for job in jobs:
            with skip_failing:
                services.storage.delete_prefix(f"t/{job.account_id}/jobs/{job.id}")
                services.jobs.purged(job.id)
        after = jobs[-1].id


def erase(services: Services) -> None:
    """What deleted jobs left in storage goes too."""
    skip_failing = SkipFailing()
    for place in services.jobs.to_erase():
        with skip_failing:
            if place.endswith("/"):
                services.storage.delete_prefix(place)
            else:
                services.storage.delete(place)
            services.jobs.erased([place])


def drop_media(services: Services) -> None:
    """Recordings that no job needs: given up in mid-upload, never used, or past their time after the job's end."""
    skip_failing = SkipFailing()
    media = services.media.orphans(UPLOAD_GIVEN_UP) + services.media.unneeded(services.settings.media_retention_seconds)
    for row in media:
        with skip_failing:
            services.storage.delete(row.storage_key)
            services.media.forget(row.id)
            services.metrics.orphans.inc()


class SkipFailing:
    """Lets a duty pass over a thing that resists, so that it cannot starve those behind it; three at a time are enough."""

    def __init__(self) -> None:
        self._failed = 0

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, StenopoolError):
            return False
        self._failed += 1
        log.warning("left for the next pass: %s", error)
        return self._failed < MOST_FAILURES


def abort_uploads(services: Services) -> None:
    """Parts that dead writers left in the object store."""
    services.metrics.orphans.inc(services.storage.abort_stale_uploads(UPLOAD_GIVEN_UP))


def forget_old(services: Services) -> None:
    """Rows of dead workers, of receivers that nothing is sent to, and idempotency keys past their day."""
    services.workers.forget(WORKER_FORGOTTEN)
    services.webhooks.forget_receivers(RECEIVER_FORGOTTEN)
    services.idempotency.forget(IDEMPOTENCY_SECONDS)


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


EVERY_SWEEP: tuple[Duty, ...] = (
    rescue,
    close_cancelled,
    expire_overdue,
    wake_workers,
    measure_speed,
    deliver_due,
    deliver_again,
    drop_sound,
)
EVERY_MINUTE: tuple[Duty, ...] = (
    stop_forbidden,
    purge,
    erase,
    drop_media,
    abort_uploads,
    release_dead,
    announce_low_balances,
    forget_old,
)
EVERY_NIGHT: tuple[Duty, ...] = (compare_books, recount_storage)


class Sweeper:
    """Performs duties in turn; one that fails never stops the others, and is told of once, not every second."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._failing: set[str] = set()

    def perform(self, duties: Sequence[Duty]) -> None:
        """Every duty once."""
        for duty in duties:
            try:
                duty(self._services)
            except StenopoolError as error:
                self._failed(duty, error)
            except Exception as error:
                log.exception("%s failed on something nobody thought of", duty.__name__)
                self._failed(duty, error)
            else:
                self._went_well(duty)
        self._services.metrics.swept.set_to_current_time()

    def _failed(self, duty: Duty, error: Exception) -> None:
        self._services.metrics.duty_failures.labels(duty.__name__).inc()
        if duty.__name__ not in self._failing:
            self._failing.add(duty.__name__)
            log.warning("%s fails: %s", duty.__name__, error)

    def _went_well(self, duty: Duty) -> None:
        if duty.__name__ in self._failing:
            self._failing.discard(duty.__name__)
            log.info("%s works again", duty.__name__)
