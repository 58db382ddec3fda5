"""An installation as an operator has it on several machines: PostgreSQL, Redis, S3, and each role a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import psutil
import pytest

from infra.embedded_redis import PrivateRedis
from infra.encryption.secret_box import new_key
from infra.settings import Settings
from infra.wiring import build
from tests.nemesis.plan import CLUSTER, ROLES
from tests.nemesis.postgres import Postgres, postgres
from tests.nemesis.roles import (
    Faults,
    Role,
    drop_data,
    environment,
    flush,
    kill_a_child,
    nothing,
    shared,
    tell,
    unnamed,
)
from tests.nemesis.surroundings import Surroundings
from tests.support.ports import free_port
from tests.support.s3_server import S3Server, moto_server
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

BUCKET = "s3://nemesis"
SLOW_DATABASE, SLOW_S3, STALLED = 0.02, 0.1, 60.0  # seconds before each piece that is handed on


class Cluster:
    """Seven roles, each with a home and with a link to the database of its own. Start and tend it from the main thread."""

    script = CLUSTER

    def __init__(self, around: Surroundings, database: Postgres, s3: S3Server, links: ExitStack) -> None:
        self._around, self._database, self._s3 = around, database, s3
        self._redis = PrivateRedis(around.folder / "redis-home")
        self._redis.home.mkdir()
        redis_url = urlsplit(self._redis.start())
        self._redis_url = self._redis.url
        self._s3_link = links.enter_context(tcp_proxy(urlsplit(s3.endpoint).port or 0))
        self._redis_link = links.enter_context(tcp_proxy(redis_url.port or 0))
        self._links = {name: links.enter_context(tcp_proxy(database.socket)) for name in ROLES}
        self._secrets = new_key()
        self.ports = [free_port(), free_port()]
        self._roles = {name: self._role(name) for name in ROLES}
        self.services = links.enter_context(build(self._own_settings()))
        self.faults: Faults = self._faults()

    def start(self) -> None:
        for role in self._roles.values():
            role.start()

    def tend(self) -> None:
        for role in self._roles.values():
            role.tend()

    def heal(self) -> None:
        """Everything runs and nothing is in its way."""
        self._around.mend()
        self._s3.full.clear()
        for link in (self._s3_link, self._redis_link, *self._links.values()):
            link.mend()
        self._database.start()
        self._start_redis("")
        for role in self._roles.values():
            role.thaw()
            if role.down:
                role.start()

    @property
    def endings(self) -> list[str]:
        """Of processes that nobody killed."""
        return [ending for role in self._roles.values() for ending in role.endings]

    def stop(self) -> None:
        for role in self._roles.values():
            role.stop()
        self._redis.stop()

    def _own_settings(self) -> Settings:
        home = self._around.folder / "driver"
        return Settings(
            home=home,
            catalog=self._around.catalog,
            database_url=self._database.url,
            redis_url=self._redis_url,
            storage_url=BUCKET,
            secrets_key=self._secrets,
        )

    def _role(self, name: str) -> Role:
        kind = name.split("-", maxsplit=1)[0]
        home, temporary = self._around.disk.folder / name, self._around.disk.folder / f"tmp-{name}"
        home.mkdir()
        temporary.mkdir()
        settings = {
            "home": str(home),
            "database_url": Postgres.url_by(self._links[name].port),
            "redis_url": _through(self._redis_url, self._redis_link),
            "storage_url": BUCKET,
            "secrets_key": self._secrets,
        }
        environ = {
            **environment(**settings, **shared(self._around.catalog)),
            **replace(self._s3, endpoint=self._s3_link.url).environ,
            "HOME": str(home),
            "TMPDIR": str(temporary),
        }
        port = self.ports[int(name[-1]) - 1] if kind == "api" else 0
        module = ["api", "--port", str(port)] if kind == "api" else ["workers", kind]
        return Role(name, [sys.executable, "-m", *module], environ, self._around.folder / f"{name}.log")

    def _faults(self) -> Faults:
        provider, receiver = self._around.provider, self._around.receiver_link
        return {
            "PostgreSQL stopped": (unnamed(self._database.stop), unnamed(self._database.start)),
            "S3 refuses": (unnamed(self._s3_link.cut), unnamed(self._s3_link.mend)),
            "S3 full": (unnamed(self._s3.full.set), unnamed(self._s3.full.clear)),
            "S3 slow": (lambda _: self._s3_link.slow(SLOW_S3), lambda _: self._s3_link.slow(0)),
            "S3 stalled": (lambda _: self._s3_link.slow(STALLED), lambda _: self._s3_link.slow(0)),
            "provider refuses": (unnamed(provider.refuse), unnamed(provider.come_back)),
            "receiver refuses": (unnamed(receiver.cut), unnamed(receiver.mend)),
            "disk full": (
                lambda _: self._around.disk.fill(process.pid for process in self.processes()),
                unnamed(self._around.disk.free),
            ),
            "killed": (lambda whom: self._roles[whom].kill(), lambda whom: self._roles[whom].start()),
            "child killed": (lambda whom: kill_a_child(self._roles[whom].family()), nothing),
            "frozen": (lambda whom: self._roles[whom].freeze(), lambda whom: self._roles[whom].thaw()),
            "database out of reach": (lambda whom: self._links[whom].cut(), lambda whom: self._links[whom].mend()),
            "database connections cut": (lambda _: self._each_link(TcpProxy.drop), nothing),
            "database slow": (
                lambda _: self._each_link(lambda link: link.slow(SLOW_DATABASE)),
                lambda _: self._each_link(lambda link: link.slow(0)),
            ),
            "Redis flushed": (lambda _: flush(self._redis_url), nothing),
            "Redis restarted empty": (lambda _: self._empty_redis(), self._start_redis),
            "Redis frozen": (lambda _: self._tell_redis(signal.SIGSTOP), lambda _: self._tell_redis(signal.SIGCONT)),
            "Redis out of reach": (unnamed(self._redis_link.cut), unnamed(self._redis_link.mend)),
        }

    def processes(self) -> list[psutil.Process]:
        return [process for role in self._roles.values() for process in role.family()]

    def _each_link(self, act: Callable[[TcpProxy], None]) -> None:
        for link in self._links.values():
            act(link)

    def _empty_redis(self) -> None:
        self._tell_redis(signal.SIGKILL)
        self._redis.stop()
        drop_data(self._redis.home / "redis")

    def _start_redis(self, _whom: str) -> None:
        if self._redis.pid is None:
            assert self._redis.start() == self._redis_url
        self._tell_redis(signal.SIGCONT)

    def _tell_redis(self, number: int) -> None:
        if self._redis.pid is not None:
            tell([psutil.Process(self._redis.pid)], number)


def _through(url: str, link: TcpProxy) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f":{parts.password}@127.0.0.1:{link.port}"))


@contextmanager
def cluster(around: Surroundings) -> Iterator[Cluster]:
    """Running until the block ends."""
    with postgres() as database, moto_server() as s3, pytest.MonkeyPatch.context() as patch, ExitStack() as links:
        for name in [name for name in os.environ if name.startswith(("STENOPOOL_", "AWS_"))]:
            patch.delenv(name)
        s3.use(patch)
        made = Cluster(around, database, s3, links)
        try:
            made.start()
            yield made
        finally:
            made.stop()
