"""The hot path: requests a second and added latency of the API, beside the bare upstream and a bare proxy."""

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.settings import Settings
from infra.wiring import build
from tests.benchmarks.gateway_children import Load
from tests.benchmarks.report import Figure
from tests.benchmarks.sounds import oracle_recording
from tests.benchmarks.upload_memory import free_port

BOUNDARY = "stenopool-benchmark"
SECONDS = float(os.environ.get("GATEWAY_SECONDS", "3"))  # of each measured run
ROUNDS = int(os.environ.get("GATEWAY_ROUNDS", "5"))  # the three are asked in turn, so that all see the same machine
CONNECTIONS = (1, 16)
STRETCH = 335  # requests a second
SPEECHES = 20
CATALOG = """
[providers.stub]
kind = "openai"
base_url = "{url}"
api_key = "sk-stub"

[models.bench]
tasks = ["transcription", "translation", "speech"]
routes = [{{ provider = "stub", model = "whisper-1" }}]
prices = {{ audio_minute = "0.006" }}

[models.gift]
tasks = ["transcription"]
routes = [{{ provider = "stub", model = "whisper-1" }}]
"""


@dataclass(frozen=True)
class Gateway:
    """The running processes: ports, and a key of Stenopool's."""

    stub: int
    proxy: int
    ours: int
    key: str
    pid: int

    @property
    def upstream(self) -> str:
        return f"http://127.0.0.1:{self.stub}/v1"


def mp3(folder: Path, size: int = 64 * 1024) -> bytes:
    """About `size` bytes of speech at 64 kbit/s, cut between frames."""
    path = oracle_recording(folder, seconds=size / 8000, style="natural", suffixes=["mp3"])["mp3"]
    return path.read_bytes()


def form(sound: bytes, **fields: str) -> bytes:
    """As an SDK writes it: the fields, then the file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in ({"model": "bench", "response_format": "json"} | fields).items()
    ]
    file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="talk.mp3"\r\n'
    head = "".join(parts) + file + "Content-Type: audio/mpeg\r\n\r\n"
    return head.encode() + sound + f"\r\n--{BOUNDARY}--\r\n".encode()


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens on {port}")


@contextlib.contextmanager
def gateways(folder: Path) -> Iterator[Gateway]:
    """The stub, the proxy and Stenopool, each a process."""
    stub, proxy, ours = free_port(), free_port(), free_port()
    catalog, home = folder / "catalog.toml", folder / "home"
    catalog.write_text(CATALOG.format(url=f"http://127.0.0.1:{stub}/v1"))
    with build(Settings(home=home, catalog=catalog)) as services:
        account = services.accounts.create_account("benchmark", "enterprise")
        key, _ = services.accounts.create_key(account.id)
        ledger = getattr(services, "ledger", None)
        if ledger is not None:
            ledger.top_up(account.id, 10**12, note="benchmark", subject="benchmark")
    environ = os.environ | {"STENOPOOL_HOME": str(home), "STENOPOOL_CATALOG": str(catalog)}
    children = [sys.executable, "-m", "tests.benchmarks.gateway_children"]
    log = (folder / "log").open("wb")
    commands = (
        [*children, "stub", str(stub)],
        [*children, "proxy", str(proxy), f"http://127.0.0.1:{stub}/v1"],
        [sys.executable, "-m", "api", "--port", str(ours)],
    )
    with log, contextlib.ExitStack() as stack:
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, env=environ, stderr=log))
            stack.callback(process.terminate)
        for port in (stub, proxy, ours):
            wait_for(port)
        yield Gateway(stub, proxy, ours, key, process.pid)


class Loader:
    """The process that asks."""

    def __init__(self, process: subprocess.Popen[str], body: Path, key: str) -> None:
        self._process, self._body = process, body
        self._headers = f"Authorization: Bearer {key}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}"

    def __call__(self, port: int, connections: int, seconds: float) -> Load:
        asked = {"port": port, "connections": connections, "seconds": seconds, "headers": self._headers}
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asked | {"body": str(self._body)}) + "\n")
        self._process.stdin.flush()
        return Load(**json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def loader(folder: Path, body: bytes, key: str) -> Iterator[Loader]:
    """One that asks with `body` again and again."""
    path = folder / "body"
    path.write_bytes(body)
    command = [sys.executable, "-m", "tests.benchmarks.gateway_children", "load", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Loader(process, path, key)
        assert process.stdin
        process.stdin.close()


def middle(runs: list[Load]) -> Load:
    """The medians of the runs; every failure of any of them."""
    figures = {name: statistics.median(getattr(run, name) for run in runs) for name in ("per_second", "p50", "p99")}
    return Load(requests=sum(run.requests for run in runs), failed=sum(run.failed for run in runs), **figures)


def transcriptions(place: Gateway, folder: Path) -> Iterator[Figure]:
    """Throughput and added latency of all three, asked in turn."""
    with loader(folder, form(mp3(folder)), place.key) as ask:
        for connections in CONNECTIONS:
            ports = (place.stub, place.proxy, place.ours)
            for port in ports:
                ask(port, connections, 1.0)  # warm
            runs: dict[int, list[Load]] = {port: [] for port in ports}
            for _ in range(ROUNDS):
                for port in ports:
                    runs[port].append(ask(port, connections, SECONDS))
            yield from compared(connections, *(middle(runs[port]) for port in ports))


def compared(connections: int, stub: Load, proxy: Load, ours: Load) -> Iterator[Figure]:
    """The figures of one number of connections."""
    at = f"at {connections} connection{'s' if connections > 1 else ''}"
    yield Figure(f"the stub alone {at}", f"{stub.per_second:.0f}/s", f"p99 {stub.p99:.2f} ms", None, "")
    ratio = ours.per_second / proxy.per_second
    good = ratio > 1 and not ours.failed
    yield Figure(f"requests {at}", f"{ours.per_second:.0f}/s", f"proxy {proxy.per_second:.0f}/s", ratio, "> 1", good)
    for name in ("p50", "p99"):
        mine, theirs = (getattr(load, name) - getattr(stub, name) for load in (ours, proxy))
        good = mine < theirs
        yield Figure(
            f"added latency {name} {at}", f"{mine:.2f} ms", f"proxy {theirs:.2f} ms", mine / theirs, "< 1", good
        )
    if connections > 1:
        yield Figure("the stretch", f"{ours.per_second:.0f}/s", "", ours.per_second / STRETCH, f">= {STRETCH}/s")
    yield Figure(f"failed {at}", str(ours.failed), f"of {ours.requests}", None, "0", not ours.failed)


def first_byte(place: Gateway, response_format: str) -> float:
    """Milliseconds from the upstream's first block to our first."""
    connection = http.client.HTTPConnection("127.0.0.1", place.ours, timeout=30)
    asked = {"model": "bench", "input": "Hello there.", "voice": "alloy", "response_format": response_format}
    headers = {"Authorization": f"Bearer {place.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/audio/speech", json.dumps(asked), headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    assert response.read(1)
    came = time.monotonic()
    response.read()
    connection.close()
    upstream = http.client.HTTPConnection("127.0.0.1", place.stub, timeout=30)
    upstream.request("GET", "/first")
    return 1000 * (came - float(upstream.getresponse().read()))


def speeches(place: Gateway) -> Iterator[Figure]:
    """How much later than the provider's first byte ours leaves."""
    for name in ("pcm", "wav", "mp3", "opus"):
        first_byte(place, name)
        times = sorted(first_byte(place, name) for _ in range(SPEECHES))
        median = statistics.median(times)
        target = "< 5 ms" if name == "pcm" else ""
        good = median < 5 if target else None
        yield Figure(
            f"first byte of {name} after the provider's",
            f"{median:.2f} ms",
            f"worst {times[-1]:.1f} ms",
            None,
            target,
            good,
        )


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with gateways(folder) as place:
            yield from transcriptions(place, folder)
            yield from speeches(place)
