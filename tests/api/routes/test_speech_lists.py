"""Names of models and voices for clients that send no key."""

from tests.api.conftest import House


def test_the_models_that_speak_are_told_to_anybody(house: House) -> None:
    told = house.client.get("/v1/audio/models").json()
    assert set(told) == {"models"}
    assert {"tts-1", "tts-1-hd", "gpt-4o-mini-tts", "espeak-ng"} <= {one["id"] for one in told["models"]}
    assert "whisper-1" not in {one["id"] for one in told["models"]}
    assert all(set(one) == {"id"} for one in told["models"])
    assert house.get("/v1/audio/models").json() == told, "a key changes nothing"


def test_the_voices_are_told_to_anybody(house: House) -> None:
    told = house.client.get("/v1/audio/voices").json()
    assert set(told) == {"voices"}
    assert {"id": "alloy", "name": "alloy"} in told["voices"]
    names = [one["id"] for one in told["voices"]]
    assert len(names) == len(set(names)) >= 13
    of_one = house.client.get("/v1/audio/voices", params={"model": "oracle"}).json()["voices"]
    assert len(of_one) == 13
    assert house.client.get("/v1/audio/voices", params={"model": "nobody"}).status_code == 404
    assert house.client.get("/v1/audio/voices", params={"model": "pocketsphinx-en-us"}).json() == {"voices": []}
