"""What people and scripts see while an archive is heard: a bar on a terminal, a line for each change in a pipe, or NDJSON."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cli.archive.audio_estimate import AudioEstimate
from cli.archive.journal import Journal, Row
from cli.archive.report import line_of
from cli.output import print_json, remark, stderr

NEWS_EVERY = 30.0  # seconds between two lines of progress in a pipe, while nothing else is told


class Counted:
    """How far a run is: `files` with so many bytes by ending."""

    def __init__(self, files: int, sizes: Mapping[str, int]) -> None:
        self.files, self.size, self._estimate = files, sum(sizes.values()), AudioEstimate(sizes)
        self.done = self.failed = self.done_bytes = 0
        self.audio_ms = self.new_ms = self.cost_micro = 0
        self._began = time.monotonic()

    def add(self, row: Row, line: dict[str, Any], *, new: bool) -> None:
        """One more has come to its end."""
        self.done, self.done_bytes = self.done + 1, self.done_bytes + row.size
        self.failed += row.state == "failed"
        heard = round((line["duration"] or 0) * 1000) if row.state == "completed" else 0
        self._estimate.heard(row.name, row.size, heard)
        self.audio_ms += heard
        self.new_ms += heard if new else 0
        self.cost_micro += round((line["cost"] or 0) * 1_000_000)

    @property
    def speed(self) -> float:
        """Minutes of sound a minute."""
        return self.new_ms / 1000 / max(0.001, time.monotonic() - self._began)

    @property
    def all_ms(self) -> int:
        """Of sound, as far as one can guess."""
        return self.audio_ms + self._estimate.left_ms

    @property
    def seconds_left(self) -> float | None:
        """None while nobody can know."""
        return self._estimate.left_ms / 1000 / self.speed if self.speed else None

    def told(self) -> dict[str, Any]:
        """For scripts."""
        left = self.seconds_left
        return {
            "event": "progress",
            "files": {"done": self.done, "total": self.files, "failed": self.failed},
            "audio_seconds": {"done": self.audio_ms / 1000, "total_guessed": self.all_ms / 1000},
            "audio_minutes_per_minute": round(self.speed, 1),
            "seconds_left": None if left is None else round(left),
            "cost_usd": self.cost_micro / 1_000_000,
        }

    def __str__(self) -> str:
        left = self.seconds_left
        return (
            f"{self.done} of {self.files} files, {_hours(self.audio_ms)} of about {_hours(self.all_ms)}, "
            f"{self.speed:.1f} min a minute, {'?' if left is None else _clock(left)} left, "
            f"{self.cost_micro / 1e6:.4f} USD, {self.failed} failed"
        )


class Display:
    """An `Audience`. Thread-safe."""

    def __init__(self, journal: Journal, *, as_json: bool) -> None:
        self._journal, self._as_json = journal, as_json
        self._console: Console = stderr()
        self._lock = threading.Lock()
        self._bar: tuple[Progress, TaskID] | None = None
        self._told_at = 0.0
        self._remarks: set[str] = set()
        self.counted = Counted(*journal.totals())

    @contextmanager
    def shown(self) -> Iterator[None]:
        """A bar meanwhile, where somebody sees it."""
        if self._as_json or not self._console.is_terminal:
            yield
            return
        with Progress(BarColumn(), TextColumn("{task.description}"), console=self._console, transient=True) as bar:
            self._bar = (bar, bar.add_task("", total=max(1, self.counted.size)))
            yield
        self._bar = None

    def ended(self, row: Row, *, new: bool = True) -> None:
        """A recording is completed, has failed, or was done already."""
        line = line_of(self._journal, row)
        with self._lock:
            self.counted.add(row, line, new=new)
            self._show(row, line, new=new)

    def remark(self, text: str) -> None:
        """Something that people should know now; the same is told once."""
        with self._lock:
            if text not in self._remarks:
                self._remarks.add(text)
                self._print(text)

    def _show(self, row: Row, line: dict[str, Any], *, new: bool) -> None:
        if self._as_json:
            print_json({"event": "file", "skipped": not new, **line})
            self._now_and_then(lambda: print_json(self.counted.told()))
        elif new:
            self._print(f"{self.counted.done}/{self.counted.files} {row.name}: {_said(line)}")
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, completed=self.counted.done_bytes, description=str(self.counted))
        elif not self._as_json:
            self._now_and_then(lambda: remark(str(self.counted)))

    def _now_and_then(self, tell: Any) -> None:
        now = time.monotonic()
        if now - self._told_at >= NEWS_EVERY:
            self._told_at = now
            tell()

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar[0].console.print(text, markup=False)
        else:
            remark(text)


def _said(line: dict[str, Any]) -> str:
    if line["state"] == "failed":
        return f"{line['error']['message']} [{line['error']['code']}]"
    cost = "" if line["cost"] is None else f", {line['cost']:g} USD"
    return f"{line['duration']:g} s{cost}"


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / 3_600_000:.2f} h"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
