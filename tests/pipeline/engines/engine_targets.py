"""Engines for the tests of the pool, imported by its child processes."""

import ctypes
import os
import socket
import time
from pathlib import Path

from tests.support.waiting import pause


class Calculator:
    """Remembers how often it was asked, so that a test sees whether it is warm."""

    def __init__(self, step: int = 1) -> None:
        self._step = step
        self._total = 0
        self._asked_by: list[str] = []

    def add(self) -> int:
        self._total += self._step
        return self._total

    def pid(self) -> int:
        return os.getpid()

    def echo(self, data: bytes) -> bytes:
        return data

    def fail(self) -> None:
        raise ValueError("a vendor's own words")

    def unsendable(self) -> object:
        return lambda: None

    def die(self) -> None:
        os.kill(os.getpid(), 9)

    def nap(self, seconds: float) -> int:
        pause(seconds)
        return os.getpid()

    def remember(self, owner: str) -> list[str]:
        """Who has asked so far, in their order."""
        self._asked_by.append(owner)
        return self._asked_by

    def hold_until(self, go: str, started: str) -> None:
        """Be busy until there is a file `go`; says in the file `started` that it has begun."""
        _tell(started)
        while not Path(go).exists():
            time.sleep(0.01)

    def hold_the_gil(self, seconds: int, started: str) -> None:
        """Sleep inside a C call without letting go of the GIL, as PocketSphinx does; tells its pid in a file first."""
        _tell(started)
        ctypes.PyDLL(None).sleep(seconds)


def _tell(started: str) -> None:
    """Our pid, in a file that is there only when it is whole."""
    written = Path(f"{started}.new")
    written.write_text(str(os.getpid()))
    written.rename(started)


class Recorder:
    """Writes down what it is given, piece by piece, and holds the work for as long as a file is there."""

    def note(self, pieces: list[str], diary: str, hold: str) -> list[int]:
        for piece in pieces:
            with Path(diary).open("a") as file:
                file.write(f"{piece}\n")
            while Path(hold).exists():
                time.sleep(0.01)
        return [os.getpid()] * len(pieces)

    def dial(self, host: str, port: int) -> None:
        socket.create_connection((host, port), timeout=60)

    def look_up(self, host: str) -> object:
        return socket.getaddrinfo(host, 80)

    def environment(self, name: str) -> str | None:
        return os.environ.get(name)


class Broken:
    """Cannot be made, like a model whose file is missing."""

    def __init__(self) -> None:
        raise RuntimeError("no such model")

    def anything(self) -> None: ...
