"""`json`: the text alone."""

from __future__ import annotations

import json

from pipeline.formats.base import Format, RenderOptions
from pipeline.transcript import Transcript


class Json:
    """{"text": …} and what the caller adds."""

    name = "json"
    media_type = "application/json"
    extension = ".json"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        return json.dumps({"text": transcript.text, **options.extra}, ensure_ascii=False)


FORMAT: Format = Json()
