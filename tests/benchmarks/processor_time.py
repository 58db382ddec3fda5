"""Processor time of running processes, as the kernel counts it."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_OWN_AND_REAPED = slice(
    11, 15
)  # among the fields behind the program's name in /proc/…/stat (proc(5) numbers them 14 to 17)


def processor_seconds(*pids: int) -> float:
    """Of these processes and of all that they have started; what has ended counts with whoever reaped it."""
    return sum(sum(_ticks(pid)) for root in pids for pid in _family(root)) / _TICKS


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def _ticks(pid: int) -> list[int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[_OWN_AND_REAPED]]
