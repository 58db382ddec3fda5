"""The Celery app of a worker and its tasks, bound to services that are built at the first job."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from celery import Celery, signals
from celery.exceptions import SecurityWarning
from celery.worker.consumer import Consumer

from infra.broker import CHUNK, DELIVERY, JOB, QUEUES_OF, celery_app
from infra.diagnosis.startup import EXIT_CODE
from infra.embedded_redis import broker_url
from infra.logs import set_up_logs
from infra.memory_tuning import tune_memory
from infra.monitoring.listener import Address, MonitoringListener
from infra.parent_death import die_with_parent
from infra.settings import Settings
from infra.telemetry.pool_reports import PoolReports
from pipeline.errors import BrokerUnavailable, StenopoolError
from workers.steps.deliver import deliver
from workers.steps.turn import take_turn
from workers.worker_context import Role, StopTime, WorkerContext, WorkerContextFactory

log = logging.getLogger(__name__)

_CONCURRENCY = {"cpu": "cpu_processes", "io": "io_threads"}
GRACE = (
    1.5  # seconds that running work gets to end by itself when the worker is told to stop, where nothing else is said
)
LAST_CALL = 1.0  # seconds after that until the process ends, whatever hangs


def worker_app(url: str, contexts: WorkerContextFactory) -> Celery:
    """The app with its three tasks. A message for something that does not exist (any more) is no error."""
    app = celery_app(url)

    def task(name: str, work: Callable[..., object]) -> None:
        def run(*args: Any) -> None:
            _answer(name, work, contexts.get, args)

        app.task(run, name=name, shared=False)

    task(JOB, take_turn)
    task(CHUNK, take_turn)
    task(DELIVERY, deliver)
    return app


def run_worker(
    settings: Settings,
    role: Role,
    *,
    concurrency: int | None = None,
    monitoring: Address | None = None,
    grace: float = GRACE,
) -> int:
    """Work until SIGTERM or SIGINT, then begin nothing new; returns the exit code. Start it as a process' main thread.

    What is in hand after `grace` more seconds goes back to the queue.

    Raises BrokerUnavailable when no broker is configured and none runs in this home, WrongState where nobody can listen at
    `monitoring`.
    """
    if concurrency:
        settings = settings.model_copy(update={_CONCURRENCY[role]: concurrency})
    url = broker_url(settings)
    if not url:
        raise BrokerUnavailable(
            "No message broker: set STENOPOOL_REDIS_URL, or start `stenopool up` in this home first."
        )
    stop_time = StopTime()
    contexts = WorkerContextFactory(settings, role, stop_time)
    warnings.simplefilter("ignore", SecurityWarning)  # about root and pickle; nothing here is ever unpickled
    app = worker_app(url, contexts)
    _connect_signals(settings, role, contexts, partial(_end_within, grace, contexts))
    begun = _nothing if monitoring is None else _monitor(monitoring, role, contexts)
    prefork = role == "cpu"
    worker = app.Worker(
        hostname=f"{role}@{socket.gethostname()}",
        pool="prefork" if prefork else "threads",
        concurrency=settings.cpu_pool if prefork else settings.io_threads,
        queues=QUEUES_OF[role],
        loglevel=settings.log_level.upper(),
        consumer_cls=reconnecting_consumer(lambda: broker_url(settings) != url, begun),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    tune_memory()
    worker.start()
    contexts.take_leave()
    if contexts.pool_reports is not None:
        contexts.pool_reports.close()
    return _code(contexts) if stop_time.at() else int(worker.exitcode or 0)  # Celery calls a Ctrl-C a failure


def _nothing() -> None:
    """Nobody listens."""


def reconnecting_consumer(has_moved: Callable[[], bool], begun: Callable[[], None] = _nothing) -> type[Consumer]:
    """A consumer that looks for a broker that is away every second or two; Celery would wait up to half a minute.

    When the broker is at home somewhere else now, the worker ends in good order, and its supervisor starts it anew. `begun` is
    called whenever it looks, the first time after the pool was forked.
    """

    class ReconnectingConsumer(Consumer):
        def ensure_connected(self, conn: Any) -> Any:
            begun()
            original = conn.ensure_connection

            def ensure(errback: Callable[..., None], max_retries: Any = None, **options: Any) -> Any:
                def look(error: Exception, interval: float) -> None:
                    errback(error, interval)
                    if has_moved():
                        os.kill(os.getpid(), signal.SIGTERM)

                options.update(interval_start=1, interval_step=0.5, interval_max=2)
                return original(look, max_retries, **options)

            conn.ensure_connection = ensure
            return super().ensure_connected(conn)

    return ReconnectingConsumer


def _answer(name: str, work: Callable[..., object], worker: Callable[[], WorkerContext], args: tuple[Any, ...]) -> None:
    """Do what the message asks. The sweep dispatches again whatever could not even begin, so nothing is retried here."""
    try:
        work(worker(), *args)
    except StenopoolError as error:
        log.warning("%s %s could not be done now: %s", name, args, error)
    except Exception:
        log.exception("%s %s failed outside its row", name, args)


def _end_within(grace: float, contexts: WorkerContextFactory) -> None:
    contexts.stop_time.set(grace)
    threading.Thread(target=_leave_after, args=(grace + LAST_CALL, contexts), daemon=True).start()


def _code(contexts: WorkerContextFactory) -> int:
    """Of a process that was told to stop, and by whom."""
    return EXIT_CODE if contexts.newer_database.is_met else 0


def _connect_signals(
    settings: Settings, role: Role, contexts: WorkerContextFactory, stopping: Callable[[], None]
) -> None:
    main_pid = os.getpid()

    def logs(**_: Any) -> None:
        set_up_logs(settings.log_level)

    def child_started(**_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the main process decides when and how its children stop
        if not die_with_parent(main_pid):
            os._exit(os.EX_SOFTWARE)
        contexts.show_up()

    signals.setup_logging.connect(logs, weak=False)
    signals.worker_shutting_down.connect(lambda **_: stopping(), weak=False)
    if role == "cpu":
        signals.worker_ready.connect(lambda **_: contexts.main_pulse.start(), weak=False)
        signals.worker_process_init.connect(child_started, weak=False)
        signals.worker_process_shutdown.connect(lambda **_: contexts.take_leave(), weak=False)
    else:
        signals.worker_ready.connect(lambda **_: contexts.show_up(), weak=False)


def _monitor(address: Address, role: Role, contexts: WorkerContextFactory) -> Callable[[], None]:
    """Bound before the fork; what is returned lets it answer, after the fork, and while the broker is away as well.

    The cpu role works in processes of its own; the main one, which listens, opens nothing that they could inherit, and tells what
    they report, dead ones' too, and of its own memory and time.
    """
    reports = contexts.pool_reports = PoolReports() if role == "cpu" else None
    listener = MonitoringListener(address, role, lambda: contexts.get().services if role == "io" else None, reports)

    @cache
    def begun() -> None:
        if reports is not None:
            reports.start()
        listener.start()

    return begun


def _leave_after(seconds: float, contexts: WorkerContextFactory) -> None:
    """What still runs then has been given back to the queue; a hanging call or a dead broker must not keep us."""
    time.sleep(seconds)
    log.warning("ending with work in hand; it has gone back to the queue")
    os._exit(_code(contexts))
