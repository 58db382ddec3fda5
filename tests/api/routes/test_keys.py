"""/v1/keys: an account's own keys."""

from tests.api.conftest import House

KEYS = "/v1/keys"


def test_a_keys_life(house: House) -> None:
    made = house.post(KEYS, json={"name": "backend", "scopes": ["transcribe", "usage"]})
    assert made.status_code == 201
    key = made.json()
    assert key["key"].startswith(key["prefix"])
    assert (key["object"], key["status"], key["account_id"]) == ("api_key", "active", house.account_id)
    shown = house.get(f"{KEYS}/{key['id']}").json()
    assert "key" not in shown
    assert house.get("/v1/usage", headers=house.auth(key["key"])).status_code == 200
    assert house.get(f"{KEYS}/{key['id']}").json()["last_used_at"] is not None
    rotated = house.post(f"{KEYS}/{key['id']}/rotate", json={"overlap_seconds": 0}).json()
    assert rotated["scopes"] == ["transcribe", "usage"]
    assert house.get("/v1/usage", headers=house.auth(key["key"])).status_code == 401
    assert house.delete(f"{KEYS}/{rotated['id']}").json()["status"] == "revoked"
    assert house.get("/v1/usage", headers=house.auth(rotated["key"])).status_code == 401


def test_no_key_makes_one_that_may_do_more(house: House) -> None:
    poor, _ = house.services.accounts.create_key(house.account_id, scopes=["keys", "usage"])
    _, strong = house.services.accounts.create_key(house.account_id)
    mine = {"headers": house.auth(poor)}
    refused = house.post(KEYS, json={"scopes": ["usage", "jobs:write"]}, **mine)
    assert refused.status_code == 403
    assert "jobs:write" in refused.json()["error"]["message"]
    assert house.post(KEYS, json={}, **mine).json()["scopes"] == ["keys", "usage"], "everything that its maker may"
    assert house.post(f"{KEYS}/{strong.id}/rotate", **mine).status_code == 403
    assert house.post(KEYS, json={"scopes": ["fly"]}, **mine).status_code == 400


def test_lists_show_only_ones_own_and_cursors_are_ones_own(house: House) -> None:
    made = [house.post(KEYS, json={"name": str(number)}).json()["id"] for number in range(3)]
    found = house.get(f"{KEYS}?limit=2").json()
    assert [key["id"] for key in found["data"]] == made[:0:-1]
    assert found["has_more"]
    theirs = {"headers": house.auth(house.other_key)}
    assert not {key["id"] for key in house.get(KEYS, **theirs).json()["data"]} & set(made)
    assert house.get(f"{KEYS}?after={made[0]}", **theirs).status_code == 400
    assert house.delete(f"{KEYS}/{made[0]}", **theirs).status_code == 404


def test_with_an_idempotency_key_there_is_one(house: House) -> None:
    once = {"headers": {**house.auth(), "Idempotency-Key": "the one"}}
    first, again = house.post(KEYS, json={"name": "x"}, **once), house.post(KEYS, json={"name": "x"}, **once)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["key"] is None
    assert house.post(KEYS, json={"name": "y"}, **once).status_code == 409
