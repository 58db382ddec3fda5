"""What /v1/audio/bulk takes and shows."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from infra.batches.batch_store import CANCELLED, CANCELLING, FINALIZING, IN_PROGRESS, VALIDATING
from infra.batches.bulk_plan import BulkPlan, plan_of
from infra.buckets.selection import MOST_PATTERNS
from infra.database.tables.batches import Batch
from infra.keys.tiers import LOW
from infra.requests.audio_options import Lenient, Many, Unset
from infra.requests.job_object import CURRENCY, epoch
from infra.requests.job_request import LEVEL, JobFields, Key, Value, WebhookFields, level
from infra.requests.number_bounds import EpochSeconds
from infra.webhooks.outbox import BULK_EVENTS
from pipeline import formats
from pipeline.money import MICRO, MOST_USD, usd

MOVES = ("in_progress_at", "completed_at", "failed_at", "cancelling_at", "cancelled_at")
SHOWN = {VALIDATING: "queued", IN_PROGRESS: "in_progress", CANCELLING: "in_progress", FINALIZING: "in_progress"}
ENDED = ("completed", CANCELLED)
NOT_OPTIONS = (
    "input",
    "output",
    "webhook",
    "metadata",
    "max_cost",
    "complete_by",
    "priority",
    "dry_run",
    "force",
    "retry_failed",
)
NOT_OF_A_RUN = ("url", "headers", "file_id", "upload_id", "s3_uri")  # its recordings come from the bucket
Uri = Annotated[str, Field(min_length=1, max_length=2048)]
FormatName = Annotated[str, Field(max_length=50)]
PatternText = Annotated[str, Field(max_length=256)]


class BulkInput(Lenient):
    """Which recordings."""

    mode: Literal["prefix", "manifest", "list"] = Field("prefix", description="What `uri` is.")
    uri: Uri = Field(description="`s3://bucket/prefix/`, or the object that lists them.")
    include: list[PatternText] = Field(
        [], max_length=MOST_PATTERNS, description="Only these; `*` and `**` as in rclone."
    )
    exclude: list[PatternText] = Field([], max_length=MOST_PATTERNS, description="All but these.")


class BulkOutput(Lenient):
    """Where what comes of them goes."""

    uri: Uri = Field(description="`s3://bucket/prefix/`, for the report, and the outputs unless they are `adjacent`.")
    layout: Literal["mirror", "adjacent", "flat"] = Field(
        "mirror", description="As the input, beside it, or in one folder."
    )
    formats: list[FormatName] = Field(["srt"], min_length=1, max_length=10, description=", ".join(formats.names()))

    @field_validator("formats")
    @classmethod
    def _formats(cls, value: list[str]) -> list[str]:
        for name in value:
            formats.load(name)
        return list(dict.fromkeys(value))


class BulkWebhook(WebhookFields):
    """Where to tell that the run has ended."""

    events: Annotated[list[str] | None, Many()] = Field(
        None, max_length=50, description=f"Default: all of {', '.join(BULK_EVENTS)}."
    )

    @field_validator("events")
    @classmethod
    def _events(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            if name not in BULK_EVENTS:
                raise ValueError(f"There is no such event type. Offered: {', '.join(BULK_EVENTS)}.")
        return list(dict.fromkeys(value)) if value else value


class BulkFields(Lenient):
    """What POST /v1/audio/bulk takes besides the options of its jobs, which stand beside these."""

    model: str = Field(
        min_length=1, max_length=200, description="And what else a recording's job takes, such as `language`."
    )
    input: BulkInput
    output: BulkOutput
    max_cost: Annotated[float | None, Unset] = Field(
        None, ge=0.0, le=MOST_USD, allow_inf_nan=False, description="USD, of all runs with this output together."
    )
    complete_by: Annotated[EpochSeconds | None, Unset] = Field(None, description="As a job's.")
    priority: Annotated[int | None, BeforeValidator(level), WithJsonSchema(LEVEL), Unset] = Field(
        None, ge=-10, le=10, description="As a job's; low unless it is said."
    )
    dry_run: bool = Field(False, description="Only estimate; nothing is heard or written.")
    force: bool = Field(False, description="Hear all anew, whatever was done before.")
    retry_failed: bool = Field(False, description="Try again what an earlier run says has failed by its own fault.")
    webhook: BulkWebhook | None = None
    metadata: Annotated[dict[Key, Value] | None, Field(max_length=16)] = None

    def plan(self, options: JobFields) -> BulkPlan:
        """As the run's row keeps it; the jobs' own options were checked."""
        return BulkPlan(
            mode=self.input.mode,
            uri=self.input.uri,
            include=self.input.include,
            exclude=self.input.exclude,
            output=self.output.uri.rstrip("/") + "/",
            layout=self.output.layout,
            formats=self.output.formats,
            options=options.request(),
            priority=LOW if self.priority is None else self.priority,
            max_cost_micro=None if self.max_cost is None else int(Decimal(repr(self.max_cost)) * MICRO),
            dry_run=self.dry_run,
            force=self.force,
            retry_failed=self.retry_failed,
        )


class SourceQuery(Lenient):
    """Which of a run's recordings to list."""

    limit: int = Field(100, ge=1, le=1000)
    after: int = Field(0, ge=0, le=2**31 - 1, description="The `n` of the last one of the page before.")
    state: Literal["queued", "processing", "completed", "failed", "not_started"] | None = Field(
        None, description="Only these."
    )


def job_options(given: dict[str, Any]) -> dict[str, Any]:
    """What of a request is about the jobs of its recordings."""
    return {name: value for name, value in given.items() if name not in NOT_OPTIONS}


def bulk_object(batch: Batch, *, secret: str | None = None) -> dict[str, Any]:
    """A run; the webhook's `secret` only if we made it, and only once."""
    plan = plan_of(batch)
    status = SHOWN.get(batch.status, batch.status)
    return {
        "id": batch.id,
        "object": "audio.bulk",
        "status": status,
        "created_at": epoch(batch.created_at),
        **{name: epoch(getattr(batch, name)) for name in MOVES},
        "input": {"mode": plan.mode, "uri": plan.uri, "include": plan.include, "exclude": plan.exclude},
        "output": {"uri": plan.output, "layout": plan.layout, "formats": plan.formats},
        "request": plan.options,
        "priority": plan.priority,
        "complete_by": epoch(batch.complete_by),
        "max_cost": None if plan.max_cost_micro is None else usd(plan.max_cost_micro),
        "dry_run": plan.dry_run,
        "counts": {
            "total": batch.total,
            "completed": batch.completed,
            "skipped": batch.skipped,
            "failed": batch.failed,
        },
        "audio_seconds": batch.audio_ms / 1000,
        "hours": round(batch.audio_ms / 3_600_000, 4),
        "partial": status in ENDED and not plan.dry_run and batch.completed < batch.total,
        "estimate": _estimate(batch),
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "waiting": batch.waiting and {name: batch.waiting.get(name) for name in ("code", "message", "param")},
        "cost": {"currency": CURRENCY, "captured": usd(batch.captured_micro)},
        "usage": {"type": "duration", "seconds": batch.audio_ms / 1000},
        "metadata": batch.meta,
        "webhook": _webhook(batch, secret),
    }


def _webhook(batch: Batch, secret: str | None) -> dict[str, Any] | None:
    if batch.webhook_url is None:
        return None
    return {"url": batch.webhook_url, **({"secret": secret} if secret else {})}


def _estimate(batch: Batch) -> dict[str, Any] | None:
    """Of a dry run; `unknown` are recordings whose beginning does not tell how long they are."""
    if batch.estimate is None:
        return None
    found = {
        name: int(batch.estimate.get(name, 0)) for name in ("files", "skipped", "duplicates", "unusable", "unknown")
    }
    ms, micro = int(batch.estimate.get("audio_ms", 0)), int(batch.estimate.get("cost_micro", 0))
    return {**found, "audio_seconds": ms / 1000, "cost": usd(micro)}
