"""One turn's windows, decoded with one prompt."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from numpy.typing import NDArray

from pipeline.options import TranscriptionOptions
from pipeline.transcript import SAMPLE_RATE
from pipeline.whisper.config import Config
from pipeline.whisper.languages import LanguageChoice
from pipeline.whisper_filter import Found, FoundWord

Sound = NDArray[np.float32]
_LONGEST_PROMPT, _LONGEST_HOTWORDS = 223, 111  # tokens: the model sees 223 before its text, the keywords among them
_TINY = 1e-5  # seconds: the library turns times into samples by cutting off


class Task:
    """What is the same for all windows of a call."""

    def __init__(
        self, model: WhisperModel, config: Config, options: TranscriptionOptions, choice: LanguageChoice
    ) -> None:
        self._model, self._choice = model, choice
        self._temperature = options.temperature
        encode = model.hf_tokenizer.encode
        hotwords = _beginning(", ".join(options.keywords), encode, _LONGEST_HOTWORDS)
        left = _LONGEST_PROMPT - (len(encode(hotwords, add_special_tokens=False).ids) + 1 if hotwords else 0)
        self._common: dict[str, Any] = {
            "task": "translate" if options.task == "translation" else "transcribe",
            "initial_prompt": _end(options.prompt or "", encode, left) or None,
            "hotwords": hotwords or None,
            "beam_size": config.beam_size,
            "word_timestamps": True,
            "vad_filter": False,
        }

    def heard(self, windows: Sequence[Sound]) -> list[tuple[str, list[Found]]]:
        """Each window's language and text."""
        if self._temperature:  # a batch knows no chance: its `temperature` changes nothing
            languages = self._languages(windows)
            return [
                (language, self.heard_alone(window, language, self._temperature))
                for window, language in zip(windows, languages, strict=True)
            ]
        return self._heard_together(windows)

    def _languages(self, windows: Sequence[Sound]) -> list[str]:
        if self._choice.told:
            return [self._choice.told] * len(windows)
        return [self._choice.best(self._model.detect_language(window)[2]) for window in windows]

    def _heard_together(self, windows: Sequence[Sound]) -> list[tuple[str, list[Found]]]:
        """In the language that is expected; where the encoder hears others, once more in those, without asking it again."""
        expected = self._choice.expected
        try:
            found = self._batch(windows, expected, self._model if self._choice.told else self._listening(expected))
            return [(expected, one) for one in found]
        except _OtherLanguages as other:
            languages, encoded = other.languages, other.encoded
        if len(set(languages)) == 1:
            model = _Through(self._model, lambda _: encoded)
            return [(languages[0], one) for one in self._batch(windows, languages[0], model)]
        return [
            (language, self._batch([window], language, self._model)[0])
            for window, language in zip(windows, languages, strict=True)
        ]

    def _listening(self, expected: str) -> _Through:
        """The model, which stops before it writes a word where a window is in another language than that."""

        def encode(features: Any) -> Any:
            encoded = self._model.encode(features)
            told = self._model.model.detect_language(encoded)
            languages = [self._choice.best([(code[2:-2], chance) for code, chance in likely]) for likely in told]
            if any(language != expected for language in languages):
                raise _OtherLanguages(languages, encoded)
            return encoded

        return _Through(self._model, encode)

    def _batch(self, windows: Sequence[Sound], language: str, model: Any) -> list[list[Found]]:
        edges = [0, *accumulate(len(window) for window in windows)]
        clips = [
            {"start": start / SAMPLE_RATE + _TINY, "end": end / SAMPLE_RATE + _TINY} for start, end in pairwise(edges)
        ]
        told, _ = BatchedInferencePipeline(model).transcribe(
            np.concatenate(windows),
            clip_timestamps=clips,
            batch_size=len(windows),
            without_timestamps=True,
            language=language,
            **self._common,
        )
        found: list[list[Found]] = [[] for _ in windows]
        for segment in told:
            place = bisect_right([edge * 100 // SAMPLE_RATE for edge in edges[:-1]], segment.seek) - 1
            found[place].append(_found(segment, edges[place] / SAMPLE_RATE, self._model))
        return found

    def heard_alone(self, window: Sound, language: str, temperature: float) -> list[Found]:
        """One window's text, with so much chance in it."""
        ctranslate2.set_random_seed(0)  # the same answer for the same sound, whatever was heard before
        told, _ = self._model.transcribe(
            window,
            temperature=temperature,
            condition_on_previous_text=False,
            language=language,
            **self._common,
        )
        return [_found(segment, 0.0, self._model) for segment in told]


class _Through:
    """The model with another encoder."""

    def __init__(self, model: WhisperModel, encode: Callable[[Any], Any]) -> None:
        self._model, self.encode = model, encode

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _OtherLanguages(Exception):
    """The windows are in these, and so they are encoded."""

    def __init__(self, languages: Sequence[str], encoded: Any) -> None:
        super().__init__()
        self.languages, self.encoded = languages, encoded


def _found(segment: Any, offset: float, model: WhisperModel) -> Found:
    end_of_text = model.hf_tokenizer.token_to_id("<|endoftext|>")
    tokens = [token for token in segment.tokens if token < end_of_text]  # neither times nor marks
    told = segment.words or ()
    words = (
        FoundWord(word.word, float(word.start) - offset, float(word.end) - offset, float(word.probability), tuple(own))
        for word, own in zip(told, _by_word(tokens, [word.word for word in told], model), strict=True)
    )
    return Found(
        text=segment.text,
        start=float(segment.start) - offset,
        end=float(segment.end) - offset,
        words=tuple(words),
        tokens=tuple(tokens),
        avg_logprob=float(segment.avg_logprob),
        compression_ratio=float(segment.compression_ratio),
        no_speech_prob=float(segment.no_speech_prob),
        temperature=float(segment.temperature or 0.0),
    )


def _by_word(tokens: Sequence[int], words: Sequence[str], model: WhisperModel) -> list[list[int]]:
    """The tokens of each word: a token belongs to the word in which the text up to it ends."""
    ends = list(accumulate(len(word) for word in words))
    owned: list[list[int]] = [[] for _ in words]
    for at, token in enumerate(tokens if words else ()):
        reached = len(model.hf_tokenizer.decode(tokens[: at + 1]))
        owned[min(bisect_left(ends, reached), len(words) - 1)].append(token)
    return owned


def _beginning(text: str, encode: Any, longest: int) -> str:
    told = encode(text, add_special_tokens=False)
    return text if len(told.ids) <= longest else text[: told.offsets[longest - 1][1]]


def _end(text: str, encode: Any, longest: int) -> str:
    told = encode(text, add_special_tokens=False)
    return text if len(told.ids) <= longest else text[told.offsets[-longest][0] :]
