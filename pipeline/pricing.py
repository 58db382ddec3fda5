"""Usage times price times ratio in micro-dollars. Pure: no clock, no database, no rounding but one.

What is used is measured, never declared: milliseconds that were decoded, characters that were spoken, tokens as the provider
counted them where its count is plausible, and as we count them where it is not. The audio ratio multiplies what is sound
(seconds of it, and tokens of it in either direction) and nothing else.

Our own count of tokens rests on these figures, which are those that the vendors publish or bill on average:

    sound heard    10 tokens a second
    sound spoken   21 tokens a second (1,250 a minute)
    text           a token for every four bytes of UTF-8
    speech         four tokens of text a second at most; 15 bytes of text a second
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from pipeline.catalog.model import Prices
from pipeline.errors import InvalidRequest
from pipeline.money import MICRO
from pipeline.transcript import TokenUsage

Counted = Literal["measured", "provider", "estimated"]

MOST_RATIO = 1000
_OF_SOUND = ("audio_minute", "audio_hour", "speakers_minute", "million_audio_tokens_in", "million_audio_tokens_out")
_IN_WORDS = {
    "thousand_characters": "characters",
    "million_text_tokens_in": "tokens of text in",
    "million_text_tokens_out": "tokens of text out",
}
_UNITS = {
    "audio_minute": "minute of audio",
    "audio_hour": "hour of audio",
    "thousand_characters": "1,000 characters",
    "million_text_tokens_in": "1,000,000 text tokens in",
    "million_audio_tokens_in": "1,000,000 audio tokens in",
    "million_text_tokens_out": "1,000,000 text tokens out",
    "million_audio_tokens_out": "1,000,000 audio tokens out",
}
HEARD_TOKENS = 10  # a second of sound taken in
SPOKEN_TOKENS = 21  # a second of sound made
TEXT_TOKENS = 4  # a second of speech, written down
BYTES_PER_TOKEN = 4
BYTES_PER_SECOND = 15  # of text, spoken
_FACTOR = 4  # a provider's count beyond so many times ours, or below that part of it, is not believed
_MORE, _LESS = 300, 20  # tokens beside that: a provider's own prompts, and the roundings of short sounds
_MINUTE, _HOUR, _SECOND = 60_000, 3_600_000, 1000  # ms
_SHOWN = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used. `counted` says who counted the tokens; without tokens everything is measured."""

    audio_ms: int = 0
    characters: int = 0
    tokens: TokenUsage | None = None
    counted: Counted = "measured"


@dataclass(frozen=True, slots=True)
class Charge:
    """Micro-dollars, rounded once, half up; and what each dimension contributed before that."""

    micro: int
    dimensions: Mapping[str, Decimal]


FREE = Charge(0, {})


@lru_cache(maxsize=1024)
def charge(usage: Usage, prices: Prices, ratio: Decimal = Decimal(1)) -> Charge:
    """What the usage costs. Exact up to its one rounding: 12.5 s at 0.006 a minute are 1,250 micro-dollars."""
    parts = _parts(usage, prices, ratio)
    total = sum(parts.values()) if parts else _NOTHING
    shown = {name: _shown(part) for name, part in parts.items() if part}
    return Charge((2 * total.numerator + total.denominator) // (2 * total.denominator), shown)


@lru_cache(maxsize=1000)
def is_free(prices: Prices) -> bool:
    """Whether nothing at all is asked for."""
    return not any(price for _, price in prices)


def by_sound(prices: Prices) -> bool:
    """Whether anything of it is asked for sound: what the audio ratio multiplies."""
    return any(getattr(prices, name) for name in _OF_SOUND)


def by_text(prices: Prices) -> bool:
    """Whether what speech costs follows from its text alone."""
    return not by_tokens(prices) and not by_sound(prices)


@dataclass(frozen=True, slots=True)
class PricedDimension:
    """US dollars for a unit of one dimension, and what multiplies them: the audio ratio for what is sound, else 1."""

    dimension: str
    unit: str
    price: Decimal
    ratio: Decimal


def in_force(prices: Prices, ratio: Decimal) -> list[PricedDimension]:
    """Every dimension that has a price; none of a model that is free."""
    return [
        PricedDimension(name, _UNITS[name], price, ratio if name in _OF_SOUND else Decimal(1))
        for name, price in prices
        if price
    ]


def priced_by(prices: Prices) -> str:
    """What is priced, in words; empty for a model that is free."""
    return " and ".join(words for name, words in _IN_WORDS.items() if getattr(prices, name))


def checked_ratio(ratio: Decimal) -> Decimal:
    """Raises InvalidRequest for what is not between 0 and MOST_RATIO."""
    if not ratio.is_finite() or not 0 <= ratio <= MOST_RATIO:
        raise InvalidRequest(f"The audio ratio must be a number from 0 to {MOST_RATIO}.", param="ratio")
    return ratio


@lru_cache(maxsize=1000)
def by_tokens(prices: Prices) -> bool:
    """Whether tokens are what is priced."""
    return bool(
        prices.million_text_tokens_in
        or prices.million_audio_tokens_in
        or prices.million_text_tokens_out
        or prices.million_audio_tokens_out
    )


def prices_as_dict(prices: Prices) -> dict[str, str] | None:
    """As a row keeps them: text, because money is no float. None for a model that is free."""
    return dict(_as_text(prices)) or None


@lru_cache(maxsize=1000)
def _as_text(prices: Prices) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(price)) for name, price in prices if price)


def prices_from_dict(values: Mapping[str, str] | None) -> Prices:
    """The inverse of `prices_as_dict`."""
    return Prices.model_validate(dict(values or {}))


def tokens_as_dict(tokens: TokenUsage | None) -> dict[str, int] | None:
    """As a row keeps them."""
    return None if tokens is None else asdict(tokens)


def tokens_from_dict(values: Mapping[str, Any] | None) -> TokenUsage | None:
    """The inverse of `tokens_as_dict`."""
    return None if values is None else TokenUsage(**values)


def estimated_usage(
    prices: Prices, *, audio_ms: int | None = None, text: str | None = None, prompt_tokens: int = 0
) -> Usage:
    """What a request will use, before anybody has worked on it: enough to hold money for.

    Sound to text: `audio_ms`, with the prompt as `text` or, where that is not at hand, its tokens. Text to sound: `text` alone.
    """
    if audio_ms is None:
        spoken = text or ""
        return spoken_usage(text=spoken, audio_ms=spoken_ms(spoken))
    tokens = TokenUsage(
        text_in=prompt_tokens + text_tokens(text or ""),
        audio_in=_per_second(audio_ms, HEARD_TOKENS),
        text_out=_per_second(audio_ms, TEXT_TOKENS),
    )
    return _usage(prices, tokens, "estimated", audio_ms=audio_ms)


def most_usage(prices: Prices, *, audio_ms: int | None = None, text: str = "", speed: float = 1.0) -> Usage:
    """The most that is ever billed for it: as `estimated_usage`, with all that is believed of a provider's count of tokens.

    `speed`: at which a text is to be spoken.
    """
    if audio_ms is None:
        thought = spoken_usage(text=text, audio_ms=round(spoken_ms(text) / min(speed, 1.0)))
        thought = replace(thought, audio_ms=_FACTOR * thought.audio_ms)
    else:
        thought = estimated_usage(prices, audio_ms=audio_ms, text=text)
    if thought.tokens is None:
        return thought
    beyond = {name: _FACTOR * count + _MORE for name, count in asdict(thought.tokens).items()}
    return replace(thought, tokens=TokenUsage(**beyond))


def heard_usage(
    prices: Prices, *, audio_ms: int, text: str = "", prompt: str = "", reported: TokenUsage | None = None
) -> Usage:
    """What turning `audio_ms` of sound into `text` has used; `reported` is the provider's own count."""
    ours = TokenUsage(
        text_in=text_tokens(prompt), audio_in=_per_second(audio_ms, HEARD_TOKENS), text_out=text_tokens(text)
    )
    return _usage(prices, *_believed(ours, reported), audio_ms=audio_ms)


def spoken_usage(*, text: str, audio_ms: int, reported: TokenUsage | None = None) -> Usage:
    """What turning `text` into `audio_ms` of sound has used. Tokens are always counted: the last event of a stream has them."""
    ours = TokenUsage(text_in=text_tokens(text), audio_out=_per_second(audio_ms, SPOKEN_TOKENS))
    tokens, counted = _believed(ours, reported)
    return Usage(audio_ms=audio_ms, characters=len(text), tokens=tokens, counted=counted)


def plausible(reported: TokenUsage, ours: TokenUsage) -> bool:
    """Whether a provider's count is near enough to our own to be billed."""
    pairs = zip(asdict(reported).values(), asdict(ours).values(), strict=True)
    return all(0 <= theirs <= _FACTOR * own + _MORE and _FACTOR * theirs + _LESS >= own for theirs, own in pairs)


def text_tokens(text: str) -> int:
    """Our own count of a text's tokens."""
    return -(-len(text.encode(errors="replace")) // BYTES_PER_TOKEN)


def spoken_ms(text: str) -> int:
    """How long a text takes to be said, about."""
    return len(text.encode(errors="replace")) * _SECOND // BYTES_PER_SECOND


def _per_second(audio_ms: int, rate: int) -> int:
    return -(-audio_ms * rate // _SECOND)


def _believed(ours: TokenUsage, reported: TokenUsage | None) -> tuple[TokenUsage, Counted]:
    if reported is not None and plausible(reported, ours):
        return reported, "provider"
    return ours, "estimated"


def _usage(prices: Prices, tokens: TokenUsage, counted: Counted, *, audio_ms: int) -> Usage:
    """Tokens only where they are what is priced: elsewhere nobody need guess."""
    if not by_tokens(prices):
        return Usage(audio_ms=audio_ms)
    return Usage(audio_ms=audio_ms, tokens=tokens, counted=counted)


def _parts(usage: Usage, prices: Prices, ratio: Decimal) -> dict[str, Fraction]:
    """Micro-dollars of each dimension that has a price, exact. Every synchronous request comes here twice."""
    tokens, factor = usage.tokens or TokenUsage(), _factor(ratio)
    of_sound = (
        ("audio_seconds", usage.audio_ms, _audio_price(prices.audio_minute, prices.audio_hour)),
        ("speakers_seconds", usage.audio_ms, _price(prices.speakers_minute, _MINUTE)),
        ("audio_tokens_in", tokens.audio_in, _price(prices.million_audio_tokens_in, MICRO)),
        ("audio_tokens_out", tokens.audio_out, _price(prices.million_audio_tokens_out, MICRO)),
    )
    of_text = (
        ("characters", usage.characters, _price(prices.thousand_characters, 1000)),
        ("text_tokens_in", tokens.text_in, _price(prices.million_text_tokens_in, MICRO)),
        ("text_tokens_out", tokens.text_out, _price(prices.million_text_tokens_out, MICRO)),
    )
    parts = {name: quantity * price for name, quantity, price in of_sound if quantity and price}
    if factor != 1:
        parts = {name: part * factor for name, part in parts.items()}
    return parts | {name: quantity * price for name, quantity, price in of_text if quantity and price}


_NOTHING = Fraction(0)


def _price(usd: Decimal | None, units: int) -> Fraction:
    """Micro-dollars for one unit."""
    return _known_price(usd, units) if usd else _NOTHING


@lru_cache(maxsize=1000)
def _audio_price(minute: Decimal | None, hour: Decimal | None) -> Fraction:
    """For a millisecond of sound."""
    return _price(minute, _MINUTE) + _price(hour, _HOUR)


@lru_cache(maxsize=1000)
def _factor(ratio: Decimal) -> Fraction:
    return Fraction(ratio)


@lru_cache(maxsize=1000)
def _known_price(usd: Decimal, units: int) -> Fraction:
    return Fraction(usd) * MICRO / units


def _shown(part: Fraction) -> Decimal:
    return (Decimal(part.numerator) / Decimal(part.denominator)).quantize(_SHOWN)
