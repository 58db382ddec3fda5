"""A server is ready when its engines are loaded, and says so where one cannot be."""

import asyncio
import threading

import pytest

from api.readiness import Readiness
from tests.api.conftest import House
from tests.support.waiting import wait_until


@pytest.fixture
def readiness(house: House, monkeypatch: pytest.MonkeyPatch) -> Readiness:
    monkeypatch.setattr(house.services.queue, "check", dict)
    monkeypatch.setattr(house.services.jobs, "unserved", lambda _: [])
    return Readiness(house.services)


def status(readiness: Readiness) -> str:
    return asyncio.run(readiness.status())


def until_over(readiness: Readiness) -> str:
    wait_until(lambda: status(readiness) != "starting")
    return status(readiness)


def test_it_is_starting_until_they_are_loaded(
    house: House, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = threading.Event()
    monkeypatch.setattr(house.services.registry, "warm", loaded.wait)
    readiness.warm_engines()
    assert [status(readiness), status(readiness)] == ["starting", "starting"]
    loaded.set()
    assert until_over(readiness) == "ok"


def test_one_that_cannot_be_loaded_is_degraded(
    house: House, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = {"whisper-base": "The model cannot be loaded"}
    monkeypatch.setattr(house.services.registry, "warm", lambda: house.services.registry.troubles.update(troubles))
    readiness.warm_engines()
    assert until_over(readiness) == "degraded"
    house.services.registry.troubles.clear()
