"""What was asked of the command, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pipeline.options import DIARIZED

Layout = Literal["mirror", "adjacent", "flat"]
Order = Literal["name", "size", "mtime"]
Cutoff = Literal["hard", "soft"]
REPORT = "_report"


@dataclass(frozen=True)
class Hearing:
    """How recordings are heard. What stands here makes another hearing, and another price; how it is written does not."""

    model: str = "whisper-1"
    language: str | None = None
    diarized: bool = False

    def of_line(self, own: Mapping[str, Any]) -> Hearing:
        """The same with what a manifest's line says."""
        return Hearing(own.get("model") or self.model, own.get("language") or self.language, self.diarized)

    def key(self, digest: str) -> str:
        """One name for these bytes heard like this, wherever and whenever: `client_reference_id` of the job."""
        asked = json.dumps([digest, self.model, self.language, self.diarized])
        return sha256(asked.encode()).hexdigest()


@dataclass(frozen=True)
class Caps:
    """What all runs into one report may have together; None: no limit. Money in micro-dollars, sound in milliseconds."""

    cost_micro: int | None = None
    audio_ms: int | None = None
    files: int | None = None
    cutoff: Cutoff = "hard"

    @property
    def measured(self) -> bool:
        """Whether one has to know how long a recording is before it is sent."""
        return self.cost_micro is not None or self.audio_ms is not None


@dataclass(frozen=True)
class Plan:
    """Where outputs go and how, and what is done again."""

    output: Path
    report: Path
    formats: tuple[str, ...]
    hearing: Hearing
    layout: Layout = "mirror"
    suffix: str = ""
    checksum: bool = False
    force: bool = False
    retry_failed: bool = False
    order: Order = "name"
    concurrency: int = 1
    caps: Caps = Caps()
    wait: bool = True
    watch: bool = False

    @property
    def parts(self) -> Path:
        """Where outputs are written before they take their place."""
        return self.report / "parts"


def diarizes(formats: tuple[str, ...]) -> bool:
    """Whether somebody has to tell speakers apart for these formats."""
    return DIARIZED in formats
