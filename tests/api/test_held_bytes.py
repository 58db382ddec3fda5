"""Bodies in memory and files for estimates: one account's leave room for another's, and all of it comes back."""

import threading

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.access.request_slots import FREE, STEP, RequestSlots
from api.held_bytes import HeldBytes
from api.main import create_app
from tests.api.conftest import JOBS, House, recording


def test_an_account_leaves_a_fifth_to_the_others() -> None:
    held = HeldBytes(1000)
    assert all(held.take("greedy", 100) for _ in range(8))
    assert not held.take("greedy", 1)
    assert held.take("neighbour", 100)
    assert not held.take("neighbour", 400)
    held.give_back("greedy", 800)
    assert held.take("neighbour", 400)
    assert held.held == 500 and held.accounts == {"neighbour": 500}


def test_whatever_ends_a_request_its_bytes_come_back() -> None:
    slots = RequestSlots()
    slot = slots.holder("a")
    with pytest.raises(ZeroDivisionError), slot:
        slot.hold(FREE)
        assert slots.memory.held == 0, "so much comes with the slot"
        for _ in range(10):
            slot.hold(10)
        slot.hold(10 * STEP)
        assert slots.memory.accounts == {"a": 10 * STEP + 100}
        raise ZeroDivisionError
    assert slots.memory.held == 0


def test_many_at_once_count_exactly() -> None:
    held = HeldBytes(10**9)

    def live() -> None:
        for size in range(1000):
            held.take("a", size)
            held.give_back("a", size)

    threads = [threading.Thread(target=live) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held.held == 0 and not held.accounts


SYNC = "/v1/audio/transcriptions"


@pytest.mark.processes
def test_recordings_and_fields_in_memory_have_a_bound(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.access.request_slots.memory_for_bodies", lambda: 200_000)
    with TestClient(create_app(house.services)) as client:
        for _ in range(5):
            clip = {"file": ("talk.wav", recording(2)[0])}
            answer = client.post(SYNC, data={"model": "oracle"}, files=clip, headers=house.auth())
            assert answer.status_code == 200, "what an answer has held is free again"
            large = client.post(SYNC, data={"model": "oracle"}, files={"file": recording(10)[0]}, headers=house.auth())
            assert (large.status_code, large.json()["error"]["code"]) == (503, "server_busy")
        talk = client.post(JOBS, data={"prompt": "a" * 300_000}, files=clip, headers=house.auth())
        assert talk.status_code == 503
        assert client.post(JOBS, json={"prompt": "a" * 300_000}, headers=house.auth()).status_code == 503
        sound = {"file": ("talk.wav", recording(60)[0])}
        stored = client.post(JOBS, data={"model": "oracle"}, files=sound, headers=house.auth())
        assert stored.status_code == 202, "what goes to storage is no matter of memory"


@pytest.mark.processes
def test_files_of_estimates_have_a_bound(house: House) -> None:
    app = house.client.app
    assert isinstance(app, FastAPI)
    scratch = app.state.context.scratch = HeldBytes(100_000)
    for size, status in ((2, 200), (60, 503), (2, 200)):
        sound = {"file": ("talk.wav", recording(size)[0])}
        assert house.post("/v1/audio/estimates", data={"model": "oracle"}, files=sound).status_code == status
        assert scratch.held == 0
