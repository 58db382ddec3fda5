"""A WAV that goes on behind the end that its header tells, as a recorder leaves it that was switched off before it could say how
much it had written, or that counts no further than to 4 GiB.

What follows is heard where it is sound of the same kind: where its bytes change as those before it, each at its own place in a
sample. Players stop where the header says.
"""

from __future__ import annotations

import numpy as np

from pipeline.audio.containers.chunks import Read, chunks
from pipeline.audio.containers.table import WAV, Found
from pipeline.audio.linear.byte_changes import agree, are_alike, look
from pipeline.audio.linear.layout import LinearSamples, linear_samples


def told_too_short(read: Read, found: Found, end: int) -> float | None:
    """Of the WAV that is `found` in a file, and behind which nothing else is known up to `end`: at which second its header ends
    what goes on. None where it does not."""
    sound = linear_samples(read, found, end) if found.container is WAV else None
    if sound is None or sound.end >= end or not _goes_on(read, sound, end):
        return None
    is_followed = chunks(read, found.start, end, WAV).end > sound.end + 1  # by a chunk of whatever it may be
    return None if is_followed else (sound.end - sound.start) / sound.frame / sound.rate


def _goes_on(read: Read, sound: LinearSamples, end: int) -> bool:
    whole = sound.start + (sound.end - sound.start) // sound.frame * sound.frame
    before, behind = look(read, sound, sound.start, whole).changes, look(read, sound, whole, end).changes
    usual, turns = before.mean(axis=0) if len(before) else np.zeros(sound.width), range(1, sound.width)
    if not turns or not agree(before @ usual):
        return False
    scores = np.min([behind @ (usual - np.roll(usual, by)) for by in turns], axis=0)
    return agree(scores) and are_alike(before, behind, turns)
