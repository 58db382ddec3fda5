"""A batch's output and error file, written line by line into storage; they and the batch's end are one commit."""

from __future__ import annotations

import time
from contextlib import suppress

from infra.database.tables.batches import Batch
from infra.database.tables.uploads import Media
from infra.storage import ObjectWriter
from infra.wiring import Services
from pipeline.errors import StenopoolError
from workers.batches.answers import output_line

SIGN_OF_LIFE = 10.0  # seconds


def write_output(services: Services, batch: Batch) -> None:
    """Raises LeaseLost, StorageUnavailable, StorageFull, LimitExceeded where the account has no room for it."""
    answers, failures = _Output(services, batch, "output"), _Output(services, batch, "error")
    try:
        told = time.monotonic()
        for line, job in services.lines.written(batch):
            well, data = output_line(batch, line, job, services.storage)
            (answers if well else failures).write(data)
            if time.monotonic() - told > SIGN_OF_LIFE:
                services.batches.standing(batch)
                answers.touch()
                failures.touch()
                told = time.monotonic()
        services.batches.finished(batch, answers.finish(), failures.finish())
    except BaseException:
        answers.abort()
        failures.abort()
        raise


class _Output:
    """One of the two files; it begins with its first line."""

    def __init__(self, services: Services, batch: Batch, kind: str) -> None:
        self._services, self._batch, self._kind = services, batch, kind
        self._media: Media | None = None
        self._writer: ObjectWriter | None = None

    def write(self, data: bytes) -> None:
        if self._writer is None:
            name = f"{self._batch.id}_{self._kind}.jsonl"
            self._media = self._services.media.begin(self._batch.account_id, name)
            self._writer = self._services.storage.writer(self._media.storage_key)
        self._writer.write(data)

    def touch(self) -> None:
        """Say that it is still being written."""
        if self._media is not None:
            self._services.media.touch(self._media.id)

    def finish(self) -> Media | None:
        """The stored media; None where there was no line."""
        if self._media is None or self._writer is None:
            return None
        self._writer.commit()
        self._media = self._services.media.stored(self._media.id, self._writer.bytes, self._writer.sha256)
        return self._media

    def abort(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.abort()
        if self._media is not None:
            with suppress(StenopoolError):
                self._services.media.give_up(self._media.id)
