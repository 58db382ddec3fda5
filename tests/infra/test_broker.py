"""Bells: short, never raising, never hanging, and independent of anything in Redis but the queue itself."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from infra import broker
from infra.broker import CHUNK, DELIVERY, JOB, JobQueue, celery_app, celery_url, redis_py_url
from infra.embedded_redis import PrivateRedis
from infra.limits.rate_limits import RateLimits
from pipeline.errors import BrokerUnavailable
from tests.support.certificates import certificate
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with PrivateRedis(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def queue(server: PrivateRedis) -> Iterator[JobQueue]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    dispatches = JobQueue(lambda: server.url)
    yield dispatches
    dispatches.close()


@pytest.fixture
def frozen(server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert server.pid
    monkeypatch.setattr(broker, "PATIENCE", 0.5)
    os.kill(server.pid, signal.SIGSTOP)
    yield
    os.kill(server.pid, signal.SIGCONT)


def messages(server: PrivateRedis, name: str) -> list[tuple[str, list[object]]]:
    """(task, arguments) of each waiting message, the oldest first."""
    with redis.Redis.from_url(server.url) as client:
        raw = [json.loads(item) for item in reversed(client.lrange(name, 0, -1))]
    return [
        (message["headers"]["task"], json.loads(message["headers"]["argsrepr"].replace("'", '"'))) for message in raw
    ]


def test_a_message_names_its_task_and_carries_ids_only(queue: JobQueue, server: PrivateRedis) -> None:
    assert queue.send_job("job_1")
    assert queue.send_chunk("job_1", 3, "io")
    assert queue.send_delivery("evt_1")
    assert messages(server, "cpu") == [(JOB, ["job_1"])]
    assert messages(server, "io") == [(CHUNK, ["job_1", 3])]
    assert messages(server, "webhooks") == [(DELIVERY, ["evt_1"])]
    assert queue.lengths() == {"cpu": 1, "io": 1, "webhooks": 1}


def test_a_message_needs_no_binding(queue: JobQueue, server: PrivateRedis) -> None:
    assert queue.send_job("before")
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    assert queue.send_job("after")
    assert messages(server, "cpu") == [(JOB, ["after"])]


def test_an_unknown_queue_is_refused_not_made(queue: JobQueue) -> None:
    assert not queue.send_job("job_1", "typo")


def test_a_frozen_broker_delays_nobody_for_long(queue: JobQueue, frozen: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One finds it silent; the others ask nobody."""
    asked: list[str] = []
    monkeypatch.setattr(broker, "BACK_OFF", 600.0)
    monkeypatch.setattr(broker, "celery_app", lambda *given, **more: asked.append("") or celery_app(*given, **more))
    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(queue.send_job, [f"job_{n}" for n in range(20)])) == [False] * 20
    assert len(asked) == 1
    with pytest.raises(BrokerUnavailable):
        queue.check()


def test_it_recovers_by_itself(queue: JobQueue, server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.pid
    with monkeypatch.context() as impatient:
        impatient.setattr(broker, "PATIENCE", 0.5)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            assert not queue.send_job("job_1")
        finally:
            os.kill(server.pid, signal.SIGCONT)
    wait_until(lambda: queue.send_job("job_2"))
    assert messages(server, "cpu")[-1] == (JOB, ["job_2"])


def test_no_broker_at_all_is_no_accident() -> None:
    dispatches = JobQueue(lambda: None)
    assert not dispatches.send_job("job_1")
    with pytest.raises(BrokerUnavailable):
        dispatches.lengths()
    dispatches.close()


def test_a_broker_that_moves_is_found_again(server: PrivateRedis) -> None:
    urls = iter([None, server.url])
    dispatches = JobQueue(lambda: next(urls))
    assert not dispatches.send_job("job_1")
    wait_until(lambda: dispatches.send_job("job_1"))
    dispatches.close()


def test_check_tells_whether_messages_are_kept(queue: JobQueue, server: PrivateRedis) -> None:
    assert queue.check() == {"maxmemory_policy": "noeviction", "keeps_messages": True}
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert queue.check() == {"maxmemory_policy": "allkeys-lru", "keeps_messages": False}
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


def test_a_full_broker_is_a_message_not_sent(queue: JobQueue, server: PrivateRedis) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1")
        assert not queue.send_job("job_1")
        client.config_set("maxmemory", "0")


def test_unix_sockets_in_both_spellings(server: PrivateRedis) -> None:
    assert celery_url("unix:///run/redis.sock?db=2") == "redis+socket:///run/redis.sock?virtual_host=2"
    assert redis_py_url("redis+socket:///run/redis.sock?virtual_host=2") == "unix:///run/redis.sock?db=2"
    assert celery_url(server.url) == redis_py_url(server.url) == server.url


@pytest.mark.parametrize(
    "more", ["", "?ssl_ca_certs={ca}", "?ssl_cert_reqs=none"], ids=["strange", "known", "unchecked"]
)
def test_a_redis_behind_tls_is_trusted_by_its_certificate_alone(
    server: PrivateRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """By every client of ours: messages, what is asked of the queues, and counts of requests."""
    if not more:
        monkeypatch.setattr(broker, "PATIENCE", 0.5)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    tls, _ = certificate(tmp_path, "redis.test")
    parts = urlsplit(server.url)
    assert parts.port
    with tcp_proxy(parts.port, tls) as proxy:
        here = parts._replace(scheme="rediss", netloc=parts.netloc.replace(str(parts.port), str(proxy.port)))
        url = urlunsplit(here) + more.format(ca=tmp_path / "server.pem")
        queue, limits = JobQueue(lambda: url), RateLimits(lambda: url, patience=60.0)
        assert queue.send_job("job_1") is bool(more)
        if more:
            assert queue.lengths()["cpu"] == 1
        else:
            with pytest.raises(BrokerUnavailable):
                queue.lengths()
        asyncio.run(greeted(limits))
        assert limits.shared is bool(more)
        queue.close()


async def greeted(limits: RateLimits) -> None:
    await limits.greet()
    await limits.close()


def test_the_settings_that_promises_depend_on() -> None:
    conf = celery_app("redis://127.0.0.1:1/0").conf
    assert conf.task_acks_late is False
    assert conf.result_backend is None
    assert conf.accept_content == ["json"]
    assert conf.worker_hijack_root_logger is False
    assert conf.broker_connection_max_retries is None
    assert Path(conf.broker_url).name == "0"


def test_who_cannot_reach_the_database_says_here_that_it_lives(queue: JobQueue, server: PrivateRedis) -> None:
    assert queue.still_here("io@a:1", 60)
    assert queue.still_there({"io@a:1", "io@b:2"}) == {"io@a:1"}
    assert queue.still_there(set()) == set()
    with redis.Redis.from_url(server.url) as client:
        assert 0 < client.ttl("stenopool:here:io@a:1") <= 60


def test_a_broker_that_is_away_as_well_is_no_trouble() -> None:
    queue = JobQueue(lambda: None)
    assert not queue.still_here("io@a:1", 60)
    with pytest.raises(BrokerUnavailable):
        queue.still_there({"io@a:1"})
