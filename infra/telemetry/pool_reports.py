"""What the children of a worker's pool have counted, added up in its main process, which is the one that listens.

A child sends what has grown since it last did, through a socket that it was born with. Nothing is written to any disk, nobody
else's children can be among them, and what a child has sent stays counted when it is replaced. One that is killed takes with it
what it counted in its last second.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from itertools import islice

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

GROWING = ("counter", "histogram")
AT_ONCE = 200  # samples in one datagram
LARGEST = 2**18  # bytes of one

Sample = tuple[str, tuple[tuple[str, str], ...]]  # its name and its labels


class PoolReports(Collector):
    """Made before the fork. `report` is for the children, everything else for the main process."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sent: dict[Sample, float] = {}
        self._families: dict[str, tuple[str, str]] = {}  # by name: type, what it is
        self._sums: dict[str, dict[Sample, float]] = {}
        self._lock = threading.Lock()

    def report(self, registry: CollectorRegistry) -> None:
        """Send what has grown. What the main process has no room for is sent the next time."""
        for family in registry.collect():
            grown = [
                (sample.name, dict(sample.labels), more)
                for sample in family.samples
                if family.type in GROWING and not sample.name.endswith("_created")
                if (more := sample.value - self._sent.get(_key(sample.name, sample.labels), 0.0))
            ]
            rest = iter(grown)
            while some := list(islice(rest, AT_ONCE)):
                told = json.dumps([family.name, family.type, family.documentation, some]).encode()
                try:
                    self._writer.send(told, socket.MSG_DONTWAIT)
                except OSError:  # it reads slower than we count, or is about to end
                    return
                for name, labels, more in some:
                    key = _key(name, labels)
                    self._sent[key] = self._sent.get(key, 0.0) + more

    def start(self) -> None:
        """Take what the children send, in a thread that keeps no process from ending. After the first fork: threads do not
        survive one."""
        threading.Thread(target=self._listen, name="pool reports", daemon=True).start()

    def collect(self) -> Iterator[Metric]:
        """What all children have counted, dead ones too."""
        with self._lock:
            found = [(name, *self._families[name], dict(sums)) for name, sums in self._sums.items()]
        for name, kind, documentation, sums in found:
            family = Metric(name, documentation, kind)
            for (sample, labels), value in sums.items():
                family.add_sample(sample, dict(labels), value)
            yield family

    def take(self, told: bytes) -> None:
        """One report."""
        name, kind, documentation, grown = json.loads(told)
        with self._lock:
            self._families[name] = (kind, documentation)
            sums = self._sums.setdefault(name, {})
            for sample, labels, more in grown:
                key = _key(sample, labels)
                sums[key] = sums.get(key, 0.0) + more

    def close(self) -> None:
        """Take no more, in the main process."""
        for end in (self._reader, self._writer):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _listen(self) -> None:
        while told := self._reader.recv(LARGEST):
            self.take(told)


def _key(name: str, labels: dict[str, str]) -> Sample:
    return name, tuple(sorted(labels.items()))
