"""`diarized_json`: who said what, and when."""

from __future__ import annotations

import json
from typing import Any

from pipeline.errors import UnsupportedValue
from pipeline.formats.base import Format, RenderOptions
from pipeline.quality.omissions import quality, told
from pipeline.text.speaker_turns import label, written
from pipeline.transcript import Segment, Transcript

NOBODY = "unknown"  # a speaker is required; this is one of whom nothing is known beside others of whom something is


class DiarizedJson:
    """OpenAI's TranscriptionDiarized. Every segment has a speaker: a name that the caller gave, a letter, or a track and channel.

    Raises UnsupportedValue for a transcript in which nobody is told apart: one speaker "A" for all would be invented.
    """

    name = "diarized_json"
    media_type = "application/json"
    extension = ".json"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        check_told(transcript)
        body: dict[str, Any] = {
            "task": "transcribe",
            "duration": transcript.duration / 1000,
            "text": written(transcript.segments),
            "segments": [diarized(number, segment) for number, segment in enumerate(transcript.segments)],
        }
        return json.dumps({**body, **quality(transcript), **told(transcript), **options.extra}, ensure_ascii=False)


def check_told(transcript: Transcript) -> None:
    """Raises UnsupportedValue when somebody spoke and nobody was told apart."""
    if transcript.segments and not any(label(segment) for segment in transcript.segments):
        raise UnsupportedValue(
            "Nobody told the speakers of this recording apart. Ask a model for diarized_json whose `formats` list it "
            "(GET /v1/models).",
            param="response_format",
        )


def diarized(number: int, segment: Segment) -> dict[str, Any]:
    """One segment, as in the body so in a stream; `number` counts from 0."""
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{number + 1:03}",
        "start": segment.start / 1000,
        "end": segment.end / 1000,
        "text": segment.text.strip(),
        "speaker": label(segment) or NOBODY,
    } | ({} if segment.speaker_confidence is None else {"speaker_confidence": segment.speaker_confidence})


FORMAT: Format = DiarizedJson()
