"""A chunk whose text looks wrong is heard once more, in two halves: another context often breaks a loop or an early stop.

The halves are cut in the chunk's best inner pause and heard as the caller asked, at temperature 0; what looks better is kept. That
costs at most two more calls. Only what the kept answer reports is counted as used: the doubt was ours, not the caller's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pipeline.cut.cutter import Chunk, CutProfile, Span, cut
from pipeline.errors import StenopoolError
from pipeline.options import TranscriptionOptions
from pipeline.quality.coverage import CoverageMeter, is_short
from pipeline.quality.suspects import echoes
from pipeline.recognition.in_parts import as_one
from pipeline.recognition.retry_omitted import Ask, with_omitted
from pipeline.stitch.stitcher import Stitcher
from pipeline.text.segment_words import speech_ms
from pipeline.transcript import SAMPLE_RATE, Heard

_WRONG = 0.25  # of a chunk's characters; a suspect phrase alone is flagged and left alone
_BETTER = 0.5  # of the first doubt; a refrain that really is sung stays suspect in halves, and has one seam less whole
_SHORTEST_S = 6.0  # below there is nothing to divide
_LONGER_HALF = 0.65  # of the chunk; together with the overlap of a forced cut the other one is no longer
_HALVES = 2
_DOUBTS = frozenset(("repetition", "too_fast", "prompt_echo", "no_speech", "phantom"))
_DETECTOR_S = frozenset(("no_speech", "phantom"))  # where hardly any speech was found, halves are doubted no less


def hear_well(chunk: Chunk, options: TranscriptionOptions, ask: Ask) -> Heard:
    """The chunk's text with what it first left out, the prompt's echo flagged. Raises whatever `ask` raises at the first call."""
    first = _heard(chunk.pcm, options, ask)
    try:
        believed = _believed(first, chunk, options, ask)
    except StenopoolError:  # the first answer is there, and flagged
        return first
    return with_omitted(believed, chunk, options, partial(_heard, ask=ask))


def _believed(first: Heard, chunk: Chunk, options: TranscriptionOptions, ask: Ask) -> Heard:
    if (doubt := _doubt(chunk.span, first)) < _WRONG:
        return first
    halves = _halves(chunk)
    if not halves:
        return first
    careful = options.model_copy(update={"temperature": 0.0})
    second = as_one([(half.span, _heard(half.pcm, careful, ask)) for half in halves], first.language)
    second = replace(second, segments=tuple(echoes(second.segments, options.prompt)))
    return second if second.segments and _doubt(chunk.span, second) < doubt * _BETTER else first


def _heard(pcm: bytes, options: TranscriptionOptions, ask: Ask) -> Heard:
    heard = ask(pcm, options)
    return replace(heard, segments=tuple(echoes(heard.segments, options.prompt)))


def _doubt(span: Span, heard: Heard) -> float:
    """0 for a text that looks right, more for every part that looks made up and for speech without text."""
    if not heard.segments:
        return 0.0  # the detector may have taken music for speech; nothing is a fine answer to that
    if any(segment.speaker for segment in heard.segments):
        return 0.0  # speakers' names would not be the same in two halves
    stitcher = Stitcher()
    stitcher.add(span, heard)
    segments = stitcher.segments
    characters = sum(len(segment.text) for segment in segments)
    doubts = _DOUBTS - _DETECTOR_S if span.in_doubt else _DOUBTS
    doubtful = sum(len(segment.text) for segment in segments if doubts & set(segment.suspect))
    meter = CoverageMeter()
    meter.take(0, () if span.in_doubt else speech_ms(span), segments, timed=heard.timed)
    told = meter.coverage()
    missing = 1 - told.transcribed / told.speech if is_short(told.speech, told.transcribed) else 0.0
    return doubtful / max(characters, 1) + missing


def _halves(chunk: Chunk) -> list[Chunk]:
    """The chunk in two, on its own clock; nothing when it is too short or cannot be divided so."""
    seconds = len(chunk.pcm) / 2 / SAMPLE_RATE
    if seconds < _SHORTEST_S:
        return []
    profile = CutProfile(max_s=_LONGER_HALF * seconds, min_s=(1 - _LONGER_HALF) * seconds, gated=False)
    halves = [half for half in cut([chunk.pcm], profile) if half.span.is_sent]
    return halves if len(halves) == _HALVES else []
