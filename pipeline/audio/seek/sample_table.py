"""AAC in MP4 whose table of times gives every frame the same length, which is that of its sound."""

from __future__ import annotations

from pipeline.audio.duration.aac import FRAME_SAMPLES
from pipeline.audio.duration.mp4 import even_times
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.mp4_boxes import boxes
from pipeline.audio.step_budget import StepBudget

_MOST_BYTES = 64 * 2**20  # of an index; a day of AAC has some 30
_LENGTHS = (FRAME_SAMPLES, 2 * FRAME_SAMPLES)  # of a frame, the latter where a finer band is added


def has_even_times(window: Window, at: int, sound: AudioStream, _: float, steps: StepBudget) -> bool:
    """Of one track of sound beside any of pictures, not written in pieces. Raises TooManySteps, ValueError, and what else garbage
    leads to."""
    outer = list(steps.over(boxes(window.read, at, window.size)))
    (index,) = [box for box in outer if box.name == b"moov"]
    if any(box.name == b"moof" for box in outer) or index.end - index.content > _MOST_BYTES:
        return False
    length, scale = even_times(window.read(index.content, index.end - index.content), steps)
    return sound.sample_rate % scale == 0 and length * sound.sample_rate // scale in _LENGTHS
