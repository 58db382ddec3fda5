"""A sound with a hole, damage and an early end, over a recording that has none: it says what a decoder might find."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from pipeline.audio.findings import AudioTrack
from pipeline.cut.channel_chunks import Sound
from pipeline.cut.cutter import Chunk, CutProfile
from pipeline.cut.time_range import moved
from pipeline.transcript import SAMPLE_RATE, Caution, Gap, samples_to_ms

HOLE, DAMAGE = 61.5, 2.25  # seconds
TRACK = AudioTrack(1, "opus", 2, language="eng", title="Ann", default=True)
# Where a test puts a sound of its own.
PLACES = ("pipeline.run.Sound", "workers.steps.recording.Sound", "api.jobs.dry_run.Sound")


class HoledSound(Sound):
    """Begins `HOLE` seconds late, and ends with `DAMAGE` seconds that nobody can decode."""

    def chunks(self, profile: CutProfile) -> Generator[Chunk, None, None]:
        self.findings.tracks = (TRACK,)
        hole, end = round(HOLE * SAMPLE_RATE), 0
        for chunk in super().chunks(profile):
            yield replace(chunk, span=moved(chunk.span, hole))
            end = max(end, hole + chunk.span.own_end)
        last, damaged = samples_to_ms(end), round(1000 * DAMAGE)
        self.findings.gaps += [
            Gap(0, samples_to_ms(hole), "hole", retryable=False),
            Gap(last, last + damaged, "undecodable", retryable=False, lost=True),
        ]
        self.findings.warnings.append(Caution("truncated", last, last + damaged, "The file ends early.", lost=True))
