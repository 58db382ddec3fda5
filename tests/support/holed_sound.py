"""Sounds with holes, damage and several tracks, over recordings that have none: they say of a sound what a decoder might find."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from pipeline.audio.findings import AudioTrack
from pipeline.cut.channel_chunks import Sound
from pipeline.cut.cutter import Chunk, CutProfile
from pipeline.cut.time_range import moved
from pipeline.transcript import SAMPLE_RATE, Caution, Gap, samples_to_ms

HOLE, DAMAGE = 61.5, 2.25  # seconds
TRACKS = (AudioTrack(1, "opus", 2, language="eng", title="Ann", default=True), AudioTrack(2, "aac", 1))
# Where a test puts a sound of its own.
PLACES = ("pipeline.run.Sound", "workers.steps.recording.Sound", "api.jobs.dry_run.Sound")


class HoledSound(Sound):
    """Begins `HOLE` seconds late, and ends with `DAMAGE` seconds that nobody can decode."""

    def chunks(self, profile: CutProfile) -> Generator[Chunk, None, None]:
        self.findings.tracks = TRACKS[:1]
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


class TrackedSound(Sound):
    """Each channel of the recording is a track by itself, when all of them are asked for."""

    def __init__(self, *args: Any, **asked: Any) -> None:
        self._all = asked.get("track") == "all"
        super().__init__(*args, **{**asked, "track": None, "separate": self._all or asked.get("separate")})

    def chunks(self, profile: CutProfile) -> Generator[Chunk, None, None]:
        self.findings.tracks = TRACKS
        for chunk in super().chunks(profile):
            span, channel = chunk.span, chunk.span.channel
            yield replace(chunk, span=replace(span, track=channel + 1, channel=None) if self._all else span)
