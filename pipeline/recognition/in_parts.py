"""A chunk put to one who takes shorter ones: cut in silence once more, its parts heard one after the other.

Chunks are cut for the routes that a model has when its recording is prepared. Who answers in their place may want them shorter, and
a provider without times, whose text is laid over the sound, does wherever somebody reads times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.cut.cutter import CutProfile, Span, cut
from pipeline.stitch.stitcher import stitch
from pipeline.transcript import SAMPLE_RATE, Heard, samples_to_ms


def heard_in_parts(pcm: bytes, profile: CutProfile, hear: Callable[[bytes], Heard]) -> Heard:
    """What `hear` makes of s16le mono 16 kHz sound, given no more at once than the profile says. Raises what `hear` raises."""
    if len(pcm) // 2 <= round(profile.max_s * SAMPLE_RATE):
        return hear(pcm)
    parts = list(cut([pcm], profile))
    return as_one([(part.span, hear(part.pcm) if part.span.is_sent else Heard()) for part in parts])


def as_one(parts: Sequence[tuple[Span, Heard]], language: str | None = None) -> Heard:
    """The answers for the parts of a chunk as one for all of it; `language` is taken where they tell none."""
    whole = stitch(parts, duration=samples_to_ms(parts[-1][0].own_end))
    return Heard(
        segments=whole.segments,
        language=whole.language or language,
        model_used=whole.model_used,
        timed=all(part.timed for _, part in parts),
        languages=whole.languages,
        usage=whole.usage,
        logprobs=whole.logprobs,
    )
