"""How loud a job's sound is: made while it is decoded, and gone with its results."""

import io
import wave
from typing import Any

import numpy as np
import pytest

from infra.database.tables.accounts import Account
from tests.api.conftest import JOBS, House, recording
from tests.support.retention import purge

pytestmark = pytest.mark.processes


def peaks(house: House, job: dict[str, Any], **query: Any) -> Any:
    return house.get(f"{JOBS}/{job['id']}/peaks", params=query)


def counted(house: House) -> int:
    with house.services.database.read() as session:
        account = session.get(Account, house.account_id)
        assert account is not None
        return account.stored_bytes


def test_they_are_those_of_the_recording(house: House) -> None:
    sound, _ = recording(40.0)
    job = house.submit(sound)
    early = peaks(house, job)
    assert (early.status_code, early.json()["error"]["code"]) == (409, "wrong_state")
    house.work()
    found = peaks(house, job).json()
    with wave.open(io.BytesIO(sound)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert (found["object"], found["duration"]) == ("audio.peaks", round(len(samples) / 16_000, 3))
    assert (len(found["data"]), found["samples_per_pixel"]) == (2 * found["length"], 160)
    assert (min(found["data"]), max(found["data"])) == (samples.min(), samples.max())
    coarse = peaks(house, job, points=100).json()
    assert coarse["length"] <= 100
    assert (min(coarse["data"]), max(coarse["data"])) == (samples.min(), samples.max())


def test_of_a_text_they_are_those_of_its_sound(house: House) -> None:
    asked = {"task": "speech", "model": "oracle", "text": "one two three", "response_format": "wav"}
    made = house.post(JOBS, json=asked).json()
    house.work()
    sound = house.get(f"{JOBS}/{made['id']}").json()["sound"]
    found = peaks(house, made).json()
    assert abs(found["duration"] - sound["duration"]) < 0.002
    assert max(found["data"]) > 0


def test_they_count_and_they_go_with_the_results(house: House) -> None:
    before = counted(house)
    job = house.submit(recording()[0])
    house.work()
    sizes = {found.key: found.size for found in house.services.storage.list(f"t/{house.account_id}")}
    assert any(key.endswith(f"{job['id']}/peaks") for key in sizes)
    assert counted(house) - before == sum(sizes.values())
    purge(house.services.database, house.services.jobs, job["id"])
    assert peaks(house, job).status_code == 410


def test_a_job_that_was_never_decoded_has_none(house: House) -> None:
    job = house.submit(recording()[0])
    house.post(f"{JOBS}/{job['id']}/cancel")
    assert peaks(house, job).status_code == 404
    assert house.get(f"{JOBS}/{job['id']}/peaks", headers=house.auth(house.other_key)).status_code == 404
