"""What an OpenAI-compatible server answers to a transcription, as a `Heard`."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeGuard

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError

from pipeline.errors import ProviderNonsense
from pipeline.provider_protocol import phrases
from pipeline.text.languages import NAMES
from pipeline.transcript import Heard, Logprob, Segment, TokenUsage, Word

_SLACK = 500  # ms over the chunk's end that are rounding; what lies further out is the stitcher's to judge
_LONGEST = 1e6  # seconds
_CODES = {name: code for code, name in reversed(NAMES.items())}
_BOM = b"\xef\xbb\xbf"  # some servers begin their JSON with it
Seconds = Annotated[float, Field(le=_LONGEST, allow_inf_nan=False), AfterValidator(lambda seconds: max(0.0, seconds))]


class _Word(BaseModel):
    word: str
    start: Seconds
    end: Seconds


_WORDS = TypeAdapter(list[_Word])


class _Segment(BaseModel):
    text: str
    start: Seconds
    end: Seconds
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    temperature: float | None = None
    tokens: Any = None
    speaker: Annotated[str | None, Field(coerce_numbers_to_str=True)] = None
    words: Any = None  # where whisper.cpp has them


class _Answer(BaseModel):
    text: str
    language: str | None = None
    segments: list[_Segment] | None = None
    words: list[_Word] | None = None
    duration: Any = None
    languages: Any = None  # these are of no use when they are wrong, but the text is
    logprobs: Any = None
    usage: Any = None


def heard(body: bytes, *, duration: int, model: str, provider: str) -> Heard:
    """`duration` in ms; a text without times becomes one segment over it. Raises ProviderNonsense."""
    try:
        answer = _Answer.model_validate_json(body.removeprefix(_BOM))
    except ValidationError:
        raise ProviderNonsense(provider=provider) from None
    words = [
        Word(word.word.strip(), _ms(word.start, duration), max(_ms(word.start, duration), _ms(word.end, duration)))
        for word in sorted(answer.words or _inner_words(answer), key=lambda word: word.start)
        if word.word.strip()
    ]
    spoken = [segment for segment in answer.segments or () if segment.text.strip()]
    if spoken:
        segments = tuple(_with_words(sorted(spoken, key=lambda segment: segment.start), words, duration))
    elif words:
        segments = tuple(phrases(words))
    else:
        segments = (Segment(answer.text.strip(), 0, duration),) if answer.text.strip() else ()
    languages = _languages(answer.languages)
    return Heard(
        segments,
        language=_code(answer.language) or (languages[0] if len(languages) == 1 else None),
        model_used=model,
        timed=bool(spoken or words or not segments),
        languages=languages,
        usage=_usage(answer.usage),
        logprobs=_logprobs(answer.logprobs),
        duration=_told_duration(answer),
    )


def _inner_words(answer: _Answer) -> list[_Word]:
    """Those that stand in the segments. whisper.cpp calls its tokens words: where some begin with a space, one without
    goes on with the word before it. None at all where any is not as words are: the segments have times of their own."""
    try:
        inner = [_WORDS.validate_python(segment.words or []) for segment in answer.segments or ()]
    except ValidationError:
        return []
    spaced = any(word.word.startswith(" ") for words in inner for word in words)
    whole: list[_Word] = []
    for words in inner:
        for at, word in enumerate(words):
            if spaced and at and not word.word.startswith(" "):
                before = whole[-1]
                whole[-1] = _Word(word=before.word + word.word, start=before.start, end=word.end)
            else:
                whole.append(word)
    return whole


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
        made.append(
            Segment(
                segment.text.strip(),
                start,
                end,
                tuple(mine),
                avg_logprob=segment.avg_logprob,
                compression_ratio=segment.compression_ratio,
                no_speech_prob=segment.no_speech_prob,
                temperature=segment.temperature,
                speaker=(segment.speaker or "").strip() or None,
                tokens=tuple(_whole_numbers(segment.tokens)),
            )
        )
        floor = end
    return made


def _ms(seconds: float, duration: int) -> int:
    time = round(seconds * 1000)
    return duration if duration < time <= duration + _SLACK else time


def _code(language: str | None) -> str | None:
    name = (language or "").strip().lower()
    return name if name in NAMES else _CODES.get(name)


def _languages(told: Any) -> tuple[str, ...]:
    """`[{"code": "en"}]`, or plain names or codes; each once."""
    entries = told if isinstance(told, list) else []
    names = [entry.get("code") if isinstance(entry, dict) else entry for entry in entries]
    codes = [_code(name) for name in names if isinstance(name, str)]
    return tuple(dict.fromkeys(code for code in codes if code))


def _usage(told: Any) -> TokenUsage | None:
    """Only of the token kind; what is not split by kind counts as audio in."""
    if not isinstance(told, dict) or not _whole_numbers([told.get("input_tokens"), told.get("output_tokens")]):
        return None
    details = told.get("input_token_details")
    details = details if isinstance(details, dict) else {}
    text, audio, read, written = (
        next(iter(_whole_numbers([value])), 0)
        for value in (
            details.get("text_tokens"),
            details.get("audio_tokens"),
            told.get("input_tokens"),
            told.get("output_tokens"),
        )
    )
    return TokenUsage(text_in=text, audio_in=audio if text + audio else read, text_out=written)


def _logprobs(told: Any) -> tuple[Logprob, ...]:
    entries = told if isinstance(told, list) else []
    return tuple(
        Logprob(entry["token"], float(entry["logprob"]), tuple(_whole_numbers(entry.get("bytes"))))
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("token"), str) and _finite(entry.get("logprob"))
    )


def _told_duration(answer: _Answer) -> int | None:
    """ms, from the usage by duration or from a verbose answer."""
    usage = answer.usage if isinstance(answer.usage, dict) else {}
    for seconds in (usage.get("seconds"), answer.duration):
        if _finite(seconds) and 0 <= seconds <= _LONGEST:
            return round(1000 * seconds)
    return None


def _whole_numbers(told: Any) -> list[int]:
    """Those of a list that are some."""
    entries = told if isinstance(told, list) else []
    return [entry for entry in entries if isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0]


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
