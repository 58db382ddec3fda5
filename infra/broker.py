"""The message broker: Celery on Redis. A message carries an id and nothing else; the database says what is true.

Losing a message is therefore no accident but a delay: the sweep sends it again. That is why messages are acknowledged
early (a worker that dies is noticed by its lease, not by a visibility timeout), why there is no result backend, and why
nothing is retried or scheduled here.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import redis
from celery import Celery
from kombu.entity import Exchange, Queue

from pipeline.errors import BrokerUnavailable

JOB = "stenopool.job"
CHUNK = "stenopool.chunk"
DELIVERY = "stenopool.delivery"
TASKS = (JOB, CHUNK, DELIVERY)

CPU = "cpu"
IO = "io"
WEBHOOKS = "webhooks"  # for io workers too; apart, so that what is lost of them can be told by their number
QUEUES = (CPU, IO, WEBHOOKS)
QUEUES_OF = {CPU: (CPU,), IO: (IO, WEBHOOKS)}  # by the role of the workers that serve them

PATIENCE = 1.0  # seconds for one answer of Redis to a sender, and for the wait for the sender's turn
# Seconds without a try after a failure, so that a burst of submits does not queue up behind a dead broker.
BACK_OFF = 1.0
WORKER_PATIENCE = 5.0
_HERE = "stenopool:here:"  # before the name of a worker that is cut off from the database
MAX_CHILD_KB = 2_000_000  # a pool child that grew beyond is replaced between two tasks


def celery_app(redis_url: str, *, patience: float = WORKER_PATIENCE) -> Celery:
    """The one configuration of Celery, for senders and workers; `patience` is the socket timeout in seconds.

    The anonymous exchange routes by queue name alone, so nothing that FLUSHALL removes is needed to deliver.
    """
    app = Celery("stenopool", broker=celery_url(redis_url), set_as_current=False)
    app.conf.update(
        task_queues=[_queue(name) for name in QUEUES],
        task_default_queue=CPU,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_publish_retry=False,
        broker_pool_acquire_timeout=patience,
        broker_connection_timeout=patience,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: a worker outlives its broker
        broker_channel_error_retry=True,  # and one that refuses: its disk may be full
        broker_transport_options={
            "visibility_timeout": 3600,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": patience,
            "socket_connect_timeout": patience,
            "socket_keepalive": True,
            "health_check_interval": 5,  # a half-open connection is noticed after about 1 + 2 * 5 s
        },
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # those acknowledged late: none; False would warn
        worker_disable_prefetch=True,  # what is not begun stays in the queue, for others and for LLEN
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_eta_task_limit=100,
        worker_max_memory_per_child=MAX_CHILD_KB,
        enable_utc=True,
    )
    return app


def _queue(name: str) -> Queue:
    return Queue(name, Exchange(""), routing_key=name)  # type: ignore[no-untyped-call]


def celery_url(url: str) -> str:
    """kombu spells a Unix socket redis+socket://…?virtual_host=, redis-py spells it unix://…?db=; both are taken. Of itself kombu
    checks no certificate of a server, which redis-py does.
    """
    if url.startswith("rediss://") and "ssl_cert_reqs=" not in url:
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
    if not url.startswith("unix://"):
        return url
    return url.replace("unix://", "redis+socket://", 1).replace("db=", "virtual_host=", 1)


def redis_py_url(url: str) -> str:
    """The same URL for redis-py."""
    return url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=", 1)


class JobQueue:
    """Wakes the workers. Sending never raises and never hangs; False means that the sweep will send again.

    `find_url` is asked again after every failure, because a private Redis may come back under another address; it
    returns None where there is no broker (yet).
    """

    def __init__(self, find_url: Callable[[], str | None]) -> None:
        self._find_url = find_url
        self._turn = threading.Lock()
        self._app: Celery | None = None
        self._redis: redis.Redis | None = None
        self._silent_until = 0.0  # time.monotonic()

    def wake(self, queue: str) -> bool:
        """Tell a worker that something waits."""
        return self._ring(JOB, [""], queue)

    def send_job(self, job_id: str, queue: str = CPU) -> bool:
        """Tell a worker that this job can be advanced; which piece of work it then claims, the claim decides."""
        return self._ring(JOB, [job_id], queue)

    def send_chunk(self, job_id: str, idx: int, queue: str) -> bool:
        """Tell a worker that this chunk can be heard; likewise."""
        return self._ring(CHUNK, [job_id, idx], queue)

    def send_delivery(self, message_id: str) -> bool:
        """Ask a worker to deliver one webhook message."""
        return self._ring(DELIVERY, [message_id], WEBHOOKS)

    def still_here(self, worker: str, seconds: float) -> bool:
        """Say that this process lives though its heartbeats do not reach the database; that holds for so many seconds."""
        try:
            self._asked(lambda client: client.set(_HERE + worker, 1, px=round(seconds * 1000)))
        except BrokerUnavailable:
            return False
        return True

    def still_there(self, workers: Collection[str]) -> set[str]:
        """Those of them that have said so. Raises BrokerUnavailable."""
        names = sorted(workers)
        said = self._asked(lambda client: client.mget([_HERE + name for name in names])) if names else ()
        return {name for name, told in zip(names, said, strict=True) if told}

    def lengths(self) -> dict[str, int]:
        """How many messages wait in each queue. Raises BrokerUnavailable."""
        lengths: dict[str, int] = self._asked(lambda client: {name: client.llen(name) for name in QUEUES})
        return lengths

    def check(self) -> dict[str, Any]:
        """Whether Redis answers, and the facts that decide whether it keeps what it is given. Raises BrokerUnavailable."""
        facts: dict[str, Any] = self._asked(lambda client: client.info("memory"))
        policy = str(facts.get("maxmemory_policy", ""))
        return {"maxmemory_policy": policy, "keeps_messages": not facts.get("maxmemory") or policy == "noeviction"}

    def close(self) -> None:
        """Let go of the connections."""
        with self._turn:
            self._forget()

    def _ring(self, task: str, args: list[Any], queue: str) -> bool:
        try:
            with self._my_turn():
                self._sender().send_task(task, args=args, queue=queue, ignore_result=True)
        except BrokerUnavailable:
            return False
        return True

    def _asked(self, question: Callable[[redis.Redis], Any]) -> Any:
        with self._my_turn():
            return question(self._client())

    @contextlib.contextmanager
    def _my_turn(self) -> Iterator[None]:
        """One caller at a time; any failure silences everybody for BACK_OFF seconds."""
        self._refuse_while_silent()
        if not self._turn.acquire(timeout=PATIENCE):
            raise BrokerUnavailable()
        try:
            self._refuse_while_silent()  # the one before us may have found it dead
            yield
        except BrokerUnavailable:
            raise
        except Exception as error:
            self._forget()
            self._silent_until = time.monotonic() + BACK_OFF
            raise BrokerUnavailable(reason=type(error).__name__) from error
        finally:
            self._turn.release()

    def _refuse_while_silent(self) -> None:
        if time.monotonic() < self._silent_until:
            raise BrokerUnavailable()

    def _url(self) -> str:
        url = self._find_url()
        if not url:
            self._silent_until = time.monotonic() + BACK_OFF
            raise BrokerUnavailable("No message broker is configured or running.")
        return url

    def _sender(self) -> Celery:
        if self._app is None:
            self._app = celery_app(self._url(), patience=PATIENCE)
        return self._app

    def _client(self) -> redis.Redis:
        if self._redis is None:
            self._redis = redis.Redis.from_url(
                redis_py_url(self._url()), socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=None
            )
        return self._redis

    def _forget(self) -> None:
        app, client, self._app, self._redis = self._app, self._redis, None, None
        for thing in (app, client):
            if thing is not None:
                with contextlib.suppress(Exception):  # a dead broker may not let us say goodbye
                    thing.close()
