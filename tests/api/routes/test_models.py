"""A model's own page of the API: what it costs now, with the ratio that is in force for whoever asks."""

from decimal import Decimal

from tests.api.conftest import House


def pricing(house: House, model: str) -> dict[str, dict[str, str]]:
    told = house.get(f"/v1/models/{model}").json()["pricing"]
    return {one["dimension"]: one for one in told["dimensions"]}


def test_the_price_of_sound_follows_the_ratio(house: House) -> None:
    before = pricing(house, "oracle-priced")["audio_minute"]
    assert (before["usd"], before["ratio"], before["usd_in_force"]) == ("0.006", "1", "0.006")
    house.services.ratios.set("oracle-priced", Decimal("1.5"))
    try:
        after = pricing(house, "oracle-priced")["audio_minute"]
    finally:
        house.services.ratios.clear("oracle-priced")
    assert (after["usd"], after["ratio"], after["usd_in_force"]) == ("0.006", "1.5", "0.009")


def test_text_is_not_multiplied(house: House) -> None:
    house.services.ratios.set("gpt-4o-mini-tts", Decimal(2))
    try:
        found = pricing(house, "gpt-4o-mini-tts")
    finally:
        house.services.ratios.clear("gpt-4o-mini-tts")
    assert {name: one["ratio"] for name, one in found.items()} == {
        "million_text_tokens_in": "1",
        "million_audio_tokens_out": "2",
    }


def test_a_model_that_is_free_has_no_prices(house: House) -> None:
    assert house.get("/v1/models/oracle").json()["pricing"]["dimensions"] == []
