"""A job's recording as that job hears it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.database.tables.uploads import Media
from pipeline.audio.access.remote import Remote
from pipeline.audio.playback.peaks import Peaks
from pipeline.cut.channel_chunks import Sound, Tap
from pipeline.cut.time_range import Part
from pipeline.errors import InputMissing
from pipeline.quality.omissions import clock_end, findings_as_dict, track_as_dict
from pipeline.transcript import samples_to_ms
from workers.job_context import JobContext


def media_of(context: JobContext) -> Media:
    """Its row. Raises InputMissing, NotFound."""
    if context.job.media_id is None:
        raise InputMissing()
    return context.services.media.get(context.job.account_id, context.job.media_id)


def sound_of(context: JobContext, source: Path | Remote, tap: Tap | None = None) -> Sound:
    """Between two blocks it looks whether the work is still ours; leaving the decoder's context kills ffmpeg."""
    options = context.options
    return Sound(
        source,
        part=_part(context),
        separate=options.separate,
        track=options.audio_track,
        max_seconds=context.services.settings.max_audio_seconds,
        watch=context.held.check,
        declared=options.raw,
        tap=tap,
    )


def facts_of(sound: Sound) -> dict[str, Any]:
    """What is known of it once its first chunk is there."""
    facts = sound.facts
    assert facts is not None
    return {
        "codec": facts.codec,
        "channels": facts.channels,
        "sample_rate": facts.sample_rate,
        "audio_tracks": [track_as_dict(track) for track in sound.findings.tracks],
    }


def findings_of(context: JobContext, sound: Sound, end: int) -> dict[str, Any]:
    """What is known of it once all its chunks are there, the last of which ends at the sample `end` of its clock.

    `duration` is that of the part that is heard, in seconds of the clock.
    """
    ms = clock_end(end, sound.findings) - samples_to_ms(_part(context).start)
    return {**facts_of(sound), "duration": ms / 1000, "findings": findings_as_dict(sound.findings)}


def kept_peaks(context: JobContext, peaks: Peaks) -> dict[str, Any]:
    """Stored, and how many bytes they are: where a job's input says that, there are some."""
    data = peaks.to_bytes()
    context.services.storage.put(context.peaks_key, data)
    return {"peaks": len(data)}


def _part(context: JobContext) -> Part:
    asked = context.job.request.get("range") or {}
    return Part.of_seconds(asked.get("start") or 0.0, asked.get("end"))
