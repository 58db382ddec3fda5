"""The baseline of `jobs`: a bare Celery app whose one task does nothing. `celery -A tests.benchmarks.noop worker`."""

import os

from celery import Celery

app = Celery("noop", broker=os.environ.get("NOOP_BROKER", "redis://"), set_as_current=False)
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)


@app.task(name="noop.note", shared=False)
def note(path: str, last: bool) -> None:
    """Do nothing; the last one leaves a file so that the sender knows."""
    if last:
        with open(path, "w", encoding="ascii"):  # noqa: PTH123 - the barest thing that works
            pass
