"""`json`: the text alone, and what the provider told besides."""

from __future__ import annotations

import json
from typing import Any

from pipeline.formats.base import Format, RenderOptions
from pipeline.quality.omissions import told
from pipeline.text.speaker_turns import written
from pipeline.transcript import Logprob, Transcript


class Json:
    """{"text": …}, `languages` and `logprobs` where the provider told them, and what the caller adds.

    The text of tracks and channels that were heard each by itself has a line for each turn, with its place before it.
    """

    name = "json"
    media_type = "application/json"
    extension = ".json"

    def render(self, transcript: Transcript, options: RenderOptions) -> str:
        apart = any((segment.track, segment.channel) != (None, None) for segment in transcript.segments)
        body: dict[str, Any] = {"text": written(transcript.segments) if apart else transcript.text}
        if transcript.task == "transcribe":
            body |= languages(transcript)
        if transcript.logprobs:
            body["logprobs"] = [logprob(one) for one in transcript.logprobs]
        return json.dumps({**body, **told(transcript), **options.extra}, ensure_ascii=False)


def languages(transcript: Transcript) -> dict[str, Any]:
    """The member `languages`: all that were heard; none where nobody knows."""
    codes = transcript.languages or ((transcript.language,) if transcript.language else ())
    return {"languages": [{"code": code} for code in codes]} if codes else {}


def logprob(one: Logprob) -> dict[str, Any]:
    """One token as OpenAI writes it; `bytes` are its UTF-8 also where the provider sent none."""
    return {"token": one.token, "logprob": one.logprob, "bytes": list(one.bytes or one.token.encode())}


FORMAT: Format = Json()
