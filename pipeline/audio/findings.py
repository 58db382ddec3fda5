"""What was found out about a recording while it was decoded, besides its samples: what is missing in it, what it offers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from pipeline.transcript import Caution, Gap


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One sound track of a file: its number from 1, and what the file says about it; 0 and "" where it says nothing."""

    number: int
    codec: str
    channels: int
    sample_rate: int = 0
    language: str = ""  # as in the file, mostly ISO 639-2
    title: str = ""
    default: bool = False


@dataclass
class Findings:
    """Grows while the recording is decoded. Times are in ms on the clock of the recording."""

    gaps: list[Gap] = field(default_factory=list)
    warnings: list[Caution] = field(default_factory=list)
    tracks: tuple[AudioTrack, ...] = ()

    def within(self, start: int, end: int | None) -> Findings:
        """What concerns a part of the recording."""
        last = math.inf if end is None else end
        gaps = [
            replace(gap, start=max(gap.start, start), end=gap.end if end is None else min(gap.end, end))
            for gap in self.gaps
            if gap.start < last and gap.end > start
        ]
        warnings = [caution for caution in self.warnings if caution.start <= last and caution.end >= start]
        return Findings(gaps, warnings, self.tracks)
