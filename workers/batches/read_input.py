"""A batch's input read line by line as it comes from storage: every line is a row before the first of them runs, or none runs.

What is remembered of all lines is a hash of each `custom_id`, and no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import blake2b
from typing import Any

from infra.batches.batch_store import VALIDATING
from infra.batches.dialects import BatchLineError, custom_id_of, request_of
from infra.database.tables.batches import Batch, BatchLine
from infra.requests.json_text import parsed
from infra.requests.preparing import job_fields
from infra.wiring import Services
from pipeline.errors import InputMissing, InvalidRequest, NotFound, StenopoolError

MOST_LINES = 50_000
MOST_BYTES = 8 * 1024**2  # of one line: the longest text to be spoken, escaped
MOST_ERRORS = 100  # that are told of one input
AT_ONCE = 200  # rows in one transaction


def read_input(services: Services, batch: Batch) -> None:
    """Validate the batch. Raises LeaseLost, StorageUnavailable."""
    reading = _Reading(services, batch)
    try:
        file = services.files.get(batch.account_id, batch.input_file_id)
        media = services.media.get(batch.account_id, file.media_id)
        with closing(services.storage.blocks(media.storage_key)) as blocks:
            if not reading.read(numbered_lines(blocks)):
                return
    except (NotFound, InputMissing):
        reading.errors.append(_error(None, InvalidRequest("The input file is gone.", param="input_file_id")))
    if reading.errors:
        services.lines.forget(batch)
        services.batches.refused(batch, reading.errors)
    else:
        services.batches.validated(batch, reading.total)


def numbered_lines(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line), empty ones left out, in the memory of one line. Raises BatchLineError with `line` for one that does
    not end."""
    held, number = bytearray(), 0
    for block in blocks:
        held += block
        *whole, rest = held.split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield number, bytes(line)
        held = rest
        if len(held) > MOST_BYTES:
            raise BatchLineError(f"The line has more than {MOST_BYTES} bytes.", line=number + 1)
    if held.strip():
        yield number + 1, bytes(held)


class _Reading:
    """One input on its way into rows."""

    def __init__(self, services: Services, batch: Batch) -> None:
        self._services, self._batch = services, batch
        self._seen: dict[bytes, int] = {}
        self._rows: list[BatchLine] = []
        self.errors: list[dict[str, Any]] = []
        self.total = 0

    def read(self, lines: Iterator[tuple[int, bytes]]) -> bool:
        """False where the batch was cancelled meanwhile. Raises LeaseLost."""
        try:
            for number, raw in lines:
                if len(self.errors) >= MOST_ERRORS or not self._take(number, raw):
                    break
                if len(self._rows) >= AT_ONCE and not self._store():
                    return False
        except BatchLineError as error:
            self.errors.append(_error(error.details["line"], error))
        if not self.total and not self.errors:
            self.errors.append(_error(None, BatchLineError("The input has no lines.", param="input_file_id")))
        return self._store()

    def _take(self, number: int, raw: bytes) -> bool:
        """Whether to go on."""
        if self.total >= MOST_LINES:
            self.errors.append(_error(number, BatchLineError(f"A batch has at most {MOST_LINES} lines.")))
            return False
        try:
            self._rows.append(self._row(number, raw))
        except StenopoolError as error:
            self.errors.append(_error(number, error))
        self.total += 1
        return True

    def _row(self, number: int, raw: bytes) -> BatchLine:
        line = parsed(raw)
        custom_id = custom_id_of(line)
        first = self._seen.setdefault(blake2b(custom_id.encode(), digest_size=16).digest(), number)
        if first != number:
            raise BatchLineError(f"custom_id {custom_id[:64]!r} is that of line {first} already.", param="custom_id")
        asked = request_of(line, self._batch.endpoint)
        job_fields(self._services, asked)
        request = json.dumps(asked, ensure_ascii=False, separators=(",", ":"))
        file_id = asked.get("file_id")
        return BatchLine(
            batch_id=self._batch.id, n=number, custom_id=custom_id, request=request, file_id=file_id, state="waiting"
        )

    def _store(self) -> bool:
        rows, self._rows = self._rows, []
        if rows and not self.errors:
            self._services.lines.add(self._batch, rows)
        return self._services.batches.standing(self._batch) == VALIDATING


def _error(line: int | None, error: StenopoolError) -> dict[str, Any]:
    return {"code": error.code, "line": line, "message": error.message, "param": error.param}
