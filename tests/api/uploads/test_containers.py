"""Every container at the doors: heard at once and by a job, word for word, and told what it is."""

from pathlib import Path

import pytest

from tests.api.conftest import JOBS, House, recording
from tests.pipeline.test_containers import FILES
from tests.support.sound_files import encoded

pytestmark = pytest.mark.processes

CODECS = {
    "a.wma": "wmav2", "a.caf": "pcm_s16be", "a.au": "pcm_mulaw", "a.w64": "pcm_s16le", "a.ts": "aac", "a.m2ts": "ac3",
    "a.avi": "mp3", "a.flv": "aac", "a.wv": "wavpack", "a.voc": "pcm_s16le", "a.ac3": "ac3", "a.eac3": "eac3", "a.dts": "dts",
    "mp3.wav": "mp3", "ac3.wav": "ac3", "dts.wav": "dts", "adpcm.wav": "adpcm_ms", "g722.wav": "adpcm_g722",
    "g726.wav": "adpcm_g726", "ima.aifc": "adpcm_ima_qt",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_at_once_and_as_a_job(house: House, tmp_path: Path, name: str) -> None:
    sound, said = recording(3.0, seed=len(name))
    data = encoded(sound[44:], tmp_path / name, FILES[name][0])
    files = {"file": ("recording", data)}
    answer = house.post("/v1/audio/transcriptions", data={"model": "oracle"}, files=files)
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"].split() == said
    job = house.post(JOBS, data={"model": "oracle"}, files=files).json()["id"]
    house.work()
    assert house.get(f"{JOBS}/{job}").json()["input"]["codec"] == CODECS[name]
    assert house.get(f"{JOBS}/{job}/transcript", params={"format": "text"}).text.split() == said
