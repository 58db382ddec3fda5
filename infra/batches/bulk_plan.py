"""What a bulk run does: which recordings, as what they are heard, and where what comes of them goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from infra.buckets.s3_path import S3Path
from infra.buckets.selection import Selection, stem_of
from infra.database.tables.batches import Batch
from infra.keys.tiers import LOW, NORMAL
from pipeline import formats

BULK = "bulk"
REPORT = "_report"  # the folder of everything that the next run needs to know of this one
SUFFIXES = {"verbose_json": ".verbose.json"}  # where a format's own would be another's
# What does not change what is heard.
BESIDE = frozenset(
    {
        "response_format",
        "timestamp_granularities",
        "priority",
        "max_cost",
        "complete_by",
        "retention_seconds",
        "timeout_seconds",
    }
)


class BulkPlan(BaseModel):
    """As the row keeps it."""

    model_config = ConfigDict(frozen=True)

    mode: Literal["prefix", "manifest", "list"]
    uri: str
    include: list[str] = []
    exclude: list[str] = []
    output: str
    layout: Literal["mirror", "adjacent", "flat"] = "mirror"
    formats: list[str]
    options: dict[str, Any]  # of each recording's job
    priority: int = LOW
    max_cost_micro: int | None = None
    spent_micro: int = 0  # by earlier runs, as their report says
    dry_run: bool = False
    force: bool = False
    retry_failed: bool = False

    @property
    def source(self) -> S3Path:
        """Where the recordings are, or the list of them."""
        return S3Path.parse(self.uri, param="input.uri")

    @property
    def target(self) -> S3Path:
        """Where the outputs go."""
        return S3Path.parse(self.output, param="output.uri").folder

    @property
    def selection(self) -> Selection:
        """Which of them are meant."""
        return Selection(self.include, self.exclude, within="input.")

    def report(self, name: str) -> S3Path:
        """Where a part of the report is."""
        return self.target.below(f"{REPORT}/{name}")

    def stem(self, source: str) -> str:
        """Where the outputs of a recording go, without their suffixes; relative to where they go at all."""
        bare = stem_of(source)
        return bare.rpartition("/")[2] if self.layout == "flat" else bare

    def place(self, stem: str, name: str) -> S3Path:
        """Where an output in this format goes."""
        suffix = SUFFIXES.get(name) or formats.load(name).extension
        return (self.source if self.layout == "adjacent" else self.target).below(stem + suffix)

    def shown(self, path: S3Path) -> str:
        """A place as the report tells it: relative to where the outputs go, if it is there."""
        return path.key.removeprefix(self.target.key) if self.target.holds(path) else path.uri


def plan_of(batch: Batch) -> BulkPlan:
    """The plan of a bulk run."""
    return BulkPlan.model_validate(batch.plan)


def asked_of(batch: Batch, plan: BulkPlan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a recording's job is asked for; its own line of the manifest goes before the options of all."""
    priority = max(NORMAL, plan.priority) if batch.raised_at is not None else plan.priority
    return {"priority": priority, **plan.options, **(facts.get("asked") or {}), "s3_uri": facts["uri"]}


def fingerprint_of(etag: str, size: int, options: Mapping[str, Any]) -> str:
    """The same for two recordings of the same bytes that are heard alike."""
    heard = {name: value for name, value in options.items() if name not in BESIDE}
    written = json.dumps([etag, size, heard], sort_keys=True, ensure_ascii=False)
    return sha256(written.encode()).hexdigest()[:40]
