"""What a transcription used, as OpenAI writes it."""

from __future__ import annotations

from typing import Any

from pipeline.transcript import TokenUsage, Transcript


def transcript_usage(transcript: Transcript, response_format: str, booked: TokenUsage | None = None) -> dict[str, Any]:
    """What was used: the tokens that are `booked`, or that the provider counted for every chunk; else the seconds of sound that
    were decoded.

    verbose_json knows seconds only (contract.md section 1.3).
    """
    used = booked or transcript.usage
    if used is not None and response_format != "verbose_json":
        return tokens(used)
    return {"type": "duration", "seconds": transcript.audio_ms / 1000}


def tokens(used: TokenUsage) -> dict[str, Any]:
    """A provider's count."""
    into, out = used.text_in + used.audio_in, used.text_out + used.audio_out
    return {
        "type": "tokens",
        "input_tokens": into,
        "input_token_details": {"text_tokens": used.text_in, "audio_tokens": used.audio_in},
        "output_tokens": out,
        "total_tokens": into + out,
    }
