"""Reading ffmpeg's log: the wording of several versions, and texts that a file put there."""

import pytest

from pipeline.audio.ffmpeg.log_parser import AudioStream, Log, channel_count

LOGS = {
    "9.0": (
        b"""[in#0 @ 0x1] some warning
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'fd:':
  Metadata:
    title           : a talk
  Duration: 00:00:05.00, start: -0.023000, bitrate: 23 kb/s
  Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), none, 320x240, 25 fps (default)
  Stream #0:1[0x2](eng): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, 5.1(side), fltp, 20 kb/s (default)
      Metadata:
        handler_name    : SoundHandler
Stream mapping:
  Stream #0:1 -> #0:0 (aac (native) -> pcm_s16le (native))
Output #0, s16le, to 'pipe:1':
  Stream #0:0: Audio: pcm_s16le, 16000 Hz, mono, s16, 256 kb/s
size=     105KiB time=00:00:03.34 bitrate= 256.0kbits/s speed= 491x\rsize= 110KiB\r
""",
        -0.023,
        AudioStream("aac", 44_100, 6, "eng", default=True),
    ),
    "4.2": (
        b"""Input #0, ogg, from 'file:/proc/self/fd/0':
  Duration: 00:00:05.00, start: 0.000000, bitrate: 70 kb/s
    Stream #0:0: Audio: opus, 48000 Hz, stereo, fltp
    Stream #0:1: Audio: vorbis, 8000 Hz, mono, fltp
Stream mapping:
""",
        0.0,
        AudioStream("opus", 48_000, 2),
    ),
    "unknown rate": (
        b"Input #0, aac, from 'fd:':\n  Duration: N/A, bitrate: N/A\n  Stream #0:0: Audio: aac, 0 channels, fltp\n",
        0.0,
        AudioStream("aac", 0, 0),
    ),
}


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("version", LOGS)
def test_facts_however_the_pipe_cuts_them(version: str, step: int) -> None:
    text, start, audio = LOGS[version]
    log = Log()
    for at in range(0, len(text), step):
        log.feed(text[at : at + step])
    log.close()
    assert (log.opened, log.start, log.sounds[0]) == (True, start, audio)


def test_lines_without_end_are_cut() -> None:
    log = Log()
    for _ in range(1000):
        log.feed(b"x" * 65_536)
    log.feed(b"\nsecond\n")
    assert [len(line) for line in log.last] == [1000, len("second")]
    for number in range(1000):
        log.feed(b"line %d\n" % number)
    assert len(log.last) == 40
    assert log.says("line 999")
    assert not log.says("line 900")


def test_bytes_that_are_no_text() -> None:
    log = Log()
    log.feed(b"Input #0, x\n  Duration: N/A, start: 1.5\n  Stream #0:0: Audio: \xff\xfe\n\xff\xff\n")
    assert log.sounds
    assert (log.start, log.sounds[0].sample_rate) == (1.5, 0)


@pytest.mark.parametrize(
    ("layout", "channels"),
    [
        ("mono", 1),
        ("stereo", 2),
        ("2.1", 3),
        ("quad(side)", 4),
        ("5.1(side)", 6),
        ("7.1(wide-side)", 8),
        ("7.1.4", 12),
        ("22.2", 24),
        ("3 channels (FL+FR+LFE)", 3),
        ("65535 channels", 65_535),
        ("ambisonic 1", 4),
        ("something new", 0),
    ],
)
def test_channel_layouts(layout: str, channels: int) -> None:
    assert channel_count(layout) == channels


@pytest.mark.parametrize("at", [2, 9, 11, 13])
def test_another_thread_may_speak_in_the_midst_of_a_line(at: int) -> None:
    """Of a recording of a second ffmpeg has read all before it tells what it makes: stereo was taken for mono, twice as long."""
    line = b"  Stream #0:0: Audio: pcm_s16le, 16000 Hz, stereo, s16, 512 kb/s\n"
    log = Log()
    log.feed(b"Output #0, s16le, to 'pipe:1':\n  Metadata:\n    title           : a\n")
    log.feed(b"                    : : Audio: pcm_s16le, mono\n")
    log.feed(line[:at] + b"EOF while reading input\n[in#0/matroska,webm @ 0x5] Terminating thread\n" + line[at:])
    assert log.channels == 2
