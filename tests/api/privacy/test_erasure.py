"""An erased account is gone from the database and the store, and its money's numbers stay and agree."""

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.tables.accounts import AccountErasure
from infra.database.tables.jobs import Job
from infra.database.tables.money import LedgerEntry, Receipt
from infra.database.tables.storage import Erasure
from infra.money.adjustments import Adjustments
from pipeline.errors import NotFound, WrongState
from tests.api.conftest import House, recording
from tests.api.privacy.canaries import CONTENT, LABELS, SECRETS, left, of_file, of_url
from tests.api.privacy.conftest import ON_BOTH_STORES
from tests.support.receiver import Receiver
from workers.sweep import CLEANING, Sweeper

pytestmark = pytest.mark.processes
NOTE = "canary-note-7Q"
SAMPLE = recording(2.0, seed=7)[0]
NAMES = {
    "account": "canary-account-7Q",
    "key": "canary-key-7Q",
    "endpoint": "canary-endpoint-7Q",
    "receiver": "canary-answer-7Q",
    "note": NOTE,
}
EVERYTHING = (*SECRETS.values(), *CONTENT.values(), *LABELS.values(), *NAMES.values())


def filled(house: House, site: Receiver) -> list[str]:
    """Jobs that are done, failed, live and half heard, endpoints and a log; returns some words that were heard."""
    hook = {
        "name": NAMES["endpoint"],
        "url": f"{site.url}/{NAMES['receiver']}",
        "event_types": ["audio.job.completed", "balance.low"],
    }
    endpoint = house.post("/v1/webhook_endpoints", json=hook).json()["id"]
    house.test_event(endpoint)
    house.services.accounts.create_key(house.account_id, NAMES["key"])
    Adjustments(house.services.database).book("top_up", house.account_id, 5_000_000, note=NOTE)
    house.services.accounts.update(house.account_id, balance_low=10**12)
    assert house.services.balance_alerts.announce() == [house.account_id]
    of_url(house, site.url, timeout_seconds=1000)
    done = of_file(house, SAMPLE)
    house.work()
    house.deliver()
    words = house.get(f"/v1/audio/jobs/{done['id']}/transcript?format=text").text.split()
    house.submit(recording(90)[0])
    house.work(chunks=1)
    of_file(house, SAMPLE, timeout_seconds=900)
    site.files.clear()
    of_url(house, site.url)
    return [" ".join(words[:4])]


@ON_BOTH_STORES
def test_nothing_of_an_erased_account_is_left_but_numbers(safe: House, site: Receiver) -> None:
    site.files = {f"/{CONTENT['file name']}.wav": recording()[0]}
    heard = filled(safe, site)
    assert set(left(safe.services, [*EVERYTHING, *heard])) >= {*LABELS.values(), *NAMES.values(), *heard}
    with safe.services.database.read() as session:
        before = {row.id: (row.delta, row.amount) for row in session.scalars(select(LedgerEntry))}
        receipts = set(session.scalars(select(Receipt.id).where(col(Receipt.account_id) == safe.account_id)))
    answer = safe.delete(f"/v1/account?confirm={safe.account_id}")
    assert answer.status_code == 200, answer.text
    assert left(safe.services, [*EVERYTHING, *heard]) == []
    assert list(safe.services.storage.list(f"t/{safe.account_id}")) == []
    told = answer.json()
    counts = {"jobs": 5, "transcripts": 2, "webhook_endpoints": 1, "api_keys": 2}
    assert told["erased_at"] and told["removed"].items() >= counts.items()
    assert told["removed"]["recordings"] >= 4 and told["removed"]["deliveries"] >= 2
    with safe.services.database.read() as session:
        after = {row.id: (row.delta, row.amount) for row in session.scalars(select(LedgerEntry))}
        notes = set(session.scalars(select(LedgerEntry.note).where(col(LedgerEntry.account_id) == safe.account_id)))
        kept = set(session.scalars(select(Receipt.id).where(col(Receipt.account_id) == safe.account_id)))
    assert before.items() <= after.items() and receipts <= kept
    assert notes <= {None, "the account was erased"} and len(notes) == 2
    assert told["kept"]["receipts"] == len(kept)
    assert safe.services.ledger.check() == []
    assert safe.get("/v1/balance").status_code == 401
    assert safe.services.balance_alerts.announce() == []
    with pytest.raises(WrongState, match="Make a new one"):
        safe.services.accounts.update(safe.account_id, status="active")
    safe.work()
    Sweeper(safe.services).perform(CLEANING)
    assert left(safe.services, [*EVERYTHING, *heard]) == []
    assert safe.services.eraser.receipt(safe.account_id) == told


def test_nobody_erases_an_account_unawares(safe: House) -> None:
    for path in ("/v1/account", "/v1/account?confirm=yes"):
        refused = safe.delete(path)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "confirm")
        assert safe.account_id in refused.json()["error"]["message"]
    narrow, _ = safe.services.accounts.create_key(safe.account_id, scopes=["jobs:write"])
    refused = safe.delete(f"/v1/account?confirm={safe.account_id}", headers=safe.auth(narrow))
    assert refused.status_code == 403
    assert safe.get("/v1/balance").status_code == 200
    with pytest.raises(NotFound):
        safe.services.eraser.receipt(safe.account_id)


def test_another_account_is_left_alone(safe: House) -> None:
    other = safe.auth(safe.other_key)
    sent = {"data": {"model": "oracle"}, "files": {"file": ("a.wav", SAMPLE)}}
    theirs = safe.post("/v1/audio/jobs", **sent, headers=other).json()
    of_file(safe, SAMPLE)
    safe.delete(f"/v1/account?confirm={safe.account_id}")
    safe.work()
    assert safe.get(f"/v1/audio/jobs/{theirs['id']}", headers=other).json()["status"] == "completed"
    assert list(safe.services.storage.list(f"t/{safe.account_id}")) == []


def test_what_was_not_come_to_and_what_came_since_is_erased_by_the_sweep(safe: House) -> None:
    services = safe.services
    of_file(safe, SAMPLE)
    services.eraser.begin(safe.account_id)  # and whoever asked for it dies
    assert services.eraser.receipt(safe.account_id)["erased_at"] is None
    Sweeper(services).perform(CLEANING)
    first = services.eraser.receipt(safe.account_id)
    assert first["erased_at"] and first["removed"]["jobs"] == 1
    assert left(services, EVERYTHING) == []
    media = services.media.begin(safe.account_id, CONTENT["file name"])  # by a request that was under way all the time
    services.storage.put(media.storage_key, SAMPLE)
    services.media.stored(media.id, len(SAMPLE), "ab" * 32)
    Sweeper(services).perform(CLEANING)
    assert left(services, EVERYTHING) == []
    assert list(services.storage.list(f"t/{safe.account_id}")) == []
    assert services.eraser.receipt(safe.account_id)["removed"]["recordings"] == first["removed"]["recordings"] + 1
    with services.database.write() as session:
        session.execute(update(AccountErasure).values(asked_at=1.0))
        session.execute(update(Erasure).values(due_at=0.0))
    assert list(services.eraser.look_again()) == []
    Sweeper(services).perform(CLEANING)
    with services.database.read() as session:
        assert session.scalars(select(Job.id)).all() == session.scalars(select(Erasure.place)).all() == []
