"""The copy that browsers play is on the recording's clock, holes included; what they play themselves needs none."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import AudioFacts, decode
from pipeline.audio.playback.browser_copy import browser_copy, plays_everywhere
from pipeline.errors import MediaTooLong
from tests.pipeline.audio import sounds

PLAYED = {
    "pcm.wav", "float.wav", "lame.mp3", "tagless.mp3", "low.mp3", "music.m4a", "first.m4a", "voice.ogg", "vorbis.ogg",
    "voice.webm", "browser.webm", "vorbis.webm", "music.flac",
}  # fmt: skip


def test_what_browsers_play() -> None:
    played = set()
    for name, (told, _) in sounds.CONTAINERS.items():
        container, codec, channels, rate = told.split()
        facts = AudioFacts(container, codec, int(channels), int(rate))
        assert not plays_everywhere(facts, 2**32), "nor sizes above 32 bits"
        if plays_everywhere(facts, 1000):
            played.add(name)
    assert played == PLAYED


@pytest.fixture
def holed(tmp_path: Path) -> Path:
    """AIFF's samples in Matroska, a second of whose packets is missing."""
    original, path = tmp_path / "original.wav", tmp_path / "holed.mka"
    original.write_bytes(sounds.wav(sounds.tones(16_000).tobytes()))
    sounds.ffmpeg(
        "-i", original, "-af", "asetnsamples=160,aselect=not(between(t\\,1\\,1.99))", "-c:a", "pcm_s16le", path
    )
    return path


@pytest.mark.processes
def test_every_sound_is_where_it_is_in_the_recording(holed: Path, nothing_left: None) -> None:
    with decode(holed) as sound:
        places = [place for place, pcm in sound.pieces() if pcm]
    assert max(np.diff(places)) > 16_000, "there is a hole"
    copy = b"".join(browser_copy(holed))
    assert copy.startswith(b"OggS")
    with decode(copy) as sound:
        pcm = b"".join(sound)
        assert (sound.facts.container, sound.facts.codec, sound.facts.channels) == ("ogg", "opus", 1)
    assert sounds.heard(pcm) == pytest.approx([0.5, 2.5, 3.5], abs=0.005)
    assert len(pcm) / 32_000 == pytest.approx(sounds.SECONDS, abs=0.001)


@pytest.mark.processes
def test_a_clock_that_goes_on_for_too_long_is_given_up(holed: Path, nothing_left: None) -> None:
    with pytest.raises(MediaTooLong):
        list(browser_copy(holed, max_seconds=1.5))
