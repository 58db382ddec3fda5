"""The admin key cannot be guessed by trying."""

import pytest

from api.access import admin_lockout
from api.access.admin_lockout import AdminLockout
from pipeline.errors import RateLimited
from tests.api.conftest import ADMIN_KEY, House


def ask(house: House, key: str) -> tuple[int, str | None]:
    answer = house.client.get("/admin/prices", headers=house.auth(key))
    return answer.status_code, answer.headers.get("retry-after")


def test_whoever_guesses_waits_also_with_the_right_key(house: House) -> None:
    assert ask(house, ADMIN_KEY) == (200, None)
    assert ask(house, house.key) == (401, None), "no guess: it is not counted"
    for n in range(admin_lockout.WRONG_A_MINUTE):
        assert ask(house, f"guess {n}") == (401, None)
    assert ask(house, "guess")[0] == 429
    for key in (house.key, ADMIN_KEY):
        status, wait = ask(house, key)
        assert status == 429
        assert 0 < int(wait or 0) <= 60
    assert house.get("/v1/balance").status_code == 200, "the API itself is open"


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
