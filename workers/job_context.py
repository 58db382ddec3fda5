"""One worker's turn at a job: what every step is given."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from infra.database.tables.jobs import Job
from infra.jobs.request_blobs import whole_request
from infra.leases import HeldLease
from infra.wiring import Services
from pipeline.errors import DatabaseUnavailable, StenopoolError
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.run import of_a_job


@dataclass(frozen=True)
class JobContext:
    """The services, the lease in hand, and the job's row as it was when claimed or last changed."""

    services: Services
    held: HeldLease
    job: Job
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since it was claimed."""
        return time.monotonic() - self.began

    @cached_property
    def options(self) -> TranscriptionOptions:
        """The request's options that a provider needs; the rest of it is the stores' and doors' business."""
        known = {name: value for name, value in self._request.items() if name in TranscriptionOptions.model_fields}
        options = TranscriptionOptions.model_validate({**known, "model": self.job.model, "task": self.job.task})
        return of_a_job(options, self.services.registry)

    @property
    def speech_options(self) -> SpeechOptions:
        """The same of a speech job, whose `input` is given passage by passage."""
        known = {name: value for name, value in self.job.request.items() if name in SpeechOptions.model_fields}
        return SpeechOptions.model_validate({**known, "model": self.job.model, "input": "…"})

    @cached_property
    def _request(self) -> dict[str, Any]:
        """With its large values, fetched once in a turn."""
        return whole_request(self.services.storage, self.job)

    def with_job(self, job: Job) -> Self:
        """The same turn after the row changed."""
        return replace(self, job=job)

    @property
    def folder(self) -> str:
        """Everything of the job in storage except its media."""
        return f"t/{self.job.account_id}/jobs/{self.job.id}"

    @property
    def sound_folder(self) -> str:
        """The samples of all its chunks."""
        return f"{self.folder}/sound"

    @property
    def peaks_key(self) -> str:
        """How loud it is along its clock: the same whichever attempt has decoded it."""
        return f"{self.folder}/peaks"

    @contextlib.contextmanager
    def kept(self, key: str) -> Iterator[None]:
        """Sound that its row does not come to name is not kept. A row that may be there after all keeps it."""
        try:
            yield
        except DatabaseUnavailable:
            raise
        except StenopoolError:
            with contextlib.suppress(StenopoolError):
                self.services.storage.delete(key)
            raise

    # An attempt never writes over what another one wrote; the rows name the winner.

    def sound_key(self, idx: int) -> str:
        """A chunk's samples, s16le mono 16 kHz, until it is heard."""
        return f"{self.sound_folder}/{self.held.lease.attempt}-{idx}.pcm"

    def text_key(self, idx: int) -> str:
        """A passage's text, until it is spoken."""
        return f"{self.sound_folder}/{self.held.lease.attempt}-{idx}.txt"

    @property
    def recital_folder(self) -> str:
        """The sound of all passages, until they are laid end to end."""
        return f"{self.folder}/spoken"

    def recital_key(self, mark: str, attempt: int) -> str:
        """A passage's sound, of the text of this mark; the lease in hand is the chunk's."""
        return f"{self.recital_folder}/{self.held.lease.idx}-{attempt}-{mark}.recital"

    def speech_key(self, name: str) -> str:
        """The whole text's sound in the format of this name."""
        return f"{self.folder}/speech-{self.held.lease.attempt}.{name}"

    def heard_key(self, mark: str, attempt: int) -> str:
        """A chunk's result, of the sound of this mark; the lease in hand is the chunk's."""
        return f"{self.folder}/heard/{self.held.lease.idx}-{attempt}-{mark}.json"

    @property
    def transcript_key(self) -> str:
        """The whole recording's result."""
        return f"{self.folder}/transcript-{self.held.lease.attempt}.json"
