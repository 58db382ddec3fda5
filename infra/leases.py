"""Keeps the leases of a process alive: one thread beats for all of them at once, and work asks between its steps.

The database decides who owns what. A beat that cannot reach it loses nothing by itself: the row's token is still ours
until somebody else claims it, and the next beat tells. What was taken from us meanwhile is lost to us, but no death is counted.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from infra.jobs.store import Lease
from pipeline.errors import DatabaseUnavailable, LeaseLost, StenopoolError

log = logging.getLogger(__name__)

BEATS_PER_LEASE = 3
CUT_OFF_SECONDS = 330.0  # that a worker which cannot reach the database is waited for: a call may last so long
TICK = 0.25  # seconds at most between two looks at the stop time


class LeaseStore(Protocol):
    """What the keeper needs of JobStore."""

    def heartbeat(self, leases: Sequence[Lease]) -> set[Lease]: ...

    def release(self, lease: Lease) -> None: ...

    def forgive(self, leases: Sequence[Lease]) -> None: ...


class HeldLease:
    """A lease in use. `check` between two steps of the work: it raises as soon as the work is void."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.void_since: float | None = None  # time.monotonic()
        self.is_given_back = False  # void because we stop: somebody else goes on with it

    def check(self) -> None:
        """Raises LeaseLost when somebody else owns the work now, it was cancelled, or given back because we stop."""
        if self.void_since is not None:
            raise LeaseLost()


class LeaseKeeper:
    """All holds of one process. Make it after a fork, never before: threads do not survive one.

    `stop_at` tells when (time.monotonic()) this process has to be gone, or None: at that time everything still held goes
    back to the queue without costing an attempt. `still_here` is called when a beat does not reach the database: it says
    elsewhere that this process lives, whose work is not begun again then. `lost` is told how many leases a beat found gone.
    """

    def __init__(
        self,
        jobs: LeaseStore,
        lease_seconds: float,
        stop_at: Callable[[], float | None] = lambda: None,
        still_here: Callable[[], object] = lambda: None,
        lost: Callable[[int], object] = lambda _count: None,
    ) -> None:
        self._jobs = jobs
        self._every = lease_seconds / BEATS_PER_LEASE
        self._stop_at = stop_at
        self._still_here, self._lost = still_here, lost
        self._cut_off_since: float | None = None  # time.monotonic()
        self._holds: dict[Lease, HeldLease] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._unheard = False  # the database was away at the last beat
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def holding(self, lease: Lease) -> Iterator[HeldLease]:
        """Beat for the lease inside the block. Leaving it only stops the beats: ending the lease is the work's own move."""
        hold = HeldLease(lease)
        with self._lock:
            self._holds[lease] = hold
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lease keeper", daemon=True)
                self._thread.start()
        try:
            yield hold
        finally:
            with self._lock:
                self._holds.pop(lease, None)

    @property
    def is_ending(self) -> bool:
        """Whether this process has been told to stop: what it has it may finish, and it begins nothing."""
        return self._stop_at() is not None

    def stuck_for(self) -> float:
        """For how many seconds the longest void work has not noticed; 0 when there is none."""
        with self._lock:
            voids = [hold.void_since for hold in self._holds.values() if hold.void_since is not None]
        return time.monotonic() - min(voids) if voids else 0.0

    def close(self) -> None:
        """Stop beating."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        next_beat = time.monotonic() + self._every
        while not self._closed.wait(max(0.0, min(TICK, next_beat - time.monotonic()))):
            if self._must_stop():
                self._give_back()
            elif time.monotonic() >= next_beat:
                self._beat()
                next_beat = time.monotonic() + self._every

    def _must_stop(self) -> bool:
        stop_at = self._stop_at()
        return stop_at is not None and time.monotonic() >= stop_at

    def _alive(self) -> list[HeldLease]:
        with self._lock:
            return [hold for hold in self._holds.values() if hold.void_since is None]

    def _beat(self) -> None:
        holds = self._alive()
        if not holds:
            return
        try:
            held = self._jobs.heartbeat([hold.lease for hold in holds])
        except Exception as error:  # noqa: BLE001 - the one thread that must not end while there is work
            log.warning("could not renew %d leases: %s", len(holds), error)
            self._unheard = isinstance(error, DatabaseUnavailable)
            self._tell_elsewhere()
            return
        self._cut_off_since = None
        lost = [hold for hold in holds if hold.lease not in held]
        for hold in lost:
            hold.void_since = time.monotonic()
            log.info("no longer holds the lease", extra={"job_id": hold.lease.job_id, "chunk": hold.lease.idx})
        self._lost(len(lost))
        self._explain([hold.lease for hold in lost])

    def _explain(self, lost: Sequence[Lease]) -> None:
        """Whoever was cut off from the database was thought dead by those who were not."""
        unheard, self._unheard = self._unheard, False
        if unheard and lost:
            with contextlib.suppress(StenopoolError):  # it counts as a death then
                self._jobs.forgive(lost)

    def _tell_elsewhere(self) -> None:
        time_now = time.monotonic()
        if self._cut_off_since is None:
            self._cut_off_since = time_now
        if time_now - self._cut_off_since < CUT_OFF_SECONDS:
            self._still_here()

    def _give_back(self) -> None:
        for hold in self._alive():
            hold.is_given_back = True
            hold.void_since = time.monotonic()
            with contextlib.suppress(StenopoolError):  # it runs out by itself then
                self._jobs.release(hold.lease)
                log.info("gave the work back", extra={"job_id": hold.lease.job_id, "chunk": hold.lease.idx})
