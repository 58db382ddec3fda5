"""The admin key cannot be guessed by trying."""

from dataclasses import replace
from functools import partial

import pytest
from fastapi.testclient import TestClient

from api.access import admin_lockout, authentication
from api.access.admin_lockout import AdminLockout
from api.main import create_app
from infra.settings import Settings
from infra.wiring import Services
from pipeline.errors import RateLimited
from tests.api.conftest import ADMIN_KEY, House


def ask(house: House, key: str) -> tuple[int, str | None]:
    answer = house.client.get("/admin/prices", headers=house.auth(key))
    return answer.status_code, answer.headers.get("retry-after")


def test_whoever_guesses_is_braked_and_the_right_key_never(house: House) -> None:
    assert ask(house, ADMIN_KEY) == (200, None)
    assert ask(house, house.key) == (401, None), "no guess: it is not counted"
    for n in range(admin_lockout.WRONG_A_MINUTE):
        assert ask(house, f"guess {n}") == (401, None)
    for key in ("guess", house.key):
        status, wait = ask(house, key)
        assert status == 429
        assert 0 < int(wait or 0) <= 60
    assert ask(house, ADMIN_KEY) == (200, None), "from the very address of the guesser"
    assert ask(house, "guess")[0] == 429, "which resets nothing"
    assert house.get("/v1/balance").status_code == 200, "the API itself is open"


@pytest.mark.parametrize(("trusted", "refused"), [("", 3), ("198.51.100.0/24", 0)])
def test_an_address_counts_as_told_by_a_trusted_proxy_alone(
    services: Services, monkeypatch: pytest.MonkeyPatch, trusted: str, refused: int
) -> None:
    """A new address for each guess is none, unless somebody we trust saw it; then it is another peer."""
    monkeypatch.setattr(authentication, "AdminLockout", partial(AdminLockout, 2))
    settings = Settings(home=services.settings.home, admin_key=ADMIN_KEY, trusted_proxies=trusted)
    app = create_app(replace(services, settings=settings))
    with TestClient(app, client=("198.51.100.7", 1)) as client:
        answers = [
            client.get(
                "/admin/prices", headers={"Authorization": "Bearer guess", "X-Forwarded-For": f"203.0.113.{n}"}
            ).status_code
            for n in range(5)
        ]
    assert answers.count(429) == refused
    assert answers.count(401) == 5 - refused


def test_whoever_watches_the_log_is_told_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, tried = [1000.0], AdminLockout(1)
    monkeypatch.setattr(admin_lockout.time, "monotonic", lambda: clock[0])
    for moment in (1000.0, 1000.0, 1030.0, 1070.0):
        clock[0] = moment
        tried.wrong("203.0.113.5")
        with pytest.raises(RateLimited):
            tried.check("203.0.113.5")
    assert [record.getMessage() for record in caplog.records] == [
        "wrong admin keys from 203.0.113.5: 1 within a minute, more are refused"
    ] * 2


def test_a_minute_later_and_from_elsewhere_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tried = [1000.0], AdminLockout(2)
    monkeypatch.setattr(admin_lockout.time, "monotonic", lambda: clock[0])
    for _ in range(2):
        tried.wrong("a")
    with pytest.raises(RateLimited):
        tried.check("a")
    tried.check("b")
    clock[0] += 60
    tried.check("a")
