"""Memory over 10,000 requests: what the API's process holds after 1,000 of them and after 11,000."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.benchmarks.gateway import Loader, form, gateways, loader, mp3
from tests.benchmarks.report import Figure

WARM = int(os.environ.get("GATEWAY_WARM", "1000"))
REQUESTS = int(os.environ.get("GATEWAY_REQUESTS", "10000"))
CONNECTIONS = 16
STEP_SECONDS = 5.0
MIB = 1024**2
POOLS = 32  # descriptors: 16 connections to the provider, and the database's, which are opened as requests happen to overlap
MOST_GROWTH = 8 * MIB  # allocators round; a leak of one kilobyte a request would be 10 MB


def answered(ask: Loader, port: int, count: int) -> tuple[int, int]:
    """(requests, failures) of at least `count` requests."""
    done = failed = 0
    while done < count:
        run = ask(port, CONNECTIONS, STEP_SECONDS)
        done, failed = done + run.requests, failed + run.failed
    return done, failed


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with gateways(folder) as place, loader(folder, form(mp3(folder)), place.key) as ask:
            process = psutil.Process(place.pid)
            warm, failed = answered(ask, place.ours, WARM)
            before, files = process.memory_info().rss, process.num_fds()
            started = time.monotonic()
            done, later = answered(ask, place.ours, REQUESTS)
            took = time.monotonic() - started
            after = process.memory_info().rss
            time.sleep(1)  # the last connections are being closed
            left = process.num_fds() - files
    title = f"resident memory after {warm} and {warm + done} requests ({done / took:.0f}/s)"
    growth = after - before
    yield Figure(title, f"+{growth / MIB:.1f} MiB", f"{before / MIB:.0f} MiB", None, "< 8 MiB", growth < MOST_GROWTH)
    yield Figure("descriptors more than before", str(left), f"{files}", None, f"<= {POOLS}", left <= POOLS)
    yield Figure("failed requests", str(failed + later), f"of {warm + done}", None, "0", failed + later == 0)
