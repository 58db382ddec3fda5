"""What things cost: the documented examples to the micro-dollar, one rounding, and sums that do not depend on the cut."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog.model import Prices
from pipeline.catalog.toml_file import load_catalog
from pipeline.pricing import (
    Usage,
    by_tokens,
    charge,
    estimated_usage,
    heard_usage,
    is_free,
    most_usage,
    plausible,
    prices_as_dict,
    prices_from_dict,
    spoken_usage,
    text_tokens,
    tokens_as_dict,
    tokens_from_dict,
)
from pipeline.transcript import TokenUsage, samples_to_ms

CATALOG = load_catalog(None, embedded_engines="auto")
TOKENS = TokenUsage(text_in=100, audio_in=1000, text_out=200, audio_out=5000)
EVERY = Prices(
    audio_minute=Decimal("0.006"),
    audio_hour=Decimal("0.111"),
    speakers_minute=Decimal("0.002"),
    thousand_characters=Decimal("0.015"),
    million_text_tokens_in=Decimal("2.50"),
    million_audio_tokens_in=Decimal("6.00"),
    million_text_tokens_out=Decimal("10.00"),
    million_audio_tokens_out=Decimal("12.00"),
)
SOUND = {"audio_seconds", "speakers_seconds", "audio_tokens_in", "audio_tokens_out"}


def prices(model: str) -> Prices:
    return CATALOG.model(model).prices


@pytest.mark.parametrize(
    ("model", "usage", "micro"),
    [
        ("whisper-1", Usage(audio_ms=12_500), 1_250),
        ("whisper-1", Usage(audio_ms=2_500), 250),
        ("whisper-1", Usage(audio_ms=3_600_000), 360_000),
        ("whisper-large-v3", Usage(audio_ms=3_600_000), 111_000),
        ("whisper-large-v3-turbo", Usage(audio_ms=3_600_000), 40_000),
        ("tts-1", Usage(characters=1000), 15_000),
        ("tts-1-hd", Usage(characters=1000), 30_000),
        ("tts-1", Usage(characters=1), 15),
        ("gpt-4o-transcribe", Usage(tokens=TokenUsage(100, 1000, 200, 0)), 250 + 6000 + 2000),
        ("gpt-4o-mini-transcribe", Usage(tokens=TokenUsage(100, 1000, 200, 0)), 125 + 3000 + 1000),
        ("gpt-4o-mini-tts", Usage(tokens=TokenUsage(1000, 0, 0, 1250)), 600 + 15_000),
        ("oracle", Usage(audio_ms=10**9, characters=10**9), 0),
    ],
)
def test_documented_prices_to_the_micro_dollar(model: str, usage: Usage, micro: int) -> None:
    assert charge(usage, prices(model)).micro == micro


def test_the_one_rounding_is_half_up() -> None:
    tenth = Prices(audio_minute=Decimal("0.006"))  # a tenth of a micro-dollar for each millisecond
    assert [charge(Usage(audio_ms=ms), tenth).micro for ms in (0, 4, 5, 14, 15, 16)] == [0, 0, 1, 1, 2, 2]


def test_dimensions_are_rounded_together_and_not_one_by_one() -> None:
    half = Prices(audio_minute=Decimal("0.006"), million_text_tokens_out=Decimal("0.4"))
    assert charge(Usage(audio_ms=4, tokens=TokenUsage(text_out=1)), half).micro == 1


def test_telling_speakers_apart_has_its_own_price_where_it_is_done() -> None:
    told = Prices(audio_minute=Decimal("0.006"), speakers_minute=Decimal("0.003"))
    usage = Usage(audio_ms=60_000)
    assert [charge(usage, told.of(speakers=asked)).micro for asked in (True, False)] == [9000, 6000]
    assert is_free(Prices(speakers_minute=Decimal("0.003")).of(speakers=False))
    assert prices_from_dict(prices_as_dict(told)) == told


def test_the_ratio_multiplies_what_is_sound_and_nothing_else() -> None:
    usage = Usage(audio_ms=60_000, characters=1000, tokens=TOKENS)
    plain, doubled = (charge(usage, EVERY, Decimal(ratio)).dimensions for ratio in (1, 2))
    assert set(plain) == set(doubled) == SOUND | {"characters", "text_tokens_in", "text_tokens_out"}
    assert {name for name in plain if doubled[name] == 2 * plain[name]} == SOUND
    assert {name for name in plain if doubled[name] == plain[name]} == set(plain) - SOUND
    assert charge(Usage(audio_ms=12_500), prices("whisper-1"), Decimal(2)).micro == 2_500
    assert charge(Usage(characters=1000), prices("tts-1"), Decimal(2)).micro == 15_000
    assert charge(Usage(audio_ms=12_500), prices("whisper-1"), Decimal(0)).micro == 0


@given(
    cuts=st.lists(st.integers(1, 60 * 16_000), min_size=1, max_size=60),
    minute=st.decimals("0.0001", "1", places=4),
    ratio=st.decimals("0.1", "3", places=2),
)
def test_what_chunks_add_is_the_price_of_the_whole(cuts: list[int], minute: Decimal, ratio: Decimal) -> None:
    """In whatever pieces a recording is heard: each adds what the sum has grown by."""
    price = Prices(audio_minute=minute)
    done = paid = 0
    for samples in cuts:
        done += samples
        owed = charge(Usage(audio_ms=samples_to_ms(done)), price, ratio).micro
        assert owed >= paid
        paid = owed
    assert paid == charge(Usage(audio_ms=samples_to_ms(sum(cuts))), price, ratio).micro


@given(ms=st.integers(0, 10**9), more=st.integers(0, 10**6), ratio=st.decimals("0", "5", places=3))
def test_more_is_never_cheaper(ms: int, more: int, ratio: Decimal) -> None:
    assert charge(Usage(audio_ms=ms), EVERY, ratio).micro <= charge(Usage(audio_ms=ms + more), EVERY, ratio).micro


def test_a_plausible_count_is_the_provider_s_and_another_is_ours() -> None:
    price = prices("gpt-4o-transcribe")
    honest = TokenUsage(text_in=14, audio_in=98, text_out=30)
    said = "x" * 120
    believed = heard_usage(price, audio_ms=10_000, text=said, reported=honest)
    assert (believed.tokens, believed.counted) == (honest, "provider")
    for reported in (
        None,
        TokenUsage(text_in=14, audio_in=98_000, text_out=30),
        TokenUsage(text_in=14, audio_in=98, text_out=30_000),
        TokenUsage(audio_in=98, text_out=30, audio_out=10_000),
        TokenUsage(audio_in=-1, text_out=30),
    ):
        ours = heard_usage(price, audio_ms=10_000, text=said, reported=reported)
        assert (ours.tokens, ours.counted) == (TokenUsage(audio_in=100, text_out=30), "estimated")
    long = heard_usage(price, audio_ms=600_000, text=said, reported=TokenUsage(audio_in=1, text_out=30))
    assert long.counted == "estimated"


def test_where_seconds_are_priced_nobody_counts_tokens_of_what_was_heard() -> None:
    heard = heard_usage(prices("whisper-1"), audio_ms=5000, text="hello", reported=TokenUsage(audio_in=50))
    assert heard == Usage(audio_ms=5000)


def test_tokens_of_speech_are_counted_whatever_is_priced() -> None:
    """The last event of its stream has them."""
    spoken = spoken_usage(text="hello", audio_ms=700)
    assert (spoken.characters, spoken.tokens, spoken.counted) == (5, TokenUsage(text_in=2, audio_out=15), "estimated")
    assert charge(spoken, prices("tts-1")).micro == 75
    told = TokenUsage(text_in=3, audio_out=20)
    counted = spoken_usage(text="hello", audio_ms=700, reported=told)
    assert (counted.tokens, counted.counted) == (told, "provider")


def test_our_own_count() -> None:
    spoken = spoken_usage(text="x" * 400, audio_ms=60_000)
    assert spoken.tokens == TokenUsage(text_in=100, audio_out=1260)
    assert (text_tokens(""), text_tokens("abcd"), text_tokens("abcde"), text_tokens("日本")) == (0, 1, 2, 2)


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-tts", "tts-1"])
def test_an_estimate_covers_ordinary_work(model: str) -> None:
    """What is held before is enough for what is counted after, of speech at an ordinary speed."""
    price, text = prices(model), "This is a sentence of ordinary length. " * 20
    ms = len(text) * 1000 // 14
    if CATALOG.model(model).tasks == ("speech",):
        before, after = estimated_usage(price, text=text), spoken_usage(text=text, audio_ms=ms * 14 // 16)
    else:
        before = estimated_usage(price, audio_ms=ms, text="a prompt")
        after = heard_usage(price, audio_ms=ms, text=text, prompt="a prompt")
    assert 0 < charge(after, price).micro <= charge(before, price).micro <= 2 * charge(after, price).micro


@pytest.mark.parametrize("model", sorted(CATALOG.models))
def test_prices_survive_a_row(model: str) -> None:
    price = prices(model)
    kept = prices_as_dict(price)
    assert (kept is None) == is_free(price)
    assert prices_from_dict(kept) == price
    assert not by_tokens(price) or any(name.startswith("million") for name in kept or {})


def test_tokens_survive_a_row() -> None:
    assert tokens_from_dict(tokens_as_dict(TOKENS)) == TOKENS
    assert tokens_from_dict(tokens_as_dict(None)) is None
    assert plausible(TOKENS, TOKENS)


@given(
    seconds=st.floats(0, 3600),
    told=st.integers(0, 10**6),
    words=st.integers(0, 3000),
    speed=st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]),
)
@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-tts", "tts-1"])
def test_the_most_is_at_least_what_is_thought(model: str, seconds: float, told: int, words: int, speed: float) -> None:
    """Of sound whose length is known, whatever a provider has counted of it and we believe; of a text, whatever is held for it."""
    price, ms = prices(model), round(1000 * seconds)
    if CATALOG.model(model).tasks == ("speech",):
        text = "word " * words
        assert (
            charge(estimated_usage(price, text=text), price).micro
            <= charge(most_usage(price, text=text, speed=speed), price).micro
        )
        return
    most = charge(most_usage(price, audio_ms=ms), price).micro
    reported = TokenUsage(audio_in=told, text_out=4 * ms // 1000)
    used = heard_usage(price, audio_ms=ms, text="four" * (4 * ms // 1000), reported=reported)
    assert charge(used, price).micro <= most
