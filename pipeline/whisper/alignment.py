"""A given text laid over the sound in which it is said, by the model's own attention: where it listens as it reads each word."""

from __future__ import annotations

from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

_MOST_TOKENS = 440  # of the 448 that the model can hold, beside the marks around the text
_WINDOW = 3000  # frames of 10 ms, the longest sound that it hears at once


def aligned(model: WhisperModel, sound: NDArray[np.float32], text: str, language: str | None) -> list[list[Any]]:
    """The text's pieces with their beginnings and ends in ms; nothing where the text or the sound is too long for one window."""
    features = model.feature_extractor(sound)
    frames = features.shape[-1] - 1
    if frames > _WINDOW:
        return []
    encoded = model.encode(pad_or_trim(features[:, :_WINDOW]))
    tokenizer = Tokenizer(
        model.hf_tokenizer,
        model.model.is_multilingual,
        task="transcribe",
        language=_language(model, encoded, language),
    )
    tokens = tokenizer.encode(f" {text}")
    if not 0 < len(tokens) <= _MOST_TOKENS:
        return []
    found = model.find_alignment(tokenizer, [tokens], encoded, frames)
    return [[piece["word"], *(round(1000 * float(piece[edge])) for edge in ("start", "end"))] for piece in found[0]]


def _language(model: WhisperModel, encoded: Any, told: str | None) -> str:
    if not model.model.is_multilingual:
        return "en"
    if told and told in model.supported_languages:
        return told
    likely: str = model.model.detect_language(encoded)[0][0][0][2:-2]
    return likely
