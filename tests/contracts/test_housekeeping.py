"""What keeps an installation from growing for ever: what nothing leads to goes, what is over goes, and the books agree."""

import os
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlmodel import SQLModel, col

from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Job, JobEvent
from infra.database.tables.money import LedgerEntry, Receipt
from infra.database.tables.uploads import Media, UploadPart
from infra.database.tables.webhooks import WebhookAttempt, WebhookMessage
from infra.files.upload_store import NewUpload, UploadStore, key_of
from infra.housekeeping import ledger_compaction, orphan_sweep
from infra.housekeeping.ledger_compaction import LedgerCompaction
from infra.housekeeping.orphan_sweep import OrphanSweep
from infra.housekeeping.record_purge import RecordPurge
from infra.idempotency import Idempotency
from infra.jobs.store import NewJob
from infra.jobs.stored_bytes import folder_of
from infra.keys.account_limits import change_stored
from infra.media import KEPT, copy_key
from infra.money.job_money import Terms
from infra.money.ledger import OPENING, Ledger
from infra.money.quota import Quota
from infra.money.receipts import NewReceipt
from infra.storage.local import LocalStorage
from pipeline.catalog.model import Prices
from pipeline.errors import WrongState
from pipeline.pricing import Usage
from tests.contracts.job_store_harness import JobStoreHarness
from tests.support.asked_statements import listening

DAY = 24 * 3600.0
LONG_AGO = 1_000_000_000.0
PRICES = Prices(audio_minute=Decimal("0.006"))  # a hundred micro-dollars a second


@pytest.fixture
def store(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store")


@pytest.fixture
def sweep(harness: JobStoreHarness, store: LocalStorage) -> OrphanSweep:
    return OrphanSweep(harness.database, store)


def put(store: LocalStorage, *names: str, old: bool = True) -> None:
    for name in names:
        store.put(name, b"12345")
        if old:
            os.utime(store.root / name, (LONG_AGO, LONG_AGO))


def orphans(sweep: OrphanSweep) -> set[str]:
    return {orphan.key for orphan in sweep.look().orphans}


def keys(store: LocalStorage) -> set[str]:
    return {found.key for found in store.list("")}


# What nothing leads to


def test_a_recording_is_needed_as_long_as_its_row_says_so(
    harness: JobStoreHarness, store: LocalStorage, sweep: OrphanSweep
) -> None:
    media, gone = harness.upload(), harness.upload()
    put(store, media.storage_key, gone.storage_key, f"t/{harness.account}/media/med_unknown")
    put(store, f"t/{harness.account}/media/med_young", old=False)
    assert orphans(sweep) == {f"t/{harness.account}/media/med_unknown"}
    job = harness.submit(media=gone)
    assert gone.storage_key not in orphans(sweep)
    with harness.database.write() as session:
        session.execute(update(Media).where(col(Media.id) == gone.id).values(state="deleted"))
    assert orphans(sweep) == {f"t/{harness.account}/media/med_unknown", gone.storage_key}
    assert harness.now(job).media_id == gone.id


def test_so_is_its_copy_for_browsers(harness: JobStoreHarness, store: LocalStorage, sweep: OrphanSweep) -> None:
    copied, bare = harness.upload(), harness.upload()
    harness.media.copied(copied.id, 5)
    put(store, copy_key(copied), copy_key(bare))
    assert orphans(sweep) == {copy_key(bare)}


def test_parts_of_an_upload_are_needed_until_it_ends(
    harness: JobStoreHarness, store: LocalStorage, sweep: OrphanSweep
) -> None:
    part = UploadPart(id="part_1", account_id=harness.account, upload_id="", bytes=5, created_at=1.0)
    uploads = UploadStore(harness.database)
    upload, _ = uploads.create(
        NewUpload(harness.account, filename="a", purpose="batch", mime_type="text/plain", bytes=5, keep_seconds=None)
    )
    part.upload_id = upload.id
    with harness.database.write() as session:
        session.add(part)
    lost = f"t/{harness.account}/uploads/{upload.id}/part_2"
    put(store, key_of(part), lost)
    assert orphans(sweep) == {lost}


@pytest.mark.parametrize("end", ["live", "completed", "failed", "partial", "cancelled", "purged", "deleted"])
def test_what_workers_left_of_a_job_is_needed_until_nobody_could_use_it(
    harness: JobStoreHarness, store: LocalStorage, sweep: OrphanSweep, end: str
) -> None:
    job = harness.submit()
    folder = folder_of(job)
    named = {folder + name for name in ("transcript-2.json", "heard/0-1-aa.json", "request.json", "peaks")}
    stale = {folder + name for name in ("transcript-1.json", "heard/0-1-bb.json", "sound/1-0.pcm")}
    put(store, *named, *stale)
    harness.cut(job, 1)
    lease = harness.claim_chunk(job, 0)
    harness.jobs.complete_chunk(lease, folder + "heard/0-1-aa.json", "oracle")
    ended: dict[str, Any] = {
        "result_key": folder + "transcript-2.json",
        "blobs": {"key": folder + "request.json"},
        "ended_at": LONG_AGO,
        "partial": end == "partial",
    }
    if end in ("completed", "failed", "cancelled"):
        harness.shift(job, status=end, **ended)
    elif end != "live":
        harness.shift(job, status="completed", **ended)
    if end == "purged":
        harness.purge(job)
    elif end == "deleted":
        harness.jobs.delete(harness.account, job.id)
    expected = {"completed": stale, "cancelled": stale, "purged": named | stale, "deleted": named | stale}
    assert orphans(sweep) == expected.get(end, set())


def test_what_is_not_ours_is_never_touched(store: LocalStorage, sweep: OrphanSweep) -> None:
    put(store, "other/x", "t/notes.txt", "t/acct_1/something/else/x", "t/acct_1/media")
    assert orphans(sweep) == set()


def test_a_job_that_ended_just_now_keeps_everything(
    harness: JobStoreHarness, store: LocalStorage, sweep: OrphanSweep
) -> None:
    job = harness.finish_short(harness.submit())
    put(store, folder_of(job) + "heard/0-7-bb.json")
    assert orphans(sweep) == set()


def test_page_by_page_and_on_from_where_it_was(
    harness: JobStoreHarness, store: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphan_sweep, "PAGE", 3)
    lost = [f"t/{harness.account}/media/med_{number}" for number in range(7)]
    kept = [harness.upload().storage_key for _ in range(4)]
    put(store, *lost, *kept)
    looked = 0
    for turn in range(4):
        sweep = OrphanSweep(harness.database, store)  # another process each time
        after = sweep.claim(pause=0.0)
        assert after == sweep.position() is not None
        page = sweep.look(after)
        looked += page.looked
        sweep.remove(page)
        sweep.note(page, rest=DAY)
        assert (page.after == "") == (turn == 3)
    assert (looked, keys(store)) == (11, set(kept))
    assert sweep.claim(pause=0.0) is None  # it rests


def test_one_of_several_takes_a_page(harness: JobStoreHarness, store: LocalStorage, sweep: OrphanSweep) -> None:
    assert sweep.claim(pause=60.0) == ""
    assert OrphanSweep(harness.database, store).claim(pause=60.0) is None


def test_the_store_of_another_database_is_left_alone(
    harness: JobStoreHarness, store: LocalStorage, sweep: OrphanSweep
) -> None:
    lost = [f"t/acct_of_another/media/med_{number}" for number in range(orphan_sweep.MANY)]
    put(store, *lost)
    page = sweep.look()
    with pytest.raises(WrongState, match="is this the store of this database"):
        sweep.remove(page)
    assert len(keys(store)) == len(lost)
    sweep.remove(page, sure=True)
    assert keys(store) == set()


# What is over


def rows(harness: JobStoreHarness, table: type[SQLModel]) -> int:
    with harness.database.read() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


def test_rows_of_jobs_go_long_after_their_results(harness: JobStoreHarness) -> None:
    purge = RecordPurge(harness.database, harness.jobs)
    old, recent, live = (harness.submit(webhook_url="https://example.com/hook") for _ in range(3))
    for job in (old, recent):
        harness.finish_short(job)
        with harness.database.write() as session:
            sent = update(WebhookMessage).where(col(WebhookMessage.job_id) == job.id)
            session.execute(sent.values(status="delivered"))
            message = session.scalars(select(WebhookMessage).where(col(WebhookMessage.job_id) == job.id)).one()
            session.add(WebhookAttempt(message_id=message.id, n=1, started_at=1.0))
        harness.purge(job)
    harness.shift(old, purged_at=LONG_AGO)
    assert not purge.step(DAY)
    assert harness.jobs.find(old.id) is None
    assert {harness.now(job).id for job in (recent, live)} == {recent.id, live.id}
    assert (rows(harness, WebhookMessage), rows(harness, WebhookAttempt)) == (1, 1)
    with harness.database.read() as session:
        assert old.id not in session.scalars(select(JobEvent.job_id)).all()


def test_many_of_them_go_together_and_what_others_name_stays(harness: JobStoreHarness, ledger: Ledger) -> None:
    """As many statements for forty as for four; recordings go with the last job that names them, and files never."""
    shared, own, filed, late = (harness.upload() for _ in range(4))
    once = Idempotency("POST /jobs", "key", "same", lambda job: {"id": job.id})
    terms = Terms(prices=PRICES, audio_ms=1000)
    new = NewJob(account_id=harness.account, task="transcription", model="oracle", media=shared, terms=terms)
    paid, _ = harness.jobs.create(new, once)
    old = [paid, *(harness.submit(media=media) for media in (own, filed, late))]
    many = [harness.submit() for _ in range(40)]
    stays = harness.submit(media=shared)
    for job in (*old, *many):
        harness.finish_short(job)
        harness.purge(job)
    for job in old:
        harness.shift(job, purged_at=LONG_AGO)
    with harness.database.write() as session:
        for media, state in ((shared, "deleted"), (own, "deleted"), (filed, KEPT)):
            session.execute(update(Media).where(col(Media.id) == media.id).values(state=state, counted=0))
    books = ledger.balance(harness.account), rows(harness, Receipt), rows(harness, LedgerEntry)
    erased = harness.erasures()
    with listening() as few:
        assert harness.jobs.remove_records(DAY, limit=100) == 4
    assert harness.erasures() - erased == {late.storage_key}, "what was purged is not listed once more"
    for job in many:
        harness.shift(job, purged_at=LONG_AGO)
    with listening() as more:
        assert harness.jobs.remove_records(DAY, limit=100) == 40
    assert len(more.statements) <= len(few.statements)
    assert rows(harness, Job) == 1
    assert harness.now(stays).media_id == shared.id
    with harness.database.read() as session:
        assert set(session.scalars(select(Media.id))) == {shared.id, filed.id}
    assert rows(harness, IdempotencyKey) == 0
    assert (ledger.balance(harness.account), rows(harness, Receipt), rows(harness, LedgerEntry)) == books
    assert ledger.check() == []
    assert harness.jobs.counts()["jobs"].get("completed", 0) == 0


def test_what_an_older_version_purged_without_counting_leaves_the_quota_with_its_row(harness: JobStoreHarness) -> None:
    job = harness.finish_short(harness.submit())
    harness.purge(job)
    with harness.database.write() as session:
        change_stored(session, harness.account, 70, results=1)
    harness.shift(job, purged_at=LONG_AGO, stored_bytes=70, kept=True)
    assert harness.jobs.remove_records(DAY, limit=1) == 1
    assert Quota(harness.database).recount() == {}


def test_news_that_is_still_to_be_delivered_keeps_its_row(harness: JobStoreHarness) -> None:
    job = harness.finish_short(harness.submit(webhook_url="https://example.com/hook"))
    harness.purge(job)
    harness.shift(job, purged_at=LONG_AGO)
    RecordPurge(harness.database, harness.jobs).step(DAY)
    assert harness.now(job).id == job.id


def test_messages_about_no_job_go_once_they_are_delivered(harness: JobStoreHarness) -> None:
    told = {"account_id": harness.account, "target": "whe_1", "type": "webhook.test", "url": "https://x", "body": b"{}"}
    with harness.database.write() as session:
        for name, status, at in (
            ("evt_old", "delivered", LONG_AGO),
            ("evt_due", "pending", LONG_AGO),
            ("evt_new", "delivered", time.time()),
        ):
            session.add(WebhookMessage(id=name, subject=name, status=status, created_at=at, **told))
        session.flush()
        session.add(WebhookAttempt(message_id="evt_old", n=1, started_at=1.0))
    RecordPurge(harness.database, harness.jobs).step(DAY)
    with harness.database.read() as session:
        assert set(session.scalars(select(WebhookMessage.id))) == {"evt_due", "evt_new"}
    assert rows(harness, WebhookAttempt) == 0


def test_batches_go_with_their_lines(harness: JobStoreHarness) -> None:
    with harness.database.write() as session:
        for name, status, at in (
            ("batch_old", "completed", LONG_AGO),
            ("batch_new", "completed", time.time()),
            ("batch_live", "in_progress", None),
        ):
            session.add(
                Batch(
                    id=name,
                    account_id=harness.account,
                    endpoint="/v1/audio/transcriptions",
                    input_file_id="",
                    completion_window="24h",
                    status=status,
                    completed_at=at,
                    created_at=1.0,
                    expires_at=2.0,
                )
            )
            session.flush()
            session.add_all(BatchLine(batch_id=name, n=n, custom_id=str(n)) for n in range(3))
    purge = RecordPurge(harness.database, harness.jobs)
    while purge.step(DAY):
        pass
    with harness.database.read() as session:
        assert set(session.scalars(select(Batch.id))) == {"batch_new", "batch_live"}
    assert rows(harness, BatchLine) == 6


# The ledger


def spend(ledger: Ledger, account: str, subject: str, cost: int) -> None:
    ledger.hold(account, subject, 100)
    heard = Usage(audio_ms=10 * cost)
    ledger.settle(subject, NewReceipt(account_id=account, task="transcription", model="m", usage=heard, prices=PRICES))


def test_settled_work_becomes_one_opening_entry(
    harness: JobStoreHarness, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_compaction, "PAGE", 5)
    account = harness.account
    for number in range(6):
        spend(ledger, account, f"req_{number}", 10 * number)
    ledger.hold(account, "req_open", 70)
    ledger.adjust(account, 5, note="with our thanks")
    before, receipts = ledger.balance(account), rows(harness, Receipt)
    gone = compact_all(harness)
    assert gone == 6 + 5 + 6  # holds, captures (the first cost nothing), releases
    assert compact_all(harness) == 0
    found = [(entry.kind, entry.delta) for entry in reversed(ledger.entries(account))]
    assert [kind for kind, _ in found] == ["top_up", OPENING, "hold", "adjust"]
    assert found[1] == (OPENING, -150)
    assert (ledger.balance(account), ledger.check(), rows(harness, Receipt)) == (before, [], receipts)
    spend(ledger, account, "req_later", 30)
    ledger.release("req_open")
    assert compact_all(harness) == 3 + 2
    assert [entry.delta for entry in ledger.entries(account) if entry.kind == OPENING] == [-180]
    assert (ledger.balance(account), ledger.check()) == (before - 30 + 70, [])


def test_what_is_young_or_has_a_job_stays(harness: JobStoreHarness, ledger: Ledger) -> None:
    spend(ledger, harness.account, "req_1", 10)
    assert LedgerCompaction(harness.database).compact(harness.account, DAY).entries == 0
    job = harness.submit()
    spend(ledger, harness.account, job.id, 10)
    assert compact_all(harness) == 3
    assert rows(harness, Job) == 1
    assert {entry.subject for entry in ledger.entries(harness.account) if entry.kind == "hold"} == {job.id}


def test_a_story_that_does_not_add_up_is_kept_to_be_looked_at(harness: JobStoreHarness, ledger: Ledger) -> None:
    spend(ledger, harness.account, "req_1", 10)
    with harness.database.write() as session:
        entry = session.scalars(select(LedgerEntry).where(col(LedgerEntry.kind) == "capture")).one()
        entry.amount += 1
    assert compact_all(harness) == 0
    assert len(ledger.check()) == 1


def compact_all(harness: JobStoreHarness) -> int:
    """Of everything that is there by now."""
    ledger, done = LedgerCompaction(harness.database), 0
    for account in ledger.accounts():
        after: int | None = 0
        while after is not None:
            page = ledger.compact(account, -1.0, after)
            done, after = done + page.entries, page.after
    return done
