"""Why ffmpeg gave up: the file's fault, told so that its owner understands, or ours."""

from __future__ import annotations

import signal

from pipeline.audio.ffmpeg.arguments import MOST_TRACKS
from pipeline.audio.ffmpeg.log_parser import AudioStream, Log
from pipeline.errors import DamagedMedia, NoAudioTrack, SandboxFailed, StenopoolError, UnsupportedMedia

_RATES = range(4_000, 384_001)  # Hz; a second at 1 Hz would become 16,000 samples, each byte of input a megabyte
_MOST_CHANNELS = 8
_OVER_LIMITS = (signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ)
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
_NO_TRACK = "The file is damaged: its header describes no track that can be read. Send another copy."
_NOT_STARTED = (126, 127)  # as a shell and bubblewrap report it


def refuse_strange(track: AudioStream, tracks: int) -> None:
    """Raise UnsupportedMedia for sound that no recorder makes and that would cost a multiple of its size to read, DamagedMedia for
    what cannot be."""
    if track.codec == "none" or not track.codec:
        raise UnsupportedMedia("The sound's codec is unknown.")
    if track.sample_rate not in _RATES:
        found = f"The sample rate is {track.sample_rate} Hz; supported are {_RATES[0]} to {_RATES[-1]} Hz."
        raise UnsupportedMedia(found, sample_rate=track.sample_rate)
    if tracks >= MOST_TRACKS:  # ffmpeg would take what fits and leave out the rest without a word
        raise UnsupportedMedia(f"The file has more than {MOST_TRACKS - 1} tracks.", tracks=tracks)
    if not track.channels:
        raise DamagedMedia("The file is damaged: by its header the sound has 0 channels. Send another copy.")
    if track.channels > _MOST_CHANNELS:
        found = f"The sound has {track.channels} channels; supported are 1 to {_MOST_CHANNELS}."
        raise UnsupportedMedia(found, channels=track.channels)


def failure(log: Log, returncode: int | None, track: int = 0) -> StenopoolError:
    """The error for a run over one sound track, from 0, that ended badly, or that told nothing of its input."""
    cause = _signal(returncode)
    if returncode is None or returncode in _NOT_STARTED or cause in _OVER_LIMITS or log.says("Cannot allocate memory"):
        return SandboxFailed("ffmpeg could not read this within its limits.")
    if cause in _CRASHES or not log.opened:
        return SandboxFailed("The sandbox did not start.") if log.says("bwrap: ") else DamagedMedia()
    if not log.sounds:
        return NoAudioTrack() if log.tracks else DamagedMedia(_NO_TRACK)
    if log.says("not on whitelist", "Decoder not found", "no decoder found"):
        codec = log.sounds[min(track, len(log.sounds) - 1)].codec
        return UnsupportedMedia(f"The sound's codec, {codec}, is not supported.", codec=codec)
    return DamagedMedia()


def _signal(returncode: int | None) -> int:
    """The signal that ended it, 0 for none: our own child's is negative, bubblewrap's is reported as 128 more."""
    if returncode is None:
        return 0
    return -returncode if returncode < 0 else max(returncode - 128, 0)
