"""Sound in MP4 whose table of times gives every frame the same length, which is that of its sound."""

from __future__ import annotations

from pipeline.audio.access.entry import Entry
from pipeline.audio.access.front_index import reordered
from pipeline.audio.duration.aac import FRAME_SAMPLES
from pipeline.audio.duration.mp4 import chunk_with, even_times
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.mp4_boxes import boxes
from pipeline.audio.step_budget import StepBudget

_MOST_BYTES = 64 * 2**20  # of an index; a day of AAC has some 30
_LOOKED_AT = 8 * 2**20  # bytes of sound that ffmpeg may look at before it goes anywhere
_BEFORE = 8  # frames before the one that it is sent to
_LENGTHS = {  # samples of a frame; of AAC twice as many where a finer band is added
    "aac": (FRAME_SAMPLES, 2 * FRAME_SAMPLES),
    "alac": (4096,),
    "mp3": (1152, 576),
    "ac3": (1536,),
    "amr_nb": (160,),
    "amr_wb": (320,),
    "opus": (480, 960, 1920, 2880),
}


def table_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | bool:
    """Of one track of sound beside any of pictures, not written in pieces: ffmpeg finds the place by itself. Where that track is
    the only one, what it does not look at on its way there is left out. Raises TooManySteps, ValueError, and what else garbage
    leads to."""
    outer = list(steps.over(boxes(window.read, at, window.size)))
    (index,) = [box for box in outer if box.name == b"moov"]
    if any(box.name == b"moof" for box in outer) or index.end - index.content > _MOST_BYTES:
        return False
    content = window.read(index.content, index.end - index.content)
    length, scale = even_times(content, steps, is_aac=sound.codec == "aac")
    lengths = (1,) if sound.codec.startswith("pcm_") else _LENGTHS.get(sound.codec, ())
    samples = length * sound.sample_rate // scale
    if sound.sample_rate % scale or samples not in lengths:
        return False
    place = chunk_with(content, max(0, latest // samples - _BEFORE), steps)
    behind = min(box.at for box in outer if box.name == b"mdat") + _LOOKED_AT
    if place is None or at + place <= behind:
        return True
    found = reordered(steps.counted(window.read), at, window.size, (behind, at + place))
    return Entry(tuple(found.spans(at, window.size)), window.size, None) if found else True
