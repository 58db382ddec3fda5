"""A 2 GB upload: what it adds to the API's resident memory, and the temporary files it leaves or uses."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from infra.settings import Settings
from infra.wiring import build
from tests.benchmarks.report import Figure

SIZE = 2 * 1024**3
BOUNDARY = "stenopool-benchmark"
MIB = 1024**2
START = 900.0  # seconds for an API to come up


class Watch(threading.Thread):
    """Samples a process twice every 100 ms: its resident memory, and files it holds open in the temporary folder."""

    def __init__(self, pid: int, temporary: Path) -> None:
        super().__init__(daemon=True)
        self.process, self.temporary = psutil.Process(pid), temporary
        self.peak, self.files, self.done = 0, set[str](), threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.05):
            self.peak = max(self.peak, self.process.memory_info().rss)
            links = (
                str(link.readlink()) for link in Path(f"/proc/{self.process.pid}/fd").iterdir() if link.is_symlink()
            )
            self.files |= {target for target in links if target.startswith(str(self.temporary))}


def upload(port: int, key: str) -> int:
    """Send a multipart job of SIZE bytes, silence in a WAV, without Content-Length; the status answered."""

    def body() -> Iterator[bytes]:
        yield (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\noracle\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="big.wav"\r\n\r\n'
        ).encode()
        block = bytes(MIB)
        for _ in range(SIZE // MIB):
            yield block
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request("POST", "/v1/audio/jobs", body(), headers, encode_chunked=True)
    return connection.getresponse().status


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until_healthy(port: int) -> None:
    """On a machine that has much else to do, it takes its time."""
    until = time.monotonic() + START
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"the API did not come up in {START:.0f} s")


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        home, temporary, port = Path(folder) / "home", Path(folder) / "tmp", free_port()
        temporary.mkdir()
        settings = Settings(home=home)
        with build(settings) as services:
            account = services.accounts.create_account("benchmark", "enterprise")
            key, _ = services.accounts.create_key(account.id)
        environ = os.environ | {"STENOPOOL_HOME": str(home), "TMPDIR": str(temporary)}
        command = [sys.executable, "-m", "api", "--host", "127.0.0.1", "--port", str(port)]
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as server:
            try:
                wait_until_healthy(port)
                before = psutil.Process(server.pid).memory_info().rss
                watch = Watch(server.pid, temporary)
                watch.start()
                started = time.monotonic()
                status = upload(port, key)
                took = time.monotonic() - started
                watch.done.set()
                watch.join()
            finally:
                server.terminate()
        leftovers = watch.files | {str(path) for path in temporary.rglob("*") if path.is_file()}
        stored = sum(path.stat().st_size for path in (home / "storage").rglob("*") if path.is_file())
    growth = (watch.peak - before) / MIB
    title = f"2 GB streamed in {took:.1f} s, answered {status}"
    yield Figure(
        title, f"+{growth:.1f} MiB", f"{before / MIB:.0f} MiB idle", None, "< 64 MiB", growth < 64 and status == 202
    )
    yield Figure("temporary files", str(len(leftovers)), "", None, "0", not leftovers)
    yield Figure("bytes stored", str(stored), str(SIZE), stored / SIZE, "1.000", stored == SIZE)
