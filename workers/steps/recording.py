"""A job's recording as that job hears it."""

from __future__ import annotations

from pathlib import Path

from pipeline.cut.channel_chunks import Sound
from pipeline.cut.time_range import Part
from workers.job_context import JobContext


def sound_of(context: JobContext, path: Path) -> Sound:
    """Between two blocks it looks whether the work is still ours; leaving the decoder's context kills ffmpeg."""
    asked = context.job.request.get("range") or {}
    return Sound(
        path,
        part=Part.of_seconds(asked.get("start") or 0.0, asked.get("end")),
        separate=context.job.request.get("channels") == "separate",
        max_seconds=context.services.settings.max_audio_seconds,
        watch=context.held.check,
        declared=context.options.raw,
    )
