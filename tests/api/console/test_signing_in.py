"""Signing in and out of the console, and what a cookie is worth."""

import pytest
from sqlalchemy import update

from infra.database.tables.console import ConsoleSession
from infra.keys.key_cache import REMEMBERED_SECONDS
from tests.api.conftest import ADMIN_KEY, House
from tests.api.console.conftest import Browser

NAME = "stenopool_console"
PAGES = ["/new", "/jobs", "/usage", "/keys", "/webhooks", "/operator"]


def test_a_key_signs_in_and_the_cookie_is_kept_from_scripts_and_other_sites(stranger: Browser, house: House) -> None:
    answer = stranger.sign_in(house.key)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/new")
    told = answer.headers["set-cookie"].lower()
    for attribute in ("httponly", "samesite=strict", "path=/console"):
        assert attribute in told
    assert "secure" not in told.replace("__secure-", ""), "over plain HTTP it would never come back"
    assert stranger.get("/new").status_code == 200


def test_under_tls_the_cookie_is_a_secure_one(stranger: Browser, house: House) -> None:
    stranger.client.base_url = "https://testserver"
    answer = stranger.post("/sign-in", {"key": house.key}, headers={"origin": "https://testserver"})
    told = answer.headers["set-cookie"]
    assert told.startswith(f"__Secure-{NAME}=")
    assert "Secure" in told.split("; ", 1)[1]


@pytest.mark.parametrize("page", PAGES)
def test_without_a_session_a_page_leads_to_the_sign_in_and_back(stranger: Browser, house: House, page: str) -> None:
    answer = stranger.get(page)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/sign-in?why=")
    assert answer.headers["location"].endswith(f"next=/console{page}")
    if page != "/operator":
        assert stranger.sign_in(house.key, next=f"/console{page}").headers["location"] == f"/console{page}"


@pytest.mark.parametrize(
    "target", ["https://elsewhere.example", "//elsewhere.example", "/docs", "/console//elsewhere", "/console/\\x", "javascript:1"]
)  # fmt: skip
def test_signing_in_leads_nowhere_else(stranger: Browser, house: House, target: str) -> None:
    assert stranger.sign_in(house.key, next=target).headers["location"] == "/console/new"


@pytest.mark.parametrize("key", ["", "sk-wrong", "sk-" + "0" * 56, "x" * 5000, "<script>alert(1)</script>"])
def test_a_wrong_key_is_refused_with_words(stranger: Browser, key: str) -> None:
    answer = stranger.sign_in(key)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text
    assert stranger.get("/new").status_code == 303


def test_a_sign_in_takes_no_secret_from_the_browser(stranger: Browser, house: House) -> None:
    """Session fixation: a cookie that somebody has put there before is not the one that is signed in."""
    planted = "A" * 43
    stranger.client.cookies.set(NAME, planted, domain="testserver.local", path="/console")
    stranger.sign_in(house.key)
    values = [cookie.value for cookie in stranger.client.cookies.jar if cookie.name == NAME]
    assert planted not in values
    other = stranger.client
    other.cookies.clear()
    other.cookies.set(NAME, planted, path="/console")
    assert stranger.get("/new").status_code == 303


def test_signing_in_anew_ends_the_session_before(browser: Browser, house: House) -> None:
    (old,) = [cookie.value for cookie in browser.client.cookies.jar if cookie.name == NAME]
    browser.sign_in(house.key)
    browser.client.cookies.clear()
    browser.client.cookies.set(NAME, old, path="/console")
    assert browser.get("/new").status_code == 303


def test_signing_out_ends_it_on_the_server(browser: Browser) -> None:
    (old,) = [cookie.value for cookie in browser.client.cookies.jar if cookie.name == NAME]
    assert browser.post("/sign-out").headers["location"] == "/console/sign-in"
    browser.client.cookies.set(NAME, old, path="/console")
    assert browser.get("/new").status_code == 303


def test_a_session_past_its_time_leads_to_the_sign_in(browser: Browser, house: House) -> None:
    with house.services.database.write() as session:
        session.execute(update(ConsoleSession).values(expires_at=1.0))
    assert browser.get("/jobs").status_code == 303
    assert browser.get("/v1/models").status_code == 401
    part = browser.get("/jobs/rows", headers={"hx-request": "true"})
    assert part.headers["hx-redirect"].startswith("/console/sign-in")


def test_a_revoked_key_ends_its_session(stranger: Browser, house: House) -> None:
    secret, key = house.services.accounts.create_key(house.account_id)
    stranger.sign_in(secret)
    assert stranger.get("/new").status_code == 200
    house.services.accounts.revoke_key(key.id)
    answer = stranger.get("/new")
    assert answer.status_code == 303
    assert "revoked" in answer.headers["location"]
    assert REMEMBERED_SECONDS < 6, "in other processes it is remembered no longer"


def test_a_link_signs_in_once_and_its_secret_leaves_the_address_bar(stranger: Browser, house: House) -> None:
    link = house.services.sign_in_links.make(house.account_id, "http://testserver")
    path = link.removeprefix("http://testserver/console")
    answer = stranger.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/new")
    assert stranger.get("/new").status_code == 200
    stranger.client.cookies.clear()
    again = stranger.get(path)
    assert again.status_code == 403
    assert "used already" in again.text


def test_a_browser_that_comes_from_elsewhere_is_sent_here_once_more(stranger: Browser) -> None:
    """It does not bring the cookie then; with the second request, from our own page, it does."""
    answer = stranger.get("/sign-in?next=/console/jobs", headers={"sec-fetch-site": "cross-site"})
    assert "url=/console/jobs" in answer.text
    assert "set-cookie" not in answer.headers


def test_the_admin_key_opens_the_operators_page_alone(stranger: Browser) -> None:
    answer = stranger.sign_in(ADMIN_KEY)
    assert answer.headers["location"] == "/console/operator"
    shown = stranger.get("/operator")
    assert shown.status_code == 200
    assert ">Operator</a>" in shown.text
    assert stranger.get("/new").status_code == 303


def test_an_accounts_key_can_be_added_to_the_admin_key(stranger: Browser, house: House) -> None:
    stranger.sign_in(ADMIN_KEY)
    stranger.sign_in(house.key)
    assert [stranger.get(page).status_code for page in PAGES] == [200] * len(PAGES)


def test_an_accounts_session_is_no_operators(browser: Browser) -> None:
    assert ">Operator</a>" not in browser.get("/new").text
    assert browser.get("/operator").status_code == 303
