"""Opus in Ogg, whose pages state how many samples come before: up to a place, their packets have to agree to the sample."""

from __future__ import annotations

from pipeline.audio.containers.ogg_pages import UNKNOWN
from pipeline.audio.duration.ogg import OPUS_HEADERS, pages
from pipeline.audio.duration.opus_packets import RATE, packet_samples
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.step_budget import StepBudget


def opus_pages_reach(window: Window, at: int, _: AudioStream, seconds: float, steps: StepBudget) -> bool:
    """Of one stream that begins at the front of the file. Raises TooManySteps, ValueError."""
    counted = seen = 0
    for one, packets in pages(window.head, at, window.size, steps):
        for place, size in packets:
            seen += 1
            if seen > OPUS_HEADERS and size:
                head = window.head(place, min(size, 2)).ljust(2, b"\0")
                counted += packet_samples(head[0], head[1])
        if one.position not in (0, UNKNOWN) and one.position != counted:
            return False
        if counted >= seconds * RATE:
            return True
    return False
