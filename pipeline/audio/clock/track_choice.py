"""Which of several sound tracks is heard when nobody says: the one that the file calls its default, as a player would. Unless it
cannot be decoded, or is digital silence for its first minute: then the first that is neither.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audio.clock.link_decoding import LinkDecoding
from pipeline.audio.clock.placement import Piece
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.errors import DamagedMedia, StenopoolError, UnsupportedMedia

_PATIENCE = 60.0  # seconds of silence
_SAMPLE_BYTES = 2

Open = Callable[[int], LinkDecoding]  # a track, from 0


@dataclass(frozen=True)
class Chosen:
    """The link as that track, its pieces from the beginning; `instead` says in words why it is not the one that was meant."""

    track: int
    link: LinkDecoding
    sound: AudioStream
    pieces: Iterator[Piece]
    instead: str = ""


def choose_track(open_track: Open, asked: int | None, rate: int) -> Chosen:
    """`asked` from 1. Raises what `LinkDecoding.begin` raises, of the track that was meant."""
    if asked is not None:
        return _chosen(open_track, asked - 1)
    first = open_track(0)
    try:
        sound = first.begin()
    except (UnsupportedMedia, DamagedMedia):
        if not first.sounds[1:]:
            raise
    else:
        if not first.sounds[1:]:
            return Chosen(0, first, sound, first.pieces())
    first.close()
    return _first_audible(open_track, _order(first.sounds), rate)


def _order(sounds: Sequence[AudioStream]) -> list[int]:
    return sorted(range(len(sounds)), key=lambda track: (not sounds[track].default, track))


def _chosen(open_track: Open, track: int, instead: str = "") -> Chosen:
    link = open_track(track)
    return Chosen(track, link, link.begin(), link.pieces(), instead)


def _first_audible(open_track: Open, order: Sequence[int], rate: int) -> Chosen:
    """The first in this order that can be decoded and is not silent; else the first that can be decoded."""
    silent: list[int] = []
    errors: list[StenopoolError] = []
    for track in order:
        try:
            chosen = _chosen(open_track, track, _instead(order[0], track, silent))
            heard, pieces = _probed(chosen.pieces, rate)
        except (UnsupportedMedia, DamagedMedia) as error:
            errors.append(error)
            continue
        if heard:
            return Chosen(track, chosen.link, chosen.sound, pieces, chosen.instead)
        chosen.link.close()
        silent.append(track)
    if not silent:
        raise errors[0]
    return _chosen(open_track, silent[0], _instead(order[0], silent[0], silent))


def _instead(meant: int, track: int, silent: Sequence[int]) -> str:
    if track == meant:
        return ""
    why = "is silent" if meant in silent else "cannot be decoded"
    return f"Audio track {meant + 1}, the file's default, {why}: audio track {track + 1} was heard instead."


def _probed(pieces: Iterator[Piece], rate: int) -> tuple[bool, Iterator[Piece]]:
    """Whether anything is heard in the first minute, and all pieces again."""
    kept, patience = list[Piece](), round(_PATIENCE * rate)
    for at, pcm in pieces:
        kept.append((at, pcm))
        if not is_silent(pcm[: _SAMPLE_BYTES * max(0, patience - at)]):  # to the sample, however the blocks are cut
            return True, itertools.chain(kept, pieces)
        if at + len(pcm) // _SAMPLE_BYTES >= patience:
            break
    return False, iter(kept)


def is_silent(pcm: bytes) -> bool:
    """Whether it is digital silence; a codec's rounding is none."""
    return not pcm.strip(b"\0") or int(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)).max()) <= 1
