"""Watch a job until its end: a bar for people, a line per change in a pipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.client import Client
from cli.output import remark, stderr
from pipeline.lifecycle import TERMINAL

ASK_AGAIN = 1.0  # seconds one question waits at the server; the answer comes at once when the job ends


def follow(client: Client, job_id: str) -> dict[str, Any]:
    """The job once it has ended, however it has ended."""
    console = stderr()
    if not console.is_terminal:
        return _until_the_end(client, job_id, _Lines())
    columns = (
        TextColumn("{task.description:<13}"),
        BarColumn(),
        TextColumn("{task.percentage:>5.1f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("waiting", total=100.0)
        return _until_the_end(
            client, job_id, lambda stage, percent: bar.update(task, description=stage, completed=percent)
        )


def _until_the_end(client: Client, job_id: str, show: Callable[[str, float], None]) -> dict[str, Any]:
    job = client.job(job_id)
    while True:
        show(job["progress"]["stage"], job["progress"]["percent"])
        if job["status"] in TERMINAL:
            return job
        job = client.job(job_id, wait=ASK_AGAIN)


class _Lines:
    """One line when the stage or the percentage has changed."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, stage: str, percent: float) -> None:
        line = f"  {percent:5.1f} %  {stage}"
        if line != self._last:
            remark(line)
        self._last = line
