"""What the API tells of a job that waits for something that is away."""

from pipeline.errors import StorageUnavailable
from pipeline.lifecycle import Dependency
from tests.api.conftest import JOBS, House


def test_a_job_that_waits_says_for_what_and_promises_no_time(house: House) -> None:
    job = house.submit(on_provider_outage="wait")
    assert job["request"]["on_provider_outage"] == "wait"
    lease, before = house.claim(job["id"]), house.get(f"{JOBS}/{job['id']}").headers["etag"]
    away = StorageUnavailable()
    house.services.jobs.wait(lease, Dependency.STORAGE, "storage", away.as_dict())
    answer = house.get(f"{JOBS}/{job['id']}")
    shown = answer.json()
    assert answer.headers["etag"] != before
    assert (shown["status"], shown["attempt"]) == ("queued", 1)
    assert (shown["progress"]["stage"], shown["progress"]["eta_seconds"]) == ("waiting_for_storage", None)
    assert shown["waiting"] == {"code": "storage_unavailable", "message": away.message, "param": None, "until": None}
    assert shown["queue"]["eta"] is None
    events = house.get(f"{JOBS}/{job['id']}/events").json()["data"]
    assert (events[-1]["type"], events[-1]["data"]["error"]["code"]) == ("waiting_for_storage", "storage_unavailable")
    house.services.jobs.answered({"storage"})
    house.services.jobs.end_waits()
    shown = house.get(f"{JOBS}/{job['id']}").json()
    assert (shown["progress"]["stage"], shown["waiting"]) == ("waiting", None)
