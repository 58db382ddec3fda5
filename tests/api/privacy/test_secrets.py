"""What is secret stands nowhere in plain text; what is purged stands nowhere at all."""

import base64
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col
from standardwebhooks import Webhook

from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Job
from infra.database.tables.storage import Erasure
from infra.database.tables.webhooks import WebhookEndpoint
from infra.encryption import rolling_upgrade
from infra.encryption.secret_box import SecretBox, new_key
from pipeline.transcript import transcript_from_json
from tests.api.conftest import House, recording
from tests.api.privacy.canaries import CONTENT, LABELS, SECRETS, in_file, left, of_file, of_url
from tests.api.privacy.conftest import ON_BOTH_STORES
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until
from workers.sweep import CLEANING, EVERY_MINUTE, Sweeper

pytestmark = pytest.mark.processes
HOOK = {"name": "mine", "url": "http://127.0.0.1:9/", "event_types": ["audio.job.completed"]}
SAMPLE = recording(2.0, seed=7)[0]


def sweep(house: House) -> None:
    """What the scheduler does, and the time that it gives late writers is over."""
    sweeper = Sweeper(house.services)
    sweeper.perform((*CLEANING, *EVERY_MINUTE))
    with house.services.database.write() as session:
        session.execute(update(Erasure).values(due_at=0.0))
    sweeper.perform((*CLEANING, *EVERY_MINUTE))


def job(house: House, job_id: str) -> Job:
    with house.services.database.read() as session:
        return session.get_one(Job, job_id)


def test_no_secret_stands_in_plain_text(safe: House, site: Receiver) -> None:
    made = of_url(safe, site.url)
    once = {**safe.auth(), "Idempotency-Key": "endpoint"}
    hook = {**HOOK, "headers": {"Authorization": SECRETS["header"]}}
    first = safe.post("/v1/webhook_endpoints", json=hook, headers=once).json()
    rotate = f"/v1/webhook_endpoints/{first['id']}/rotate_secret"
    second = safe.post(rotate, json={"keep_old_secret_active_for_24_hours": True}).json()
    own = safe.post("/v1/audio/jobs", json={"model": "oracle", "url": f"{site.url}/x", "webhook": {"url": site.url}},
                    headers={**safe.auth(), "Idempotency-Key": "own"}).json()  # fmt: skip
    told = [first["signing_secret"], second["signing_secret"], own["webhook"]["secret"]]
    assert len(set(told)) == 3 and all(one.startswith("whsec_") for one in told)
    secret = {**SECRETS, "signature": f"?sig={SECRETS['signature']}"}  # the webhook's own URL is shown to its owner
    assert left(safe.services, [*secret.values(), *told]) == []
    assert left(safe.services, [*CONTENT.values(), *LABELS.values()])
    # and whoever has a right to see them sees them
    again = safe.post("/v1/webhook_endpoints", json=hook, headers=once)
    assert again.headers["idempotent-replayed"] == "true" and again.json() == first
    shown = safe.get(f"/v1/webhook_endpoints/{first['id']}").json()
    assert shown["signing_secret_hint"] == f"whsec_…{second['signing_secret'][-4:]}"
    assert made["id"] != own["id"]


def test_a_recording_is_fetched_and_its_webhook_signed_with_what_was_sealed(safe: House, site: Receiver) -> None:
    site.files = {f"/{CONTENT['file name']}.wav": recording()[0]}
    made = of_url(safe, site.url)
    safe.work()
    assert job(safe, made["id"]).status == "completed"
    assert site.got[0][0]["authorization"] == SECRETS["header"]
    safe.deliver()
    headers, body = site.got[-1]
    Webhook(SECRETS["job's webhook"]).verify(body, headers)


@ON_BOTH_STORES
def test_after_purge_nothing_is_left_but_numbers_and_labels(safe: House, site: Receiver) -> None:
    site.files = {f"/{CONTENT['file name']}.wav": recording()[0]}
    fetched, failed = of_url(safe, site.url, retention_seconds=0), None
    uploaded = of_file(safe, SAMPLE, retention_seconds=0)
    safe.work()
    site.files.clear()
    failed = of_url(safe, site.url, retention_seconds=0, timeout_seconds=50)
    safe.work()
    assert [job(safe, one["id"]).status for one in (fetched, uploaded, failed)] == ["completed", "completed", "failed"]
    key = job(safe, uploaded["id"]).result_key
    assert key is not None
    heard = transcript_from_json(safe.services.storage.get(key)).text
    words = " ".join(heard.split()[:4])
    samples = [base64.b64encode(SAMPLE[400:700]).decode(), recording()[0][400:700].decode("latin-1")]
    gone = [*SECRETS.values(), *CONTENT.values(), words, *samples]
    assert left(safe.services, [words, *CONTENT.values()]) != []
    safe.deliver()
    sweep(safe)
    assert left(safe.services, gone) == []
    if safe.services.database.kind == "sqlite":
        assert in_file(safe.services.database, [*SECRETS.values(), *CONTENT.values()]) == []
    assert list(safe.services.storage.list("")) == []
    assert sorted(left(safe.services, LABELS.values())) == sorted(LABELS.values()), "by which its caller knows it"
    for one in (fetched, uploaded, failed):
        shown = safe.get(f"/v1/audio/jobs/{one['id']}")
        assert (shown.status_code, shown.json()["request"]["model"]) == (200, "oracle")
        assert safe.get(f"/v1/audio/jobs/{one['id']}/segments").status_code == 410
        assert job(safe, one["id"]).cleared
    assert safe.post(f"/v1/audio/jobs/{failed['id']}/pay").status_code == 410, "there is nothing to pay for any more"


def test_a_request_that_is_repeated_after_the_purge_makes_no_second_job(safe: House, site: Receiver) -> None:
    first = of_file(safe, SAMPLE, retention_seconds=0)
    safe.work()
    sweep(safe)
    again = of_file(safe, SAMPLE, retention_seconds=0)
    assert again["id"] == first["id"]
    sweep(safe)
    assert left(safe.services, CONTENT.values()) == []


def test_what_is_still_to_be_told_is_signed_after_the_purge_and_its_secret_goes_then(
    safe: House, site: Receiver
) -> None:
    site.files = {f"/{CONTENT['file name']}.wav": recording()[0]}
    site.answers = [503]
    made = of_url(safe, site.url, retention_seconds=0)
    safe.work()
    safe.deliver()
    sweep(safe)
    row = job(safe, made["id"])
    assert row.purged_at is not None and not row.cleared
    assert left(safe.services, [SECRETS["job's webhook"], SECRETS["header"], *CONTENT.values()]) == []
    wait_until(lambda: safe.deliver() or len(site.got) >= 3)
    for headers, body in site.got[1:]:
        Webhook(SECRETS["job's webhook"]).verify(body, headers)
    assert len(site.got) == 3
    sweep(safe)
    assert job(safe, made["id"]).cleared
    assert left(safe.services, SECRETS.values()) == []


def test_rows_that_an_older_version_purged_are_cleared(safe: House, site: Receiver) -> None:
    made = of_url(safe, site.url)
    facts: dict[str, Any] = {"status": "completed", "purged_at": 1.0, "ended_at": 1.0, "expires_at": 1.0}
    source = {"url": f"http://x/?{SECRETS['signature']}", "headers": {"a": SECRETS["header"]}}
    with safe.services.database.write() as session:
        plain = {"webhook_secret": SECRETS["job's webhook"], "source": source, "cleared": False}
        session.execute(update(Job).where(col(Job.id) == made["id"]).values(**facts, **plain))
    assert left(safe.services, [*SECRETS.values(), *CONTENT.values()])
    sweep(safe)
    assert left(safe.services, [*SECRETS.values(), *CONTENT.values()]) == []


def test_a_secret_that_no_key_opens_signs_nothing_until_its_key_is_back(safe: House, site: Receiver) -> None:
    services, right = safe.services, safe.services.secrets
    endpoint = safe.post("/v1/webhook_endpoints", json={**HOOK, "url": site.url}).json()
    message = services.webhooks.send_test(safe.account_id, endpoint["id"])
    services.secrets = SecretBox([new_key()])
    safe.deliver()
    _, attempts = services.webhooks.message(safe.account_id, message.id)
    assert [attempt.error for attempt in attempts] == ["secret_unreadable"] and site.got == []
    services.secrets = right
    services.webhooks.replay(safe.account_id, message.id)
    safe.deliver()
    Webhook(endpoint["signing_secret"]).verify(site.got[0][1], site.got[0][0])


def test_plain_rows_are_sealed_once_no_old_worker_lives(
    safe: House, site: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling_upgrade, "BELIEVED_SECONDS", 0.0)
    workers = safe.services.workers
    workers.beat("cpu@old:1", "cpu", "old", 1, {"slots": 1})
    made = of_url(safe, site.url)
    endpoint = safe.post("/v1/webhook_endpoints", json=HOOK, headers={**safe.auth(), "Idempotency-Key": "e"}).json()
    with safe.services.database.read() as session:
        row = session.get_one(Job, made["id"])
        assert row.webhook_secret == SECRETS["job's webhook"], "which an old worker can sign with"
        assert row.source and row.source["headers"] == {"Authorization": SECRETS["header"]}
        assert session.get_one(WebhookEndpoint, endpoint["id"]).secret == endpoint["signing_secret"]
    assert safe.services.resealing.reseal() == 0
    workers.leave("cpu@old:1")
    assert safe.services.resealing.reseal() >= 3
    assert safe.services.resealing.reseal() == 0
    sealed = [SECRETS["header"], SECRETS["job's webhook"], endpoint["signing_secret"]]
    assert left(safe.services, sealed) == []
    with safe.services.database.read() as session:
        answers = session.scalars(select(IdempotencyKey)).all()
    assert any("signing_secret" in answer.response for answer in answers)
