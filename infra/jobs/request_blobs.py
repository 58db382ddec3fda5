"""The large values of a job's request, and the samples of voices in it: in storage, so that no look at its row reads them.

Their place in the row says what the API shows of them. The object lies in the job's folder and goes when nobody will work for the
job again, or when that goes; until the job is there, an erasure waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from infra.database.clock import read_clock
from infra.database.erasures import erase
from infra.database.ids import new_id
from infra.database.tables.jobs import Job
from infra.jobs.transitions import Store
from infra.storage import ObjectStore
from pipeline.pricing import text_tokens

LARGE = 4096  # characters: what is longer leaves the row
SAMPLES, PROMPT = "known_speaker_references", "prompt"
MAY_BE_LARGE = (SAMPLES, PROMPT, "keywords")
SHOWN = 256  # characters of what has left, and of a list as many of its first members as fit in there
FORGOTTEN_SECONDS = 600.0  # after which blobs whose job was never made are erased


@dataclass(frozen=True)
class SplitRequest:
    """A request that is about to become the job `job_id`: what its row keeps, and what goes to storage at `key`."""

    job_id: str
    key: str
    kept: dict[str, Any]
    shown: dict[str, Any]
    data: bytes  # empty: nothing is large
    prompt_tokens: int = 0  # of a prompt that is among it

    @property
    def facts(self) -> dict[str, Any] | None:
        """As the job's row keeps them; what the prompt's tokens cost is asked for without the prompt."""
        if not self.data:
            return None
        return {"key": self.key, "bytes": len(self.data), "shown": self.shown, "prompt_tokens": self.prompt_tokens}


def split(request: Mapping[str, Any], account_id: str) -> SplitRequest:
    """Take the large values out of a request."""
    job_id = new_id("job")
    key = f"t/{account_id}/jobs/{job_id}/request.json"
    large = {name: request[name] for name in MAY_BE_LARGE if _leaves(name, request.get(name))}
    kept = {name: value for name, value in request.items() if name not in large}
    shown = {name: _heads(value) if name == SAMPLES else _beginning(value) for name, value in large.items()}
    data = json.dumps(large).encode() if large else b""
    return SplitRequest(job_id, key, kept, shown, data, text_tokens(large.get(PROMPT, "")))


def shown_request(job: Job) -> dict[str, Any]:
    """What was asked for, as it is shown: of its large values, which may be megabytes, the beginning."""
    if job.blobs:
        return {**job.request, **job.blobs["shown"]}
    samples = job.request.get(SAMPLES)  # a row of before holds them itself
    return {**job.request, SAMPLES: _heads(samples)} if samples else job.request


def _leaves(name: str, value: str | Sequence[str] | None) -> bool:
    """Voices do however short they are: they are not to outlive the work."""
    return _length(value) > (0 if name == SAMPLES else LARGE)


def _length(value: str | Sequence[str] | None) -> int:
    return len(value or "") if value is None or isinstance(value, str) else sum(map(len, value))


def _beginning(value: str | Sequence[str]) -> str | list[str]:
    if isinstance(value, str):
        return f"{value[:SHOWN]}…"
    ends = accumulate(map(len, value))
    return [*(one for one, end in zip(value, ends, strict=True) if end <= SHOWN), "…"]


def _heads(samples: Sequence[str]) -> list[str]:
    return [f"{url.partition(',')[0]},…" for url in samples]


def whole_request(storage: ObjectStore, job: Job) -> dict[str, Any]:
    """What was asked for, large values included. Raises InputMissing once they are deleted."""
    if not job.blobs:
        return job.request
    return {**job.request, **json.loads(storage.get(job.blobs["key"]))}


class RequestBlobs(Store):
    """expect_blobs."""

    def expect_blobs(self, key: str) -> None:
        """An object is about to be written for a job that is not there yet: erased later, unless the job is made."""
        with self._database.write() as session:
            erase(session, key, read_clock(session) + FORGOTTEN_SECONDS)
