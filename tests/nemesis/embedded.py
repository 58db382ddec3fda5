"""The embedded default: one `stenopool up` over SQLite, a folder and a private Redis, all on one small disk."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from infra.embedded_redis import private_redis_url
from infra.settings import Settings
from infra.wiring import build
from tests.nemesis.plan import EMBEDDED
from tests.nemesis.roles import (
    Faults,
    Role,
    drop_data,
    environment,
    family,
    flush,
    kill_a_child,
    nothing,
    shared,
    tell,
    unnamed,
)
from tests.nemesis.surroundings import Surroundings
from tests.support.ports import free_port

WORDS = {
    "api": ["-m", "api"],
    "cpu": ["workers", "cpu"],
    "io": ["workers", "io"],
    "scheduler": ["workers", "scheduler"],
}
ENDED = "ended with exit code"  # what `up` says of a role that nobody killed


class Embedded:
    """`up` starts again what dies; whoever runs this starts `up` again. From the main thread."""

    script = EMBEDDED

    def __init__(self, around: Surroundings, opened: ExitStack) -> None:
        self._around = around
        self._home = around.disk.folder / "home"
        self._home.mkdir(mode=0o700)
        temporary = around.disk.folder / "tmp"
        temporary.mkdir()
        self.ports = [free_port()]
        environ = {
            **environment(home=str(self._home), **shared(around.catalog)),
            "HOME": str(self._home),
            "TMPDIR": str(temporary),
        }
        command = [sys.executable, "-m", "cli", "up", "--port", str(self.ports[0])]
        self._up = Role("up", command, environ, around.folder / "up.log")
        self._frozen: dict[str, list[psutil.Process]] = {}
        self.services = opened.enter_context(build(Settings(home=self._home, catalog=around.catalog)))
        disk, provider, receiver = around.disk, around.provider, around.receiver_link
        self.faults: Faults = {
            "disk full": (lambda _: disk.fill(process.pid for process in self._up.family()), unnamed(disk.free)),
            "provider refuses": (unnamed(provider.refuse), unnamed(provider.come_back)),
            "receiver refuses": (unnamed(receiver.cut), unnamed(receiver.mend)),
            "killed": (self._kill, self._start_again),
            "child killed": (lambda whom: kill_a_child(self._part(whom)), nothing),
            "frozen": (self._freeze, self._thaw),
            "Redis killed and emptied": (lambda _: self._empty_redis(), nothing),
            "Redis flushed": (lambda _: flush(private_redis_url(self._home) or ""), nothing),
            "Redis frozen": (
                lambda _: tell(self._redis(), signal.SIGSTOP),
                lambda _: tell(self._redis(), signal.SIGCONT),
            ),
        }

    def start(self) -> None:
        self._up.start()

    def tend(self) -> None:
        self._up.tend()

    def heal(self) -> None:
        """Everything runs and nothing is in its way."""
        self._around.mend()
        for part in list(self._frozen):
            self._thaw(part)
        tell(self._redis(), signal.SIGCONT)
        if self._up.down:
            self._up.start()

    @property
    def endings(self) -> list[str]:
        """Of processes that nobody killed."""
        said = self._up.log.read_text(errors="replace").splitlines()
        return [*self._up.endings, *(line for line in said if ENDED in line)]

    def stop(self) -> None:
        self._up.stop()

    def processes(self) -> list[psutil.Process]:
        return self._up.family()

    def _part(self, name: str) -> list[psutil.Process]:
        """The processes of a role, its main one first."""
        for process in self._children():
            words = process.info["cmdline"] or []
            if all(word in words for word in WORDS[name]):
                return family(process.pid)
        return []

    def _redis(self) -> list[psutil.Process]:
        return [process for process in self._children() if "redis-server" in " ".join(process.info["cmdline"] or [])]

    def _children(self) -> Iterator[psutil.Process]:
        main = self._up.process.pid if self._up.process else None
        return (process for process in psutil.process_iter(["cmdline", "ppid"]) if process.info["ppid"] == main)

    def _kill(self, whom: str) -> None:
        if whom == "up":
            self._up.kill()
        else:
            tell(self._part(whom)[:1], signal.SIGKILL)

    def _start_again(self, whom: str) -> None:
        if whom == "up":
            self._up.start()

    def _freeze(self, whom: str) -> None:
        self._frozen[whom] = self._part(whom)
        tell(self._frozen[whom], signal.SIGSTOP)

    def _thaw(self, whom: str) -> None:
        tell(self._frozen.pop(whom, []), signal.SIGCONT)

    def _empty_redis(self) -> None:
        """Its files first: `up` starts it again at once."""
        drop_data(self._home / "redis")
        tell(self._redis(), signal.SIGKILL)


@contextmanager
def embedded(around: Surroundings) -> Iterator[Embedded]:
    """Running until the block ends."""
    with ExitStack() as opened:
        made = Embedded(around, opened)
        try:
            made.start()
            yield made
        finally:
            made.stop()
