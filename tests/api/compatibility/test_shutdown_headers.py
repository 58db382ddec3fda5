"""A name that its vendor ends says so in every answer, and no other name does."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.api.conftest import JOBS, House, recording

HEAR, SPEAK = "/v1/audio/transcriptions", "/v1/audio/speech"
END = datetime(2027, 2, 26, tzinfo=UTC)


def told(answer: Any) -> tuple[int, datetime]:
    deprecation, sunset = answer.headers["deprecation"], answer.headers["sunset"]
    assert deprecation.startswith("@")
    return int(deprecation[1:]), parsedate_to_datetime(sunset)


def test_a_refusal_and_a_job_say_it(house: House) -> None:
    refused = house.post(HEAR, data={"model": "whisper-1"}, files={"file": ("a", b"no sound")})
    job = house.post(JOBS, data={"model": "whisper-1"}, files={"file": ("a.wav", recording()[0])})
    shown = house.get("/v1/models/whisper-1")
    assert [answer.status_code for answer in (refused, job, shown)] == [400, 202, 200]
    since = {told(answer) for answer in (refused, job, shown)}
    assert len(since) == 1
    deprecated, sunset = since.pop()
    assert sunset == END
    assert deprecated <= sunset.timestamp()
    assert "sunset" in shown.headers["access-control-expose-headers"]


def test_the_model_tells_its_end_and_where_its_price_was_read(house: House) -> None:
    shown = house.get("/v1/models/whisper-1").json()
    assert (shown["shutdown_date"], shown["successor"]) == ("2027-02-26", "gpt-transcribe")
    assert set(shown["facts"]) == {"as_of", "source"}
    speech = house.get("/v1/models/tts-1").json()
    assert (speech["shutdown_date"], speech["successor"]) == ("2027-01-06", None)
    stays = house.get("/v1/models/oracle").json()
    assert (stays["shutdown_date"], stays["successor"], stays["facts"]) == (None, None, None)


@pytest.mark.processes
def test_a_name_that_stays_says_nothing(house: House) -> None:
    heard = house.post(HEAR, data={"model": "oracle"}, files={"file": ("a.wav", recording()[0])})
    spoken = house.post(SPEAK, json={"model": "oracle", "input": "hello", "voice": "alloy"})
    ending = house.post(SPEAK, json={"model": "tts-1", "input": "Hello.", "voice": "alloy"})
    assert [answer.status_code for answer in (heard, spoken, ending)] == [200, 200, 200]
    assert [("deprecation" in a.headers, "sunset" in a.headers) for a in (heard, spoken, ending)] == [
        (False, False),
        (False, False),
        (True, True),
    ]
