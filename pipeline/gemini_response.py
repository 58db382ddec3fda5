"""What Gemini answers: sound in parts, the reason for its end, tokens, or a refusal. Read without the vendor's library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from pipeline.errors import (
    ModelGone,
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
)
from pipeline.transcript import TokenUsage

SAMPLE_RATE = 24_000  # Hz, of every speech model of Gemini's so far; each part may say it again

_PCM = re.compile(r"audio/(?:l16|pcm)\b(?:.*?\brate=(\d+))?", re.IGNORECASE)
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")
_FILTERS = {"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION", "SPII", "LANGUAGE", "MODEL_ARMOR", "JAILBREAK"}


class Parts:
    """Reads one answer's parts: sound, the reason for its end, and the tokens that were counted so far."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self.usage: TokenUsage | None = None
        self._odd = b""
        self._sounded, self._ended = False, False

    def sound(self, answers: Iterable[Any]) -> Iterator[bytes]:
        """Raises ProviderRefused for a text that the filters stop, ProviderNonsense for half an answer."""
        for answer in answers:
            self._count(answer.usage_metadata)
            blocked = answer.prompt_feedback and answer.prompt_feedback.block_reason
            if blocked:
                raise self._refused()
            for candidate in (answer.candidates or [])[:1]:
                for part in (candidate.content and candidate.content.parts) or ():
                    yield from self._whole_samples(part)
                self._check_end(candidate.finish_reason)
        if not self._ended or not self._sounded:
            raise ProviderNonsense("The provider's speech ended too early", provider=self._provider)

    def _whole_samples(self, part: Any) -> Iterator[bytes]:
        if part.inline_data is None or not part.inline_data.data:
            return
        told = _PCM.match(part.inline_data.mime_type or "")
        if told is None or int(told[1] or SAMPLE_RATE) != SAMPLE_RATE:
            raise ProviderNonsense("The provider's sound is not 16-bit PCM of 24 kHz", provider=self._provider)
        received = self._odd + part.inline_data.data  # little-endian, whatever RFC 2586 says of L16
        whole = len(received) // 2 * 2
        self._odd = received[whole:]
        if whole:
            self._sounded = True
            yield received[:whole]

    def _check_end(self, reason: Any) -> None:
        if reason is None:
            return
        self._ended = True
        if reason.name in _FILTERS:
            raise self._refused()
        if reason.name != "STOP":
            raise ProviderNonsense("The provider stopped before the text was spoken", provider=self._provider)

    def _refused(self) -> ProviderRefused:
        return ProviderRefused("The provider's filters refuse to speak this text", provider=self._provider)

    def _count(self, counted: Any) -> None:
        """Each part tells the totals so far."""
        if counted is None:
            return
        before = self.usage or TokenUsage()
        by_kind = {
            detail.modality.name: detail.token_count or 0
            for detail in counted.candidates_tokens_details or ()
            if detail.modality
        }
        audio = by_kind.get("AUDIO", counted.candidates_token_count)
        text = by_kind.get("TEXT", 0) + (counted.thoughts_token_count or 0)
        self.usage = replace(
            before,
            text_in=before.text_in if counted.prompt_token_count is None else counted.prompt_token_count,
            audio_out=before.audio_out if audio is None else audio,
            text_out=text or before.text_out,
        )


def refusal(error: Any, provider: str) -> ProviderError:
    """One of ours for the SDK's APIError; nothing of its text goes on."""
    status = error.code if isinstance(error.code, int) else 0
    facts: dict[str, Any] = {"provider": provider, "status": status}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderBusy(**facts, **_retry_after(error))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (408, 409, 425, 499):
        return ProviderUnavailable(**facts)
    if status < HTTPStatus.BAD_REQUEST:
        return ProviderNonsense(**facts)
    gone = status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
    return ModelGone(**facts) if gone else ProviderRefused(**facts)


def _retry_after(error: Any) -> dict[str, float]:
    """Seconds, from the RetryInfo in the body or the header; nothing where there is neither."""
    body = error.details if isinstance(error.details, dict) else {}
    inner = body.get("error", body)
    details = inner.get("details") if isinstance(inner, dict) else None
    told = [found.get("retryDelay") for found in details or () if isinstance(found, dict)]
    told.append(f"{getattr(error.response, 'headers', {}).get('retry-after', '')}s")
    for text in told:
        if isinstance(text, str) and (delay := _DELAY.fullmatch(text)):
            return {"retry_after": float(delay[1])}
    return {}
