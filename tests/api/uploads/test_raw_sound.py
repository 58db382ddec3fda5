"""Sound without a header: declared, it is heard by a job, at once and in an estimate; half declared, it is refused."""

import pytest

from tests.api.conftest import JOBS, House, recording

pytestmark = pytest.mark.processes

HEAR, ESTIMATE = "/v1/audio/transcriptions", "/v1/audio/estimates"
DECLARED = {"input_format": "s16le", "input_sample_rate": "16000", "input_channels": "1"}


def raw(seconds: float = 3.0) -> tuple[bytes, list[str]]:
    sound, said = recording(seconds)
    return sound[44:], said


def test_at_once(house: House) -> None:
    samples, said = raw()
    for path in (HEAR, "/v1/audio/translations"):
        answer = house.post(path, data={"model": "oracle", **DECLARED}, files={"file": ("a", samples)})
        assert answer.status_code == 200, answer.text
        assert answer.json()["text"].split() == said


def test_as_a_job_and_estimated(house: House) -> None:
    samples, said = raw(12.0)
    fields = {"model": "oracle-priced", **DECLARED}
    estimated = house.post(ESTIMATE, data=fields, files={"file": ("a", samples)}).json()
    assert estimated["duration_seconds"] == len(samples) / 32_000
    job = house.submit(samples, **DECLARED)
    house.work()
    assert house.get(f"{JOBS}/{job['id']}").json()["input"]["codec"] == "pcm_s16le"
    text = house.get(f"{JOBS}/{job['id']}/transcript", params={"format": "text"}).text
    assert text.split() == said


def test_behind_a_short_file_the_fields_do_as_well(house: House) -> None:
    samples, said = raw()
    fields = {"model": "oracle", **DECLARED}
    files = [("file", ("a", samples)), *((name, (None, value)) for name, value in fields.items())]
    assert len(samples) < 256 * 1024
    answer = house.post(HEAR, files=files)
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"].split() == said
    assert house.post(JOBS, files=files).status_code == 202


@pytest.mark.parametrize("path", [HEAR, JOBS, ESTIMATE])
def test_an_empty_field_declares_nothing(house: House, path: str) -> None:
    """A file that is no recording is refused at once."""
    files = {"file": ("a.wav", b"<!DOCTYPE html>" * 1000)}
    answer = house.post(path, data={"model": "oracle", **dict.fromkeys(DECLARED, "")}, files=files)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_media"), answer.text


@pytest.mark.parametrize("path", [HEAR, JOBS, ESTIMATE])
@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"input_sample_rate": None}, "input_sample_rate"),
        ({"input_channels": None}, "input_channels"),
        ({"input_format": None}, "input_format"),
        ({"input_format": "s24le"}, "input_format"),
        ({"input_sample_rate": "1"}, "input_sample_rate"),
        ({"input_channels": "9"}, "input_channels"),
        ({"input_format": "g722"}, None),
        ({"input_format": "g722", "input_sample_rate": "8000"}, "input_sample_rate"),
    ],
)
def test_a_wrong_or_missing_part_is_named(
    house: House, path: str, changed: dict[str, str | None], param: str | None
) -> None:
    fields = {name: value for name, value in {"model": "oracle", **DECLARED, **changed}.items() if value is not None}
    answer = house.post(path, data=fields, files={"file": ("a.wav", recording()[0])})
    if param is None:
        assert answer.status_code in (200, 202)
    else:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    house.work()
