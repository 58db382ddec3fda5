"""Lists in the shape that SDKs page through: always `has_more`, the next page by `after=<last id>`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from infra.requests.number_bounds import EpochSeconds
from pipeline.errors import InvalidRequest
from pipeline.lifecycle import JobStatus
from pipeline.options import Task

MOST_IDS = 100  # jobs in one question


class JobQuery(BaseModel):
    """Which jobs, and in which order."""

    limit: int = Field(20, ge=1, le=100)
    after: str | None = Field(None, max_length=200, description="A job's id: what follows it.")
    before: str | None = Field(None, max_length=200, description="A job's id: what precedes it.")
    order: Literal["asc", "desc"] = "desc"
    status: JobStatus | None = None
    task: Task | None = None
    model: str | None = Field(None, max_length=200)
    client_reference_id: str | None = Field(None, max_length=255)
    client_reference_ids: str | None = Field(
        None,
        max_length=256 * MOST_IDS,
        description=f"At most {MOST_IDS} of them, by commas: the jobs that carry one of these.",
    )
    batch_id: str | None = Field(
        None, max_length=200, description="The jobs of this batch, which are listed nowhere else."
    )
    ids: str | None = Field(
        None,
        max_length=200 * MOST_IDS,
        description=f"At most {MOST_IDS} jobs' ids, by commas: only those, all on one page, those of batches too.",
    )
    include: Literal["transcript"] | None = Field(
        None,
        description="`transcript`: completed jobs of up to two minutes of sound have theirs in it, as in `full_json`.",
    )
    search: str | None = Field(
        None, max_length=200, description="What its id, its file's name, its URL or its client_reference_id holds."
    )
    created_after: EpochSeconds | None = None
    created_before: EpochSeconds | None = None

    def named(self) -> list[str] | None:
        """The jobs that are asked for by their ids, if any are. Raises InvalidRequest for too many."""
        return _parts(self.ids, "ids")

    def called(self) -> list[str] | None:
        """The same by what their caller calls them."""
        return _parts(self.client_reference_ids, "client_reference_ids")


def _parts(written: str | None, param: str) -> list[str] | None:
    if written is None:
        return None
    parts = list(dict.fromkeys(part.strip() for part in written.split(",") if part.strip()))
    if len(parts) > MOST_IDS:
        raise InvalidRequest(f"`{param}` names more than {MOST_IDS}; ask for the rest by itself.", param=param)
    return parts


def page(items: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """A list object with its cursors."""
    return {
        "object": "list",
        "data": items,
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }
