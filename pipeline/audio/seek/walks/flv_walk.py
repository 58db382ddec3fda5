"""Flash video: tags of sound with times in milliseconds (Adobe Flash Video File Format 10.1, annex E)."""

from __future__ import annotations

from pipeline.audio.access.entry import Entry, Span
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.seek.walks.even_times import EvenTimes
from pipeline.audio.seek.walks.packet_sizes import LOOK, packet_sizes
from pipeline.audio.step_budget import StepBudget

_SOUND, _TOLD = 8, 18  # kinds of tags: sound, what is told of the film
_HEADER, _LENGTH_AGAIN = 11, 4  # bytes of a tag, before and behind its content
_AAC, _AAC_SETUP = 10, 0  # a format, and what its second byte says of the first tag
_MOST_HEAD = 64 * 1024


def flv_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """Of the only track of sound. Raises TooManySteps, ValueError, IndexError."""
    walk, sizes = EvenTimes(sound.sample_rate, latest), packet_sizes(sound)
    begin = at + int.from_bytes(window.head(at + 5, 4), "big") + _LENGTH_AGAIN
    head: list[Span] = [(at, begin)]
    at = begin
    while sizes and not walk.is_past:
        steps.take()
        tag = window.head(at, _HEADER + 2 + LOOK)
        if len(tag) < _HEADER + 2:
            return None
        length, end = int.from_bytes(tag[1:4], "big"), at + _HEADER + int.from_bytes(tag[1:4], "big") + _LENGTH_AGAIN
        is_aac = tag[_HEADER] >> 4 == _AAC
        if tag[0] == _TOLD or (tag[0] == _SOUND and is_aac and tag[_HEADER + 1] == _AAC_SETUP):
            head += [(at, end)] if not walk.counted and end - at < _MOST_HEAD else []
        elif tag[0] == _SOUND and length > 1 + is_aac:
            time = tag[7] << 24 | int.from_bytes(tag[4:7], "big")
            walk.take(time, sizes, tag[_HEADER + 1 + is_aac :], length - 1 - is_aac, at)
        at = end
    return Entry(tuple(head), *walk.last) if walk.last and walk.is_past else None
