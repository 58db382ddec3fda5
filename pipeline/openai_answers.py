"""What an OpenAI-compatible server answers to a transcription, as a `Heard`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from pipeline.errors import ProviderNonsense
from pipeline.languages import NAMES
from pipeline.providers.base import phrases
from pipeline.transcript import Heard, Segment, Word

_SLACK = 500  # ms over the chunk's end that are rounding; what lies further out is the stitcher's to judge
_CODES = {name: code for code, name in reversed(NAMES.items())}
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class _Word(BaseModel):
    word: str
    start: Seconds
    end: Seconds


class _Segment(BaseModel):
    text: str
    start: Seconds
    end: Seconds
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    temperature: float | None = None


class _Answer(BaseModel):
    text: str
    language: str | None = None
    segments: list[_Segment] | None = None
    words: list[_Word] | None = None


def heard(body: bytes, *, duration: int, model: str, provider: str) -> Heard:
    """`duration` in ms; a text without times becomes one segment over it. Raises ProviderNonsense."""
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError:
        raise ProviderNonsense(provider=provider) from None
    words = [
        Word(word.word.strip(), _ms(word.start, duration), max(_ms(word.start, duration), _ms(word.end, duration)))
        for word in sorted(answer.words or (), key=lambda word: word.start)
        if word.word.strip()
    ]
    spoken = [segment for segment in answer.segments or () if segment.text.strip()]
    if spoken:
        segments = tuple(_with_words(sorted(spoken, key=lambda segment: segment.start), words, duration))
    elif words:
        segments = tuple(phrases(words))
    else:
        segments = (Segment(answer.text.strip(), 0, duration),) if answer.text.strip() else ()
    return Heard(segments, language=_code(answer.language), model_used=model)


def _with_words(segments: list[_Segment], words: list[Word], duration: int) -> list[Segment]:
    """Each word goes to the segment that has begun when the word is at its middle."""
    made: list[Segment] = []
    floor, left = 0, list(words)
    for at, segment in enumerate(segments):
        until = _ms(segments[at + 1].start, duration) if at + 1 < len(segments) else None
        mine = [word for word in left if until is None or (word.start + word.end) // 2 < until]
        left = left[len(mine) :]
        start = max(floor, min(_ms(segment.start, duration), *(word.start for word in mine[:1]), duration))
        end = max([start, _ms(segment.end, duration), *(word.end for word in mine)])
        if until is not None:
            end = max(start, min(end, until))
        mine = [Word(word.text, min(max(word.start, start), end), min(max(word.end, start), end)) for word in mine]
        figures = segment.model_dump(include={"avg_logprob", "compression_ratio", "no_speech_prob", "temperature"})
        made.append(Segment(segment.text.strip(), start, end, tuple(mine), **figures))
        floor = end
    return made


def _ms(seconds: float, duration: int) -> int:
    time = round(seconds * 1000)
    return duration if duration < time <= duration + _SLACK else time


def _code(language: str | None) -> str | None:
    name = (language or "").strip().lower()
    return name if name in NAMES else _CODES.get(name)
