"""`verbose_json`: everything whisper reports, with neutral figures where a provider reports none."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

from pipeline.formats.base import Format, RenderOptions
from pipeline.quality.omissions import quality, told
from pipeline.text.languages import english_name
from pipeline.transcript import Segment, Transcript, Word


class VerboseJson:
    """Times in seconds; `words` at the top level, and each of segments and words only when asked for.

    A translation is in English, and has segments and no words.
    """

    name = "verbose_json"
    media_type = "application/json"
    extension = ".json"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        translated = transcript.task == "translate"
        body: dict[str, Any] = {
            "task": transcript.task,
            "language": "english" if translated else english_name(transcript.language),
            "duration": transcript.duration / 1000,
            "text": transcript.text,
        }
        if translated or "segment" in options.granularities:
            body["segments"] = [_segment(number, segment) for number, segment in enumerate(transcript.segments)]
        if "word" in options.granularities and not translated:
            body["words"] = _words(transcript)
        return json.dumps({**body, **quality(transcript), **told(transcript), **options.extra}, ensure_ascii=False)


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """All ten fields of OpenAI's TranscriptionSegment, which clients read without asking whether they are there."""
    body: dict[str, Any] = {
        "id": number,
        "seek": segment.start // 10,  # whisper counts frames of 10 ms
        "start": segment.start / 1000,
        "end": segment.end / 1000,
        "text": " " + segment.text.strip(),  # with whisper's leading space
        "tokens": list(segment.tokens),
        "temperature": _known(segment.temperature, 0.0),
        "avg_logprob": _known(segment.avg_logprob, 0.0),
        "compression_ratio": _known(segment.compression_ratio, _compression_ratio(segment.text)),
        "no_speech_prob": _known(segment.no_speech_prob, 0.0),
    }
    if segment.speaker is not None:
        body["speaker"] = segment.speaker
    if segment.speaker_confidence is not None:
        body["speaker_confidence"] = segment.speaker_confidence
    body |= _place(segment)
    if segment.suspect:
        body["suspect"] = list(segment.suspect)
    return body


def _words(transcript: Transcript) -> list[dict[str, Any]]:
    """All in order of their beginning; those of tracks and channels that were heard each by itself say which, and all who
    speaks, where that was told apart here."""
    told = transcript.speakers is not None
    places = (
        (segment, _place(segment) | _who(segment) if told else _place(segment)) for segment in transcript.segments
    )
    said = ((word, place) for segment, place in places for word in segment.words)
    return [_word(word, place) for word, place in sorted(said, key=lambda one: one[0].start)]


def _word(word: Word, place: Mapping[str, int | str]) -> dict[str, Any]:
    return {"word": word.text.strip(), "start": word.start / 1000, "end": word.end / 1000, **place}


def _who(segment: Segment) -> dict[str, int | str]:
    return {"speaker": segment.speaker} if segment.speaker else {}


def _place(segment: Segment) -> dict[str, int | str]:
    where = (("track", segment.track), ("channel", segment.channel))
    return {name: number for name, number in where if number is not None}


def _known(value: float | None, neutral: float) -> float:
    return value if value is not None and math.isfinite(value) else neutral


def _compression_ratio(text: str) -> float:
    """As whisper computes it: above 2.4, a text repeats itself."""
    data = text.strip().encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


FORMAT: Format = VerboseJson()
