"""M3 and M4: several tracks of which one is meant, channels that cancel each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tests.support.media_rows.material import (
    FILES,
    RATE,
    STEREO,
    A,
    B,
    Row,
    Said,
    Sound,
    both,
    encoded,
    ffmpeg,
    room,
    said_by_both,
    talker,
    wav,
)

OTHER, OPPOSITE = frozenset({"other_track"}), frozenset({"opposite_phase"})
ONE, TWO = talker(A)[1], talker(B)[1]
SILENCE = np.zeros(len(talker(A)[0]), "<i2")
PATIENCE = 60  # seconds that a track may be silent


def rows() -> Iterator[Row]:
    """All of them."""
    yield from _tracks()
    yield from _phases()


def _tracks() -> Iterator[Row]:
    talkers = (talker(A)[0], talker(B)[0])
    for name, late in (("mkv", 0), ("mp4", 0), ("webm", 0), ("ts", 64), ("mpg", 30)):
        make = partial(_multiplexed, sounds=(SILENCE, talker(B)[0]), name=name)
        yield Row(f"M3 {name}, the first silent", make, TWO, late, warnings=OTHER)
    for name in ("mkv", "mp4"):
        make = partial(
            _multiplexed, sounds=talkers, name=name, options=("-disposition:a:0", 0, "-disposition:a:1", "default")
        )
        yield Row(f"M3 {name}, the second is the default", make, TWO)
    unknown = partial(_multiplexed, sounds=talkers, name="mkv", options=("-c:a:0", "tta"))
    yield Row("M3 mkv, the first of a codec that is not taken", unknown, TWO, warnings=OTHER)
    long = np.concatenate([np.zeros(RATE * PATIENCE + RATE, "<i2"), talker(A)[0]])
    patient = partial(
        _multiplexed, sounds=(long, np.concatenate([talker(B)[0], room(61)])), name="mkv", options=("-c:a", "flac")
    )
    yield Row("M3 mkv, the first silent for a minute", patient, TWO, warnings=OTHER)
    for name in ("mkv", "mp4", "ts"):
        make = partial(_multiplexed, sounds=talkers, name=name)
        yield Row(f"M3 {name}, the first of two", make, ONE, FILES[name][1])
        yield Row(f"M3 {name}, the second", make, TWO, FILES[name][1], fields={"audio_track": "2"})
        yield Row(f"M3 {name}, all", make, ONE + TWO, FILES[name][1], fields={"audio_track": "all"}, layers=2)
    yield from _tracks_by_channels()


def _tracks_by_channels() -> Iterator[Row]:
    """The first of one channel, the second of two, each by itself."""
    by_itself = {"channels": "separate"}
    make = partial(_multiplexed, sounds=((talker(A)[0],), (talker(B)[0], talker(A)[0])))
    said, fields = ONE + TWO + ONE, {"audio_track": "all", **by_itself}
    yield Row("M3 mkv, all, each channel", partial(make, name="mkv"), said, fields=fields, layers=3)
    second = {"audio_track": "2", **by_itself}
    yield Row("M3 mp4, the second, each channel", partial(make, name="mp4"), TWO + ONE, fields=second, layers=2)


def _multiplexed(
    folder: Path, sounds: Sequence[Sound | tuple[Sound, ...]], name: str, options: tuple[object, ...] = ()
) -> bytes:
    inputs: list[object] = []
    for number, sound in enumerate(sounds):
        (folder / f"{number}.wav").write_bytes(wav(*sound) if isinstance(sound, tuple) else wav(sound))
        inputs += ["-i", f"{number}.wav"]
    maps = [part for number in range(len(sounds)) for part in ("-map", number)]
    ffmpeg(folder, *inputs, *maps, *FILES[name][0], *options, f"tracks.{name}")
    return (folder / f"tracks.{name}").read_bytes()


def _phases() -> Iterator[Row]:
    whole = both()
    by_turns = np.where(np.arange(len(whole)) // (2 * RATE) % 2, -1, 1) * whole
    for name in STEREO:
        yield _stereo(name, "opposite phase", whole, -whole.astype(int), OPPOSITE)
    yield Row("M4 3gp of aac, opposite phase", _phone_in_opposite_phase, said_by_both(), warnings=OPPOSITE)
    for name in ("wav", "mp3", "m4a", "ogg", "ts"):
        yield _stereo(name, "opposite phase by turns", whole, by_turns, OPPOSITE)
        yield _stereo(name, "half of it in opposite phase", whole, -0.5 * whole, OPPOSITE)
    for count, microphone in ((3, 2), (6, 3), (6, 5)):
        sounds = [whole if number == microphone else np.zeros(len(whole), "<i2") for number in range(count)]
        make = partial(encoded, sound=wav(*sounds), name="a.wav")
        yield Row(f"M4 wav, of {count} microphones number {microphone + 1}", make, said_by_both())
    left = np.concatenate([talker(A)[0], room(), SILENCE])
    right = np.concatenate([SILENCE, room()[::-1], talker(B)[0]])
    for name in ("wav", "mp3", "flac", "webm"):
        yield _stereo(name, "one left, one right", left, right)
        yield _stereo(name, "one left, one right, each channel", left, right, fields={"channels": "separate"})
        opposite = {"fields": {"channels": "separate"}, "said": said_by_both() + said_by_both()}
        yield _stereo(name, "opposite phase, each channel", whole, -whole.astype(int), **opposite)
    at_once = {"fields": {"channels": "separate"}, "said": ONE + TWO}
    yield _stereo("wav", "both at once, each channel", talker(A)[0], talker(B)[0], **at_once)


def _phone_in_opposite_phase(folder: Path) -> bytes:
    """Its usual codec has one channel alone."""
    return encoded(folder, wav(both(), -both().astype(int)), "a.3gp", "-c:a", "aac", "-ar", RATE, "-ac", 2)


def _stereo(
    name: str,
    how: str,
    left: Sound,
    right: Sound,
    warnings: frozenset[str] = frozenset(),
    *,
    fields: dict[str, str] | None = None,
    said: Said | None = None,
) -> Row:
    make = partial(encoded, sound=wav(left, right), name=f"a.{name}")
    return Row(
        f"M4 {name}, {how}",
        make,
        said or said_by_both(),
        FILES[name][1],
        warnings=warnings,
        fields=fields or {},
        layers=2 if fields else 1,
    )
