"""10,000 connections that ask for nothing any more, from many addresses of loopback: what each adds to the API's resident memory.

Both ends are on this machine: where its hard limit of descriptors is lower, as many are opened as fit.
"""

import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from api.connection.descriptor_bound import connections_within, raise_limit
from tests.benchmarks.report import Figure
from tests.benchmarks.upload_memory import free_port, wait_until_healthy

WANTED = 10_000
AT_ONCE = 500
ASKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
PER_ADDRESS = 100  # below what a peer may hold
KIB = 1024


def opened(port: int, count: int) -> list[socket.socket]:
    """Connections that have asked once each and had their answer. Many ask at once: all shall be there before the first has been
    idle for too long, on a busy machine as well."""
    held: list[socket.socket] = []
    while len(held) < count:
        some = [connected(port, number) for number in range(len(held), min(count, len(held) + AT_ONCE))]
        for one in some:
            one.sendall(ASKED)
        for one in some:
            read_answer(one)
        held += some
    return held


def connected(port: int, number: int) -> socket.socket:
    """From the address whose turn it is."""
    source = f"127.0.{1 + number // PER_ADDRESS // 250}.{1 + number // PER_ADDRESS % 250}"
    return socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))


def read_answer(connection: socket.socket) -> None:
    """To its end."""
    answer = b""
    while not answer.endswith(b"}"):
        part = connection.recv(65536)
        assert part, answer
        answer += part


def still_open(held: list[socket.socket]) -> int:
    """How many are not closed by the other side."""
    count = 0
    for one in held:
        one.setblocking(False)
        try:
            one.recv(1)
        except BlockingIOError:
            count += 1
    return count


def run() -> Iterator[Figure]:
    """Start the API, warm it up, open, measure, close."""
    raise_limit()
    count = min(WANTED, connections_within(), resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        environ = {"PATH": os.environ["PATH"], "STENOPOOL_HOME": home, "STENOPOOL_LOG_LEVEL": "ERROR"}
        with (Path(home) / "api.log").open("wb") as log:
            server = subprocess.Popen([sys.executable, "-m", "api", "--port", str(port)], env=environ, stderr=log)
        try:
            wait_until_healthy(port)
            for one in opened(port, 200):
                one.close()
            before = psutil.Process(server.pid).memory_info().rss
            held = opened(port, count)
            after = psutil.Process(server.pid).memory_info().rss
            alive = still_open(held)
            each = (after - before) / count / KIB
            yield Figure("connections held", str(alive), str(count), alive / count, f"{count}", alive == count)
            yield Figure(
                "resident memory of each",
                f"{each:.1f} KiB",
                f"{before / KIB**2:.0f} MiB idle",
                None,
                "< 20 KiB",
                each < 20,
            )
            with socket.create_connection(("127.0.0.1", port), timeout=60) as late:
                late.sendall(ASKED)
                read_answer(late)
            for one in held:
                one.close()
        finally:
            server.terminate()
            server.wait(30)
