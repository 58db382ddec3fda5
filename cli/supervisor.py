"""Keeps the roles running as child processes, each tied to this process, and stops them in order.

Every role leads a process group of its own: a Ctrl-C in the terminal reaches only the supervisor, and what a role leaves
behind when it dies can be ended as a group. The parent-death signal (infra/parent_death.py) is for
the case that the supervisor itself is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cli.forked_role import ForkedRole, fork_role
from infra.embedded_redis import PrivateRedis
from infra.parent_death import tied_to_parent
from pipeline.errors import BrokerUnavailable

POLL_SECONDS = 0.05
# From the TERM to the KILL; workers take at most 2.5 s, and with Redis the whole stop stays below 5 s.
STOP_SECONDS = 3.0
STEADY_SECONDS = 30.0  # a role that lived so long starts again without waiting
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
REDIS_PAUSE = 1.0


Child = subprocess.Popen[bytes] | ForkedRole


@dataclass
class Role:
    """One child: what it is called, how it is run, and how it fares.

    With a `module` it is a fork of this process that runs it, with `command` as its words.
    """

    name: str
    command: Sequence[str]
    module: str = ""
    process: Child | None = None
    started: float = 0.0  # monotonic seconds, as the next one
    start_again: float = 0.0
    deaths: int = 0  # in a row, each soon after its start


class Supervisor:
    """Use it from the main thread only: the parent-death signal follows the thread that spawns."""

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        redis: PrivateRedis | None,
        environ: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self.roles = list(roles)
        self._redis = redis
        self._environ = dict(environ)
        self._say = say
        self._redis_again = 0.0  # monotonic seconds

    def start(self) -> None:
        """Redis first, where it is ours; then all roles at once. Raises BrokerUnavailable."""
        if self._redis is not None:
            self._redis.start()
        for role in self.roles:
            self._spawn(role)

    def tend(self) -> None:
        """Notice what died, and start again what is due. Call it a few times per second."""
        if self._redis is not None and self._redis.pid is None and time.monotonic() >= self._redis_again:
            self._revive(self._redis)
        for role in self.roles:
            if role.process is not None and _has_ended(role.process):
                self._mourn(role)
            if role.process is None and time.monotonic() >= role.start_again:
                self._spawn(role)

    def failing(self, deaths: int) -> Role | None:
        """A role that died so many times in a row."""
        return next((role for role in self.roles if role.deaths >= deaths), None)

    def stop(self) -> None:
        """TERM to every role, KILL to what is left after STOP_SECONDS; Redis last."""
        for role in self.roles:
            if role.process is not None:
                role.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while self._running() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        for role in self.roles:
            if role.process is not None:
                _kill_group(role.process)
                role.process = None
        if self._redis is not None:
            self._redis.stop()

    def abandon(self) -> None:
        """KILL to everything, without waiting for anything: safe inside a signal handler, and only before leaving."""
        groups = [role.process.pid for role in self.roles if role.process is not None]
        for pid in groups + ([self._redis.pid] if self._redis is not None and self._redis.pid else []):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def _running(self) -> bool:
        return any(role.process is not None and not _has_ended(role.process) for role in self.roles)

    def _spawn(self, role: Role) -> None:
        role.started = time.monotonic()
        if role.module:
            role.process = fork_role(role.module, role.command, self._environ)
            return
        role.process = subprocess.Popen(
            tied_to_parent(role.command),
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # our stdout carries only what `up` itself has to say
            start_new_session=True,
        )

    def _revive(self, redis: PrivateRedis) -> None:
        """What keeps it from starting now, a full disk as a rule, need not be so for long; the roles wait for their broker."""
        self._say("the private Redis ended; starting it again")
        try:
            redis.start()
        except (OSError, BrokerUnavailable) as error:
            redis.stop()
            self._redis_again = time.monotonic() + REDIS_PAUSE
            self._say(f"the private Redis cannot be started: {error}; trying again in {REDIS_PAUSE:g} s")

    def _mourn(self, role: Role) -> None:
        process, role.process = role.process, None
        assert process is not None
        _kill_group(process)
        lived = time.monotonic() - role.started
        role.deaths = role.deaths + 1 if lived < STEADY_SECONDS else 1
        pause = min(FIRST_PAUSE * 2 ** (role.deaths - 1), LONGEST_PAUSE)
        role.start_again = time.monotonic() + pause
        self._say(f"{role.name} ended {_how(process.wait())}; starting it again in {pause:g} s")


def _has_ended(process: Child) -> bool:
    """Without reaping it: while the leader is a zombie its group's number cannot be given to anybody else."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _kill_group(process: Child) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _how(code: int) -> str:
    """How a process ended, from its return code."""
    if code >= 0:
        return f"with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"
