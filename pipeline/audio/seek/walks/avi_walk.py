"""AVI (Microsoft's RIFF, OpenDML 1.02): chunks of sound between those of pictures, counted by what they carry."""

from __future__ import annotations

from pipeline.audio.access.entry import Entry
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.joined.window import Window
from pipeline.audio.seek.walks.cut_frames import CutFrames
from pipeline.audio.seek.walks.packet_sizes import sample_bytes
from pipeline.audio.step_budget import StepBudget

_LISTS = (b"RIFF", b"LIST")
_HEADER, _LIST_HEADER = 8, 12  # bytes; a list's name follows its length
_STREAM, _SOUND = b"strh", b"auds"
_MOST_HEAD = 2**20


def avi_entry(window: Window, at: int, sound: AudioStream, latest: int, steps: StepBudget) -> Entry | None:
    """At a chunk that begins with a frame, or with a sample of PCM. Raises TooManySteps, ValueError, KeyError."""
    width = sample_bytes(sound.codec) * sound.channels
    frames = None if width else CutFrames(sound)
    begin, streams, mine, film, counted = at, 0, b"", 0, 0
    last: tuple[int, int] | None = None
    while counted <= latest:
        steps.take()
        head = window.head(at, _LIST_HEADER)
        if len(head) < _LIST_HEADER:
            return None
        name, length = head[:4], int.from_bytes(head[4:8], "little")
        if name in _LISTS:
            film = film or (at + _LIST_HEADER if head[8:] == b"movi" else 0)
            at += _LIST_HEADER
            continue
        if name == _STREAM:
            mine = mine or (b"%02dwb" % streams if head[8:] == _SOUND else b"")
            streams += 1
        elif film and name == mine and length:
            place = counted if frames is None else _taken(frames, window.read(at + _HEADER, length))
            if place is not None and place <= latest:
                last = (at, place)
            counted = counted + _samples(length, width) if frames is None else frames.counted
        at += _HEADER + length + length % 2
    return Entry(((begin, film),), *last) if last and film - begin < _MOST_HEAD else None


def _taken(frames: CutFrames, data: bytes) -> int | None:
    """How many samples come before these bytes, if they begin with a frame."""
    found = frames.take(data)
    return found[1] if found and not found[0] else None


def _samples(length: int, width: int) -> int:
    if length % width:
        raise ValueError
    return length // width
