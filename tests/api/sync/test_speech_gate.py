"""What is put to no provider: steady noise, unless the caller wants everything heard; the same at every door."""

import io
import wave

import numpy as np
import pytest

from tests.api.conftest import JOBS, House

pytestmark = pytest.mark.processes

HEAR, TRANSLATE, ESTIMATE = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/estimates"


def noise(seconds: float = 4.0) -> bytes:
    """A WAV of hiss."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(1).normal(0, 300, round(16_000 * seconds)).astype("<i2").tobytes())
    return held.getvalue()


@pytest.mark.parametrize("path", [HEAR, TRANSLATE])
@pytest.mark.parametrize(("gate", "hearer"), [(None, "none"), ("auto", "none"), ("off", "oracle")])
def test_at_once(house: House, path: str, gate: str | None, hearer: str) -> None:
    fields = {"model": "oracle"} | ({"speech_gate": gate} if gate else {})
    answer = house.post(path, data=fields, files={"file": ("a.wav", noise())})
    assert (answer.status_code, answer.json()["text"]) == (200, "")
    assert answer.headers["x-perf-model-used"] == hearer


@pytest.mark.parametrize(("gate", "hearer"), [("auto", None), ("off", "oracle")])
def test_as_a_job(house: House, gate: str, hearer: str | None) -> None:
    for seconds in (4.0, 70.0):  # of one chunk, and of several
        job = house.submit(noise(seconds), speech_gate=gate)
        house.work()
        done = house.get(f"{JOBS}/{job['id']}").json()
        assert (done["status"], done["model_used"]) == ("completed", hearer)


def test_other_values_are_refused_and_estimates_take_it(house: House) -> None:
    for path in (HEAR, TRANSLATE, JOBS, ESTIMATE):
        files = {"file": ("a.wav", noise())}
        wrong = house.post(path, data={"model": "oracle", "speech_gate": "maybe"}, files=files)
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "speech_gate")
    right = house.post(ESTIMATE, data={"model": "oracle", "speech_gate": "off"}, files=files)
    assert right.json()["duration_seconds"] == 4.0
