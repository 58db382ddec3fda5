"""/admin/overview: what the installation is doing."""

import pytest

from tests.api.conftest import ADMIN_KEY, House

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


def overview(house: House) -> dict[str, object]:
    answer = house.client.get("/admin/overview", headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json()


def waiting(house: House, lane: str) -> float:
    return sum(one["audio_seconds"] for one in overview(house)["queue"] if one["lane"] == lane)


@pytest.mark.processes
def test_the_queue_is_told_by_lane_in_seconds_of_sound(house: House) -> None:
    before = waiting(house, "cpu archive")
    house.submit(priority="low")
    assert waiting(house, "cpu archive") > before
    house.work()
    assert waiting(house, "cpu archive") == 0


@pytest.mark.processes
def test_what_is_being_done_and_by_whom(house: House) -> None:
    house.services.workers.beat("w-1", "cpu", "here", 7, {"sandbox": "bubblewrap"})
    job = house.submit()["id"]
    house.claim(job)
    told = overview(house)
    (worker,) = [one for one in told["workers"] if one["id"] == "w-1"]
    assert (worker["role"], worker["pid"], worker["sandbox"]) == ("cpu", 7, "bubblewrap")
    house.services.workers.leave("w-1")
    assert told["parts"]["database"]["ok"]
    assert "oracle" in {one["name"] for one in told["providers"]}
    assert all(one["away_seconds"] is None for one in told["providers"])
