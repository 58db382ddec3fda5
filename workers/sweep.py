"""The sweep: keeps the promises when processes die and messages get lost. Every duty is idempotent; any number may run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from infra.broker import IO
from infra.jobs.store import Dispatch
from infra.wiring import Services
from pipeline.errors import StenopoolError
from workers.steps.deliver import ring

log = logging.getLogger(__name__)

DISPATCHES_AT_ONCE = 500
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


def dispatch_new(services: Services) -> None:
    """Dispatch what never was: a submit whose broker was away, a retry whose time has come."""
    services.queue.lengths()  # a dead broker raises here, before rows are marked as dispatched
    while messages := services.jobs.to_dispatch(DISPATCHES_AT_ONCE):
        if not _send(services, messages, "new") or len(messages) < DISPATCHES_AT_ONCE:
            return


def dispatch_again(services: Services) -> None:
    """Dispatch once more where the message must be lost: more work was dispatched than messages wait.

    A long backlog is not doubled: its messages are all still in the queue.
    """
    dispatched = services.jobs.dispatched()
    if not any(dispatched.values()):
        return
    lengths = services.queue.lengths()
    missing = sum(max(0, count - lengths.get(name, 0)) for name, count in dispatched.items())
    if missing:
        age = services.settings.redispatch_seconds
        _send(services, services.jobs.stale_dispatches(age, min(missing, DISPATCHES_AT_ONCE)), "lost")


def deliver_due(services: Services) -> None:
    """Dispatch webhook messages whose time has come, as many as may be sent at once."""
    services.queue.lengths()  # a dead broker raises here, before rows are marked as rung
    ring(services, DELIVERIES_AT_ONCE)


def deliver_again(services: Services) -> None:
    """Wake-ups for webhook messages that must be lost: more of all kinds were sent to the io workers than wait there."""
    rung = services.webhooks.rung()
    if not rung:
        return
    missing = rung + services.jobs.dispatched().get(IO, 0) - services.queue.lengths()[IO]
    if missing > 0:
        age = services.settings.redispatch_seconds
        for message_id in services.webhooks.lost(age, min(missing, DELIVERIES_AT_ONCE)):
            services.queue.send_delivery(message_id)


def close_cancelled(services: Services) -> None:
    """Cancelling jobs that nobody works on any more are cancelled."""
    for job_id in services.jobs.close_cancelled():
        log.info("cancelled", extra={"job_id": job_id})


def expire_overdue(services: Services) -> None:
    """Jobs past their deadline expire."""
    for job_id in services.jobs.expire_overdue():
        log.warning("expired", extra={"job_id": job_id})


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


EVERY_SWEEP: tuple[Duty, ...] = (
    rescue,
    close_cancelled,
    expire_overdue,
    dispatch_new,
    dispatch_again,
    deliver_due,
    deliver_again,
    drop_sound,
)
EVERY_MINUTE: tuple[Duty, ...] = (purge, erase, drop_media, abort_uploads, release_dead, forget_old)
EVERY_NIGHT: tuple[Duty, ...] = (compare_books,)


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


def _send(services: Services, dispatches: Sequence[Dispatch], why: str) -> bool:
    """False when the broker is away: those already marked as dispatched are found again as lost ones."""
    sent = Counter[bool]()
    for one in dispatches:
        if one.idx is None:
            accepted = services.queue.send_job(one.job_id, one.queue)
        else:
            accepted = services.queue.send_chunk(one.job_id, one.idx, one.queue)
        sent[accepted] += 1
    services.metrics.dispatched.labels(why).inc(sent[True])
    if sent[True]:
        log.info("sent %d messages: %s", sent[True], why)
    return not sent[False]
