"""Voices told apart on this machine: asked chunk by chunk how they sound, and once, when all are known, whose each is.

The model lives in an engine process (pipeline/engines). Of the sound nothing is kept but the vectors.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cut.cutter import Chunk, Span
from pipeline.engines.engine_placement import Engines
from pipeline.engines.engine_protocol import Engine, EngineSpec
from pipeline.engines.pace import Paces
from pipeline.errors import ProviderError
from pipeline.options import TranscriptionOptions
from pipeline.speakers.excerpts import Stretch, excerpts, sample_of
from pipeline.speakers.mixed_voices import LONG, mixed, pieces
from pipeline.speakers.turn_taking import Turn
from pipeline.transcript import SAMPLE_RATE, Heard, Voiceprints

NAME = "speakers"
PACE = 0.04  # seconds of work for a second of sound, on two processors
_TIMEOUT_S = 120.0  # for a piece of some 20 s, the first one with loading the model
_COMPARE_S = 600.0  # for all windows of a recording of 24 hours
_TOGETHER = 4  # pieces in a turn
_THREADS = 2
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Course:
    """Who speaks when in a recording, and which sample each speaker's is: -1 for none."""

    turns: tuple[Turn, ...]
    names: tuple[int, ...]


class Diarizer:
    """Callable from any thread."""

    def __init__(self, engine: Engine, paces: Paces) -> None:
        self._engine, self._paces = engine, paces

    def voiceprints(self, pcm: bytes, span: Span) -> Voiceprints:
        """Of whoever speaks in a chunk. Raises EngineLost, ProviderBusy, ProviderError, and what stops the work."""
        given = list(excerpts(pcm, span))
        asked = [
            {
                "pcm": one.pcm,
                "windows": [[start - one.places[0][0], end - one.places[0][0]] for start, end in one.places],
            }
            for one in given
        ]
        costs = [len(one.pcm) / 2 / SAMPLE_RATE for one in given]
        began = time.monotonic()
        vectors = b"".join(self._engine.each("measure", asked, together=_TOGETHER, timeout=_TIMEOUT_S, costs=costs))
        places = tuple(place for one in given for place in one.places)
        crowd = self._mixed(pcm, span, places) if places else ()
        self._paces.note(NAME, len(pcm) / 2 / SAMPLE_RATE * 1000, time.monotonic() - began)
        return Voiceprints(places, base64.b64encode(vectors).decode(), crowd)

    def _mixed(self, pcm: bytes, span: Span, places: Sequence[Stretch]) -> tuple[int, ...]:
        """The numbers of the places in which more than one speaks, where the second network is there to tell."""
        given = list(pieces(pcm))
        sounds, costs = [sound for _, sound in given], [LONG / SAMPLE_RATE] * len(given)
        heard = list(self._engine.each("segment", sounds, together=_TOGETHER, timeout=_TIMEOUT_S, costs=costs))
        if not all(heard):
            return ()
        own = [(sample_of(start, span), sample_of(end - 1, span) + 1) for start, end in places]
        return tuple(mixed(own, [(start, classes) for (start, _), classes in zip(given, heard, strict=True)]))

    def course(
        self,
        prints: Sequence[Voiceprints],
        stretches: Sequence[Stretch],
        *,
        count: int | None = None,
        samples: Sequence[Voiceprints] = (),
    ) -> Course:
        """Whose each stretch is, from the prints of all chunks in order. `samples` are those of speakers with names.

        Raises as `voiceprints`.
        """
        places = [place for one in prints for place in one.places]
        answer = self._engine.call(
            "compare",
            {"places": _whole(places), "vectors": b"".join(map(_vectors, prints)), "mixed": _mixed_of(prints)},
            _whole(stretches),
            count,
            [_vectors(one) for one in samples],
            timeout=_COMPARE_S,
        )
        return Course(tuple(_turns(answer)), tuple(answer["names"]))

    def warm(self) -> bool:
        """Have the model loaded; whether its second network is there, too. Raises as `voiceprints`."""
        return bool(self._engine.call("warm", timeout=_TIMEOUT_S))

    def close(self) -> None:
        """Let go of the engine."""
        self._engine.close()


def with_voiceprints(heard: Heard, chunk: Chunk, options: TranscriptionOptions, diarizer: Diarizer | None) -> Heard:
    """The answer with its chunk's voices, where they are wanted. What fails here is told when all is heard, and asked of nobody
    again: the answer may have been paid for."""
    alone = (chunk.span.left_edge, chunk.span.right_edge) == ("start", "end")
    told = alone and any(segment.speaker for segment in heard.segments)
    if diarizer is None or told or not options.tells_apart:
        return heard
    try:
        return replace(heard, voiceprints=diarizer.voiceprints(chunk.pcm, chunk.span))
    except ProviderError as error:
        _LOG.warning("the voices of a chunk are not known: %s", error.message)
        return heard


def open_diarizer(folder: Path, engines: Engines, paces: Paces) -> Diarizer:
    """With the model in this folder. Cheap: nothing is loaded before the first call."""
    threads = min(_THREADS, os.cpu_count() or 1)
    spec = EngineSpec(NAME, "pipeline.speakers.voice_reader:VoiceReader", (str(folder), threads), 1)
    return Diarizer(engines.open(spec), paces)


def _whole(pairs: Sequence[Stretch]) -> bytes:
    return np.array(pairs, "<i8").tobytes()


def _vectors(prints: Voiceprints) -> bytes:
    return base64.b64decode(prints.vectors)


def _mixed_of(prints: Sequence[Voiceprints]) -> list[int]:
    """By their numbers among the windows of all chunks."""
    before = accumulate((len(one.places) for one in prints), initial=0)
    return [first + number for first, one in zip(before, prints, strict=False) for number in one.mixed]


def _turns(answer: dict[str, Any]) -> Sequence[Turn]:
    rows = np.frombuffer(answer["turns"], "<i8").reshape(-1, 3).tolist()
    margins = np.frombuffer(answer["margins"], "<f4").tolist()
    return [Turn(start, end, who, margin) for (start, end, who), margin in zip(rows, margins, strict=True)]
