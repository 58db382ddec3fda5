"""Transcripts as whisper-asr-webservice writes them, where that is no format of ours: lines, columns, Whisper's own JSON."""

from __future__ import annotations

import json
from typing import Any

from pipeline import formats
from pipeline.formats.base import RenderOptions
from pipeline.text.languages import language_code
from pipeline.transcript import Segment, Transcript


def lines(transcript: Transcript) -> str:
    """`txt`: one for each segment."""
    return "".join(f"{_one_line(segment)}\n" for segment in transcript.segments)


def columns(transcript: Transcript) -> str:
    """`tsv`: a head, then start and end in ms and the text, with tabs between."""
    rows = (f"{segment.start}\t{segment.end}\t{_one_line(segment)}\n" for segment in transcript.segments)
    return "start\tend\ttext\n" + "".join(rows)


def whisper_json(transcript: Transcript, *, words: bool) -> str:
    """`json`: the text, the segments (with `words`, each has its own), and the language's code."""
    whole = json.loads(formats.load("verbose_json").render(transcript, RenderOptions()))
    if words:
        for shown, segment in zip(whole["segments"], transcript.segments, strict=True):
            shown["words"] = [_word(word.text, word.start, word.end, word.confidence) for word in segment.words]
    code = "en" if transcript.task == "translate" else language_code(transcript.language or "")
    body = {"text": whole["text"], "segments": whole["segments"], "language": code}
    return json.dumps(body, ensure_ascii=False)


def _one_line(segment: Segment) -> str:
    return " ".join(segment.text.split())


def _word(text: str, start: int, end: int, confidence: float | None) -> dict[str, Any]:
    return {"word": f" {text.strip()}", "start": start / 1000, "end": end / 1000, "probability": confidence}
