"""`full_json`: all that is known of a transcript, in integer milliseconds. Every other format can be written from it, anywhere."""

from __future__ import annotations

import json
from typing import Any

from pipeline.formats.base import Format, RenderOptions
from pipeline.quality.omissions import told
from pipeline.transcript import Transcript, transcript_as_dict


class FullJson:
    """{"text": …, "transcript": …}, the latter as `pipeline.transcript.transcript_from_json` reads it, and what the caller adds."""

    name = "full_json"
    media_type = "application/json"
    extension = ".json"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        body: dict[str, Any] = {"text": transcript.text, "transcript": transcript_as_dict(transcript)}
        return json.dumps({**body, **told(transcript), **options.extra}, ensure_ascii=False)


FORMAT: Format = FullJson()
