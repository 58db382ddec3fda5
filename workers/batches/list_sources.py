"""A bulk run's recordings listed: each becomes a row before the first of them runs, and memory holds one page of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from infra.batches.batch_store import VALIDATING
from infra.batches.bulk_plan import REPORT, BulkPlan, asked_of, fingerprint_of, plan_of
from infra.batches.dialects import BatchLineError
from infra.batches.line_store import BROKEN, HEARD, WAITING
from infra.batches.source_store import KEPT
from infra.buckets.s3_path import S3Path
from infra.database.tables.batches import Batch
from infra.requests.preparing import job_fields
from infra.storage import Bucket, BucketObject
from infra.wiring import Services
from pipeline.errors import InputMissing, InvalidRequest, NotFound, StenopoolError
from workers.batches.earlier_report import EarlierReport, cost_of, earlier_report
from workers.batches.read_input import numbered_lines

MOST_SOURCES = 1_000_000
AT_ONCE = 500  # rows in one transaction
OPTIONS = ("model", "language", "task", "prompt")  # that a line of a manifest may say for itself


@dataclass(frozen=True)
class Source:
    """A recording that is wanted; `name` is relative to the input."""

    name: str
    path: S3Path
    found: BucketObject | None  # None: it is not there
    asked: dict[str, Any] = field(default_factory=dict)
    stem: str | None = None


def list_sources(services: Services, batch: Batch) -> None:
    """Raises LeaseLost, StorageUnavailable."""
    services.lines.forget(batch)
    plan = plan_of(batch)
    listing = _Listing(services, batch, plan)
    try:
        if not listing.run():
            return
        _name_outputs(services, batch, plan)
    except StenopoolError as error:
        if not isinstance(error, InvalidRequest | NotFound | InputMissing):
            raise
        services.lines.forget(batch)
        services.batches.refused(batch, [error_line(error)])
    else:
        services.batches.validated(batch, listing.total, listing.failed)


def error_line(error: StenopoolError) -> dict[str, Any]:
    """As a batch tells of what was wrong with its input."""
    return {"code": error.code, "line": error.details.get("line"), "message": error.message, "param": error.param}


def _name_outputs(services: Services, batch: Batch, plan: BulkPlan) -> None:
    if plan.mode != "prefix" and (twice := services.sources.first_twice(batch)) is not None:
        raise InvalidRequest(f"{twice[:200]!r} is listed twice.", param="input.uri")
    if plan.layout == "flat" and (stem := services.sources.equal_stem(batch)) is not None:
        told = f"Several recordings would have outputs called {stem[:200]!r}. Use the layout `mirror`."
        raise InvalidRequest(told, param="output.layout")
    services.sources.rename_equals(batch)


class _Listing:
    """One run's recordings on their way into rows."""

    def __init__(self, services: Services, batch: Batch, plan: BulkPlan) -> None:
        self._services, self._batch, self._plan = services, batch, plan
        self._n = 0
        self.total = self.failed = 0  # recordings that are wanted, and of them those that failed before

    def run(self) -> bool:
        """False where the run was cancelled meanwhile. Raises InvalidRequest, LeaseLost."""
        output = self._services.buckets.open(self._batch.account_id, self._plan.target, "write")
        with earlier_report(self._plan, output) as earlier:
            if not self._store(self._row(source, earlier) for source in self._sources()):
                return False
            self.total = self._n
            if not self.total:
                raise InvalidRequest("No recording matches.", param="input")
            if not self._store(self._kept_row(line) for line in earlier.unasked()):
                return False
            self._services.batches.spent_before(self._batch, earlier.spent_micro)
        return True

    def _store(self, rows: Iterable[dict[str, Any]]) -> bool:
        """False where the run was cancelled."""
        page: list[dict[str, Any]] = []
        for row in rows:
            self._n += 1
            page.append({"n": self._n, **row})
            if len(page) == AT_ONCE:
                self._services.sources.add(self._batch, page)
                page.clear()
                if self._services.batches.standing(self._batch) != VALIDATING:
                    return False
        self._services.sources.add(self._batch, page)
        return self._services.batches.standing(self._batch) == VALIDATING

    def _sources(self) -> Iterator[Source]:
        bucket = self._services.buckets.open(self._batch.account_id, self._plan.source, "read")
        wanted = _below(bucket, self._plan) if self._plan.mode == "prefix" else self._named(bucket)
        for number, source in enumerate(wanted):
            if number == MOST_SOURCES:
                raise InvalidRequest(f"A run has at most {MOST_SOURCES} recordings: split it.", param="input")
            yield source

    def _named(self, bucket: Bucket) -> Iterator[Source]:
        """Those of a list or a manifest; their places are looked at one by one. Raises InvalidRequest with `line`."""
        selection, plan = self._plan.selection, self._plan
        base = S3Path(plan.source.bucket, plan.source.key.rpartition("/")[0])
        with closing(bucket.blocks(plan.source.key)) as blocks:
            for number, line in _entries(plan, numbered_lines(blocks)):
                name = str(line.pop("source", "") or "")
                try:
                    path = S3Path.parse(name if name.startswith("s3://") else base.below(name).uri, param="source")
                    if not name or selection.leaves_out(name) or (plan.include and not selection.takes(name)):
                        continue
                    yield self._named_one(name.removeprefix("s3://"), path, line)
                except StenopoolError as error:
                    raise BatchLineError(error.message, line=number, param=error.param or "source") from error

    def _named_one(self, name: str, path: S3Path, line: dict[str, Any]) -> Source:
        asked = {option: line[option] for option in OPTIONS if line.get(option)}
        if asked:
            job_fields(self._services, {**self._plan.options, **asked, "s3_uri": path.uri})
        stem = line.get("output")
        if stem is not None:
            S3Path.parse(self._plan.target.below(str(stem)).uri, param="output")
        found = self._services.buckets.open(self._batch.account_id, path, "read").head(path.key)
        return Source(name, path, found, asked, None if stem is None else str(stem).lstrip("/"))

    def _row(self, source: Source, earlier: EarlierReport) -> dict[str, Any]:
        plan, found = self._plan, source.found
        facts: dict[str, Any] = {"uri": source.path.uri, "asked": source.asked, "cost_micro": 0, "attempts": 0}
        state, error, job_id = WAITING, None, None
        print_ = None
        if found is not None:
            options = {name: value for name, value in asked_of(self._batch, plan, facts).items() if name != "s3_uri"}
            print_ = fingerprint_of(found.etag, found.size, options)
            facts |= {"bytes": found.size, "etag": found.etag}
        if (known := earlier.take(source.path.uri)) is not None:
            facts["cost_micro"] = cost_of(known)
            if print_ is not None and not plan.force and known.get("fingerprint") == print_:
                state, error, job_id = self._known(known)
                facts |= _told_before(known)
                self.failed += state == BROKEN
        return {
            "custom_id": source.name,
            "state": state,
            "error": error,
            "job_id": job_id,
            "facts": facts,
            "fingerprint": print_,
            "stem": source.stem or plan.stem(source.name),
        }

    def _known(self, line: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None, str | None]:
        """How a recording of an earlier run stands in this one: heard; or failed by its own fault, which is not tried again."""
        error = line.get("error")
        if line.get("state") == "completed":
            return HEARD, None, line.get("job_id")
        if line.get("state") == "failed" and error and not error.get("retryable") and not self._plan.retry_failed:
            return BROKEN, error, line.get("job_id")
        return WAITING, None, None

    def _kept_row(self, line: dict[str, Any]) -> dict[str, Any]:
        nothing = {"error": None, "job_id": None, "fingerprint": None, "stem": None}
        return {"custom_id": line["source"], "state": KEPT, "facts": {"line": line}, **nothing}


def _told_before(line: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier run has learned and written; what it has cost was paid then."""
    told = {name: line.get(name) for name in ("sha256", "duration", "seconds", "attempts", "outputs", "duplicate_of")}
    return {**told, "earlier": True}


def _below(bucket: Bucket, plan: BulkPlan) -> Iterator[Source]:
    """All that is below the input, or the one recording that it names; never what an earlier run has written."""
    source, selection = plan.source, plan.selection
    if source.key and not source.key.endswith("/") and (one := bucket.head(source.key)) is not None:
        yield Source(source.key.rpartition("/")[2], source, one)
        return
    folder, report = source.folder, plan.target.below(f"{REPORT}/")
    for found in bucket.objects(folder.key):
        path, name = S3Path(source.bucket, found.key), found.key.removeprefix(folder.key)
        if found.key.endswith("/") or report.holds(path) or not selection.takes(name):
            continue
        yield Source(name, path, found)


def _entries(plan: BulkPlan, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of a list a name in each line; of a manifest a JSON object, or CSV with its names in the first line."""
    if plan.mode == "list":
        yield from ((number, {"source": _text(number, line).strip()}) for number, line in lines)
    elif plan.uri.lower().endswith(".csv"):
        names: list[str] | None = None
        for number, line in lines:
            cells = next(csv.reader([_text(number, line)]), [])
            if names is None:
                names = [cell.strip() for cell in cells]
            else:
                yield number, dict(zip(names, cells, strict=False))
    else:
        yield from ((number, _parsed(number, line)) for number, line in lines)


def _text(number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig").rstrip("\r")
    except ValueError as error:
        raise BatchLineError("The line is not UTF-8.", line=number, param="input.uri") from error


def _parsed(number: int, line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(_text(number, line))
    except ValueError as error:
        raise BatchLineError("The line is no JSON.", line=number, param="input.uri") from error
    if not isinstance(entry, dict):
        raise BatchLineError("A line is a JSON object with a `source`.", line=number, param="input.uri")
    return entry
