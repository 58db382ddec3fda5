"""A link to a job's result for whoever holds it: of one format, until it expires, is revoked, or its job's results are gone.

Its signature is random, so that nobody makes one who has not been given one, and only its hash is kept. The links of a job are in
its row: what ends the job's results ends them.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from infra.database.ids import new_id
from infra.database.tables.jobs import Job

AUDIO = "audio"  # in place of a transcript's format: the sound itself


@dataclass(frozen=True)
class NewLink:
    """A link that was made this moment: its `path` is all that opens it, and is not kept."""

    id: str
    format: str
    path: str
    expires_at: float  # epoch seconds


def add_link(job: Job, shape: str | None, seconds: float, now: float) -> NewLink:
    """To a job that is locked, in the place of those that have expired. `shape`: a transcript's format, or AUDIO; None: the sound
    of a speech job, a transcript as the job's request said."""
    shape = shape or (AUDIO if job.task == "speech" else str(job.request.get("response_format") or "json"))
    link_id, signature, until = new_id("link"), secrets.token_urlsafe(32), now + seconds
    kept: dict[str, Any] = {"id": link_id, "format": shape, "expires_at": until, "hash": hashed(signature)}
    job.links = [*live_links(job, now), kept]
    return NewLink(link_id, shape, f"/v1/audio/jobs/{job.id}/links/{link_id}?signature={signature}", until)


def live_links(job: Job, now: float) -> list[dict[str, Any]]:
    """Those that have not expired."""
    return [link for link in job.links or () if link["expires_at"] > now]


def hashed(signature: str) -> str:
    """What is kept of it."""
    return hashlib.sha256(signature.encode("utf-8", "surrogatepass")).hexdigest()
