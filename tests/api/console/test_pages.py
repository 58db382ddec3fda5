"""What the pages say, and what their forms do, as far as no script is needed for it."""

import io
import re
import zipfile

import pytest

from pipeline.errors import DatabaseUnavailable
from tests.api.conftest import House, recording
from tests.api.console.conftest import Browser
from tests.support.receiver import Receiver

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def test_no_page_runs_what_somebody_called_something(browser: Browser, house: House) -> None:
    """Stored XSS: names of files, keys, endpoints and accounts, references, URLs."""
    sound = recording()[0]
    data = {"model": "oracle", "client_reference_id": EVIL, "metadata": '{"note": "<script>alert(3)</script>"}'}
    job = house.post("/v1/audio/jobs", data=data, files={"file": (EVIL, sound)}).json()["id"]
    house.post("/v1/audio/jobs", json={"model": "oracle", "url": f"http://127.0.0.1:9/{EVIL.replace(' ', '')}"})
    house.services.accounts.create_key(house.account_id, EVIL)
    hook = {"name": EVIL, "url": "http://127.0.0.1:9/<script>", "event_types": ["webhook.test"]}
    endpoint = house.post("/v1/webhook_endpoints", json=hook).json()["id"]
    house.services.accounts.update(house.account_id, name=EVIL)
    for path in ("/new", f"/jobs?search={job}", "/jobs", "/jobs/rows", "/usage", "/keys", "/webhooks", f"/webhooks/{endpoint}",
                 f"/jobs?search={EVIL}&said={EVIL}&failed={EVIL}", f"/sign-in?why={EVIL}&next={EVIL}"):  # fmt: skip
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<img src=x" not in answer.text, path
    assert "&lt;script&gt;" in browser.get("/keys").text


def test_the_jobs_that_a_search_finds(browser: Browser, house: House) -> None:
    for name in ("Meeting 1.wav", "meeting 2.wav", "100%_sure.wav"):
        house.post("/v1/audio/jobs", data={"model": "oracle"}, files={"file": (name, recording()[0])})

    def found(search: str) -> list[str]:
        return sorted(re.findall(r">([^<>]+\.wav)</a>", browser.get("/jobs/rows", params={"search": search}).text))

    assert found("MEETING") == ["Meeting 1.wav", "meeting 2.wav"]
    assert found("%_") == ["100%_sure.wav"], "no wildcard to whoever types one"
    assert found("nowhere") == []
    assert "No job is like that" in browser.get("/jobs?search=nowhere").text


def test_an_empty_list_teaches(browser: Browser) -> None:
    assert "sample" in browser.get("/jobs").text
    assert "No endpoint yet" in browser.get("/webhooks").text
    assert "Nothing was used" in browser.get("/usage").text


@pytest.mark.processes
def test_many_jobs_are_steered_at_once(browser: Browser, house: House) -> None:
    jobs = [house.submit()["id"] for _ in range(3)]
    answer = browser.post("/jobs/act", {"id": jobs[:2], "act": "cancel"})
    assert "2+jobs+cancelled." in answer.headers["location"]
    house.work()
    assert [house.get(f"/v1/audio/jobs/{job}").json()["status"] for job in jobs] == ["cancelled"] * 2 + ["completed"]
    refused = browser.post("/jobs/act", {"id": jobs, "act": "cancel"}).headers["location"]
    assert "2+jobs+cancelled." in refused, "what is cancelled already is"
    assert jobs[2] in refused, "says which is not, and why"
    browser.post("/jobs/act", {"id": jobs[:1], "act": "delete"})
    assert house.get(f"/v1/audio/jobs/{jobs[0]}").status_code == 404
    assert browser.post("/jobs/act", {"id": jobs, "act": "explode"}).status_code == 400


@pytest.mark.processes
def test_transcripts_as_a_zip(browser: Browser, house: House) -> None:
    done = house.post(
        "/v1/audio/jobs", data={"model": "oracle"}, files={"file": ("../../a b?.wav", recording()[0])}
    ).json()
    house.work()
    live = house.submit()["id"]
    answer = browser.post("/jobs/act", {"id": [done["id"], live], "act": "download", "format": "srt"})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        assert len(names) == 2
        (text,) = [name for name in names if name.endswith(".srt")]
        assert done["id"] in text
        assert "/" not in text and ".." not in text
        assert "-->" in archive.read(text).decode()
        assert live in archive.read("not-here.txt").decode()
    assert browser.post("/jobs/act", {"id": done["id"], "act": "download", "format": "exe"}).status_code == 400


@pytest.mark.processes
def test_usage_with_a_chart_and_as_csv(browser: Browser, house: House) -> None:
    data = {"model": "oracle-priced"}
    house.post("/v1/audio/jobs", data=data, files={"file": ("a.wav", recording(3.0)[0])})
    house.work()
    shown = browser.get("/usage").text
    assert shown.count("<rect") == 1
    assert "$0.0003" in shown
    lines = browser.get("/usage.csv?by=model").text.splitlines()
    assert lines[0] == "model,requests,audio_seconds,characters,cost_usd"
    assert lines[1].startswith("oracle-priced,1,3.0,")
    assert browser.get("/usage?from=2026-02-02&to=2026-01-01").status_code == 400


def test_a_key_is_made_shown_once_and_revoked(browser: Browser, house: House) -> None:
    made = browser.post("/keys", {"name": "of a page", "scope": ["transcribe", "usage"], "expires": "2099-01-01"})
    (secret,) = re.findall(r"sk-\w{56}", made.text)
    assert house.get("/v1/models", headers=house.auth(secret)).status_code == 200
    assert house.get("/v1/audio/jobs", headers=house.auth(secret)).status_code == 403
    listed = browser.get("/keys").text
    assert secret not in listed
    assert "of a page" in listed
    key_id = secret[3:13]
    assert browser.post(f"/keys/{key_id}/revoke").status_code == 303
    assert house.get("/v1/models", headers=house.auth(secret)).status_code == 401
    assert browser.post("/keys", {"expires": "tomorrow"}).status_code == 400


def test_a_webhook_is_made_tested_and_replayed(browser: Browser, house: House, site: Receiver) -> None:
    made = browser.post("/webhooks", {"name": "mine", "url": site.url, "event_type": ["webhook.test"]})
    assert re.search(r"whsec_\S+?</code>", made.text)
    (endpoint,) = house.get("/v1/webhook_endpoints").json()["data"]
    path = f"/webhooks/{endpoint['id']}"
    house.test_event(endpoint["id"])
    house.deliver()
    shown = browser.get(path).text
    assert "thanks" in shown, "what was answered"
    assert "webhook.test" in shown
    assert "&#34;type&#34;" in shown, "what was sent"
    (delivery,) = house.get(f"/v1/webhook_endpoints/{endpoint['id']}/deliveries").json()["data"]
    assert browser.post(f"{path}/deliveries/{delivery['id']}/replay").status_code == 303
    house.deliver()
    assert len(site.got) == 2
    rotated = browser.post(f"{path}/rotate").text
    assert re.search(r"whsec_\S+?</code>", rotated)
    browser.post(f"{path}/status", {"status": "disabled"})
    assert "Switch on" in browser.get(path).text
    browser.post(f"{path}/delete")
    assert "No endpoint yet" in browser.get("/webhooks").text


def test_a_balance_of_nothing_is_said(browser: Browser, house: House) -> None:
    left = house.services.ledger.balance(house.account_id)
    house.services.adjustments.book("adjust", house.account_id, -left, note="all of it")
    for path in ("/new", "/usage"):
        assert "stenopool accounts top-up" in browser.get(path).text


def test_a_key_that_may_not_is_told_so_on_a_page(stranger: Browser, house: House) -> None:
    secret, _ = house.services.accounts.create_key(house.account_id, scopes=["usage"])
    stranger.sign_in(secret)
    answer = stranger.get("/jobs")
    assert answer.status_code == 403
    assert "jobs:read" in answer.text
    assert stranger.get("/usage").status_code == 200


def test_the_sample_makes_a_job(browser: Browser, house: House) -> None:
    answer = browser.post("/sample")
    assert answer.status_code == 303
    job_id = answer.headers["location"].removeprefix("/console/jobs/")
    assert house.get(f"/v1/audio/jobs/{job_id}").json()["input"]["filename"] == "sample.mp3"


def test_while_the_database_is_away_a_page_says_so(
    browser: Browser, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_secret: str) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(house.services.console_sessions, "find", away)
    answer = browser.get("/jobs")
    assert answer.status_code == 503
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers, "whoever is signed in still is when it is back"


def test_what_is_no_page_is_one_that_says_so(browser: Browser) -> None:
    answer = browser.get("/nowhere<b>")
    assert answer.status_code == 404
    assert "There is no page" in answer.text
    assert "<b>" not in answer.text


def test_a_form_that_is_sent_twice_makes_one_key(browser: Browser, house: House) -> None:
    before = len(house.services.accounts.list_keys(house.account_id))
    first, again = (browser.post("/keys", {"name": "twice", "once": "A" * 43}) for _ in range(2))
    assert re.search(r"sk-\w{56}", first.text)
    assert not re.search(r"sk-\w{56}", again.text)
    assert "was made before" in again.text
    assert len(house.services.accounts.list_keys(house.account_id)) == before + 1
