"""A decoder that works and brings out nothing is told by what it has spent, never by the clock."""

from __future__ import annotations

import os

import pytest

from pipeline.audio.decode import decode
from pipeline.audio.ffmpeg import decoder_progress
from pipeline.audio.ffmpeg.decoder_progress import MOST_LINES, MOST_SECONDS, DecoderProgress, processor_seconds
from pipeline.errors import AudioStalled, StenopoolError

LINES = b"Corrupt bitstream\n" * 1000
EMPTY_FRAMES = b"#!AMR\n" + b"\x7c" * 400_000  # each whole, and none with sound in it


def test_complaints_without_a_sample_between_them_come_to_an_end() -> None:
    progress = DecoderProgress()
    for _ in range(MOST_LINES // 1000):
        progress.complained(LINES)
    with pytest.raises(AudioStalled):
        progress.complained(LINES)


def test_a_sample_makes_up_for_all_complaints_before_it() -> None:
    progress = DecoderProgress()
    for _ in range(10 * MOST_LINES // 1000):
        progress.complained(LINES)
        progress.moved()


def spends(monkeypatch: pytest.MonkeyPatch, each: float) -> DecoderProgress:
    """Looked at, it has spent `each` processor seconds more than at the look before."""
    totals = (each * nth for nth in range(10**6))
    monkeypatch.setattr(decoder_progress, "processor_seconds", lambda _pid: next(totals))
    monkeypatch.setattr(decoder_progress, "LOOK", 0.0)
    return DecoderProgress()


def test_work_without_a_sample_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = spends(monkeypatch, MOST_SECONDS / 4)
    for _ in range(5):
        progress.look(1)
    with pytest.raises(AudioStalled):
        progress.look(1)


def test_who_is_given_no_processor_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = spends(monkeypatch, 0.0)
    for _ in range(10_000):
        progress.look(1)


def test_what_a_process_has_spent() -> None:
    assert processor_seconds(os.getpid()) > 0
    assert processor_seconds(2**22 + 1) == 0


@pytest.mark.processes
def test_frames_without_sound_are_the_files_fault() -> None:
    with pytest.raises(AudioStalled) as caught, decode(EMPTY_FRAMES) as sound:
        list(sound)
    assert not caught.value.retryable


@pytest.mark.processes
@pytest.mark.parametrize(
    "head", [b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80\x00\xff\xfc", b"\x0b\x77\x00\x00\x00", b"#!AMR\n\x04"]
)
def test_no_repeated_head_is_our_fault(head: bytes) -> None:
    """Whatever comes of it, it is not told that trying again could help."""
    try:
        with decode((head * 100_000)[:300_000]) as sound:
            list(sound)
    except StenopoolError as error:
        assert not error.retryable, error
