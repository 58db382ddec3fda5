"""A role as a fork of the supervisor, which has loaded what roles need: one copy of all code, and none of them loads it anew.

A role run for itself holds 105 MB before it does anything; a fork of one that has loaded them holds what it changes. The
supervisor must have no database open and no thread at that moment: SQLite's locks do not outlive a fork, and neither do threads.
Only on Linux: elsewhere a process that has used the system's libraries may not go on after a fork.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib
import logging
import os
import runpy
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from infra.memory_tuning import loading, tune_memory
from infra.parent_death import GONE, die_with_parent

ROLES = ("api.__main__", "workers.__main__")
LOADED_LATE = (  # by Celery, when a worker starts, and by its pool, in each process of it
    "celery.app.amqp",
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.concurrency.thread",
    "celery.worker.strategy",
    "cffi.cparser",
    "kombu.transport.redis",
)
CAN_FORK = hasattr(os, "pidfd_open")  # Linux
OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # that the supervisor listens to
FIRST_INHERITED = 3  # file descriptor
FAILED = 1


def load_roles() -> None:
    """All that they import, and nothing of it looked through by the collector: it would copy each page."""
    with loading():
        for module in ROLES:
            importlib.import_module(module)
            del sys.modules[module]  # each role runs it, as its own `__main__`
        for module in LOADED_LATE:
            importlib.import_module(module)
    tune_memory()


class ForkedRole:
    """A child, by the words of `subprocess.Popen` that a supervisor needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def terminate(self) -> None:
        """Ask it to end; not after `wait`."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code, or the signal that ended it as a negative number."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def fork_role(module: str, words: Sequence[str], environ: Mapping[str, str]) -> ForkedRole:
    """`python -m module words…` as a fork: leader of a process group, tied to this process, with stdout where our stderr goes."""
    parent = os.getpid()
    with _deaf():  # a SIGTERM that comes before the child has its own ways must not be lost on ours
        pid = os.fork()
        if pid:
            return ForkedRole(pid)
        code = FAILED
        try:
            code = _become(module, words, environ) if die_with_parent(parent) else GONE
        finally:
            os._exit(code)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become(module: str, words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run it to its end. Returns its exit code."""
    os.setsid()
    _own_descriptors()
    os.environ.clear()
    os.environ.update(environ)
    _show_as(["python", "-m", module, *words])
    sys.argv = [module, *words]
    _own_signals()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else FAILED
    except BaseException:  # whatever it is, it must not go on in the supervisor's code
        logging.getLogger("stenopool").critical("%s ended on something nobody thought of", module, exc_info=True)
        code = FAILED
    # As at the end of any interpreter, which this one does not come to: it would go on in the supervisor's code.
    vars(threading)["_shutdown"]()  # waits for threads; the stubs do not know it
    atexit._run_exitfuncs()
    sys.stderr.flush()
    return code


def _own_descriptors() -> None:
    """None of the supervisor's but its stderr."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.closerange(FIRST_INHERITED, os.sysconf("SC_OPEN_MAX"))


def _own_signals() -> None:
    """As a new process has them; whoever ignores a closed terminal (nohup) goes on doing so."""
    for number in OURS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)


def _show_as(words: Sequence[str]) -> None:
    """What `ps` tells, in the room that the supervisor's own words had: the kernel reads it there, and nobody else does."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start, arg_end: proc(5), which counts from 1 and has two before
    shown = "\0".join(words).encode()[: end - start - 1]
    ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)
