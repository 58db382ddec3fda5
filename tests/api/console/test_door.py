"""The console's door: forms of others, frames of others, scripts of others."""

from typing import Any

import pytest

from tests.api.conftest import JOBS, House
from tests.api.console.conftest import ORIGIN, Browser

FOREIGN = {"origin": "http://testserver:3000"}  # the same site, since ports do not count there


def test_every_answer_says_what_a_browser_may_do(browser: Browser) -> None:
    for path in ("/new", "/sign-in", "/nowhere", "/static/console.css", "/v1/models"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy, path
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert headers["x-frame-options"] == "DENY"
        assert "microphone=(self)" in headers["permissions-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


def test_the_api_beside_it_is_as_it_was(browser: Browser, house: House) -> None:
    answer = house.get("/v1/models")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-security-policy" not in answer.headers
    assert browser.client.get("/v1/models").status_code == 401, "it never looks at cookies"


@pytest.mark.parametrize(
    "path", ["/sign-in", "/sign-out", "/keys", "/jobs/act", "/webhooks", "/sample", "/keys/x/revoke"]
)
@pytest.mark.parametrize(
    "sent",
    [
        {"headers": FOREIGN},
        {"headers": {}},
        {"headers": {"origin": "null"}},
        {"headers": {"origin": ORIGIN, "sec-fetch-site": "same-site"}},
        {"headers": {"origin": ORIGIN}, "fields": {"form_token": ""}},
        {"headers": {"origin": ORIGIN}, "fields": {"form_token": "0" * 64}},
    ],
    ids=["another port", "no origin", "null", "another site", "no token", "a wrong token"],
)
def test_forms_of_others_do_nothing(browser: Browser, house: House, path: str, sent: dict[str, Any]) -> None:
    before = len(house.services.accounts.list_keys(house.account_id))
    answer = browser.post(path, sent.get("fields"), headers=sent["headers"])
    assert answer.status_code == 403, answer.text
    assert 'role="alert"' in answer.text
    assert len(house.services.accounts.list_keys(house.account_id)) == before
    assert browser.get("/new").status_code == 200, "still signed in"


def test_one_browsers_token_is_no_other_ones(browser: Browser, house: House) -> None:
    mine = browser.token()
    browser.client.cookies.clear()
    browser.sign_in(house.key)
    assert browser.post("/keys", {"form_token": mine}).status_code == 403


def test_scripts_of_a_page_ask_the_api_with_the_sessions_key(browser: Browser, house: House) -> None:
    job = house.submit()["id"]
    assert browser.get(f"/v1/audio/jobs/{job}").json()["id"] == job
    sent = {"origin": ORIGIN, "x-console-token": browser.token()}
    made = browser.client.post("/console/v1/keys", json={"name": "by a script"}, headers=sent)
    assert made.status_code == 201
    assert house.get(f"/v1/keys/{made.json()['id']}").json()["name"] == "by a script"


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": ORIGIN}, {"x-console-token": "mine"}, {"x-console-token": "mine", **FOREIGN}],
    ids=["nothing", "no token", "no origin", "another port"],
)
def test_scripts_of_others_change_nothing(browser: Browser, house: House, headers: dict[str, str]) -> None:
    told = {name: browser.token() if value == "mine" else value for name, value in headers.items()}
    job = house.submit()["id"]
    assert browser.client.delete(f"/console{JOBS}/{job}?force=true", headers=told).status_code == 403
    assert house.get(f"{JOBS}/{job}").status_code == 200


def test_other_sites_read_nothing(browser: Browser) -> None:
    for site in ("cross-site", "same-site"):
        assert browser.get("/v1/balance", headers={"sec-fetch-site": site}).status_code == 403


def test_a_strangers_script_is_told_to_sign_in(stranger: Browser, house: House) -> None:
    answer = stranger.get("/v1/models", headers={"authorization": f"Bearer {house.key}"})
    assert answer.status_code == 401
    assert "/console/sign-in" in answer.json()["error"]["message"]


def test_a_key_that_a_script_brings_is_not_used(browser: Browser, house: House) -> None:
    """Whose session it is decides, and nothing else that is sent along."""
    told = browser.get("/v1/balance", headers={"authorization": f"Bearer {house.other_key}"})
    assert told.json()["account_id"] == house.account_id


@pytest.mark.parametrize("path", ["/v1", "/v1/../admin/accounts", "/admin/accounts", "/v1x/models"])
def test_nothing_but_the_api_is_behind_the_door(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code in (401, 404)


@pytest.mark.parametrize(
    "name", ["../pages.py", "..%2fpages.py", "templates/base.html", "", "vendor", "%2e%2e/door.py"]
)
def test_no_file_beside_the_folder_is_served(browser: Browser, name: str) -> None:
    assert browser.get(f"/static/{name}").status_code == 404


def test_static_files_are_kept_for_good_and_pages_never(browser: Browser) -> None:
    assert "immutable" in browser.get("/static/console.css").headers["cache-control"]
    assert browser.get("/new").headers["cache-control"] == "no-store"


def test_a_form_without_end_is_refused(browser: Browser) -> None:
    assert browser.post("/keys", {"name": "x" * 300_000}).status_code == 413
