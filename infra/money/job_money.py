"""The money of a job: held when it is accepted, captured as its chunks are heard, released when it ends.

All of it happens in the transactions that make the work true, under the job's lock; so it happens once, or not at all. What
a job owes follows from what its completed chunks used, at the prices and the ratio it was accepted with: each chunk captures
what the sum has grown by, and the captures add up to the price of the whole, to the micro-dollar.

    completed                     what was heard is captured, gaps are free, also where a chunk was heard and paid, its result was
                                  lost, and it cannot be heard again; the rest is released
    cancelled                     likewise; the rest is released when the caller says so, not when the last worker notices
    failed, expired               what this run has captured is given back, but for text that was handed out;
                                  the rest can be read once it is paid
    failed for lack of money      as cancelled: the work itself was good, and a retry goes on from there
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.tables.jobs import Chunk, Job
from infra.database.tables.money import LedgerEntry, Receipt
from infra.money import job_minutes
from infra.money.handed_out import SPEECH, chunk_rows, counted_as, handed_out, mark, unread, usage_of
from infra.money.ledger import CAPTURE, HOLD, RELEASE, add, give, spend, take_up_to
from infra.money.receipts import NewReceipt, keep_receipt
from pipeline.catalog.model import Prices
from pipeline.errors import CostLimitExceeded, InsufficientBalance
from pipeline.lifecycle import ACTIONS, JobStatus
from pipeline.money import usd, usd_text
from pipeline.pricing import (
    Usage,
    charge,
    estimated_usage,
    prices_as_dict,
    prices_from_dict,
    tokens_as_dict,
    tokens_from_dict,
)
from pipeline.transcript import TokenUsage, samples_to_ms

log = logging.getLogger(__name__)

CURRENCY = "usd"
PARTS = 1_000_000  # of the ledger's numbers for each run; a chunk's own is its index
LAST_PART = PARTS - 1  # what the end of a run adds to its chunks' captures
READ_PART = PARTS - 2  # what is paid after that for its unread text
STRIDE_MS = 600_000  # of sound: more is held for so much at once, at most, when there is more of it than was thought
STRIDE_PART = 4  # of what is known by then: a short recording does not take money that its account's others need
_WHOLE = (JobStatus.COMPLETED, JobStatus.CANCELLED)  # after these all that was heard is paid, and may be read
_KEPT = frozenset({InsufficientBalance.code, CostLimitExceeded.code})


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is agreed when a job is accepted. `audio_ms` is what its recording is thought to last, None for a text to speak;
    `text` is that, or the prompt.
    """

    prices: Prices
    ratio: Decimal = Decimal(1)
    audio_ms: int | None = None
    text: str = ""
    max_cost_micro: int | None = None

    @property
    def estimated_micro(self) -> int:
        """What that would cost."""
        return charge(
            estimated_usage(self.prices, audio_ms=self.audio_ms, text=self.text), self.prices, self.ratio
        ).micro

    def columns(self) -> dict[str, Any]:
        """As the job's row keeps them, with the money that `hold` is about to take."""
        estimated, most = self.estimated_micro, self.max_cost_micro
        return {
            "prices": prices_as_dict(self.prices),
            "audio_ratio": str(self.ratio),
            "estimated_micro": estimated,
            "held_micro": estimated if most is None else min(estimated, most),
            "max_cost_micro": most,
        }


def hold(session: Session, job: Job) -> None:
    """Take from the balance what a new job's row says is held. Raises InsufficientBalance."""
    if job.held_micro:
        _book_hold(session, job, job.held_micro)
        spend(session, job.account_id, job.held_micro)


def hold_again(session: Session, job: Job) -> None:
    """A new run: hold what is still to be captured. Raises InsufficientBalance, LimitExceeded."""
    job_minutes.admit_again(session, job)
    known = _cost_of(job, job.audio_samples)
    total = known if job.cut_done and job.task != SPEECH else max(known, job.estimated_micro)
    job.held_micro = max(
        0, (total if job.max_cost_micro is None else min(total, job.max_cost_micro)) - job.captured_micro
    )
    hold(session, job)


def expect(session: Session, job: Job, audio_ms: int) -> None:
    """The recording is there now, and thought to last so long: hold for it, as far as the balance goes."""
    if job.prices is None:
        return
    job.estimated_micro = _price(job, _expected(job, audio_ms))
    _extend(session, job, job.estimated_micro, at_least=0)


def cover(session: Session, job: Job, samples: int) -> None:
    """See that enough is held for the recording's first `samples`, before anybody is paid to hear them.

    Raises InsufficientBalance, CostLimitExceeded, QuotaExceeded.
    """
    job_minutes.cover(session, job, samples_to_ms(samples))
    if job.prices is None or job.task == SPEECH:  # of a text everything is known when it is accepted
        return
    needed = _cost_of(job, samples)
    if job.max_cost_micro is not None and needed > job.max_cost_micro:
        raise CostLimitExceeded(
            f"The job would cost more than its max_cost of {usd_text(job.max_cost_micro)} USD: "
            f"{samples_to_ms(samples) / 1000:g} s of its sound alone cost {usd_text(needed)} USD.",
            param="max_cost",
        )
    if needed > job.held_micro + job.captured_micro:
        known = samples_to_ms(samples)
        ahead = min(STRIDE_MS, known // STRIDE_PART)
        further = _expected(job, known + ahead)
        _extend(session, job, _price(job, further), at_least=needed)


def note_usage(job: Job, chunk: Chunk, step: int) -> None:
    """Add what a completed chunk used to its job's sum, or (-1) take it out."""
    used = tokens_from_dict(chunk.tokens)
    if used is None:
        return
    total = tokens_from_dict(job.tokens) or TokenUsage()
    job.tokens = {
        name: value + step * (chunk.tokens or {})[name] for name, value in (tokens_as_dict(total) or {}).items()
    }
    if job.counted != "estimated":
        job.counted = chunk.counted


def capture(session: Session, job: Job, part: int) -> None:
    """Take from the hold what the job has come to owe. The same part of the same run takes nothing again."""
    if job.prices is not None:
        _capture_more(session, job, owed(job) - job.captured_micro, part)


def owed(job: Job) -> int:
    """What its completed chunks cost, in micro-dollars."""
    return _due(job, job_usage(job))


def job_usage(job: Job) -> Usage:
    """What its completed chunks used: of a recording the sound that was decoded, silence included, holes and gaps not.

    Those of a text count characters; what lay between them counts with the last one.
    """
    if job.task == SPEECH:
        whole = job.cut_done and job.chunks_completed == job.chunks_total
        return Usage(
            audio_ms=round(1000 * float((job.sound or {}).get("duration") or 0)),
            characters=int(job.input.get("characters") or job.samples_done) if whole else job.samples_done,
            tokens=tokens_from_dict(job.tokens),
            counted=counted_as(job),
        )
    return Usage(
        audio_ms=samples_to_ms(job.samples_done),
        tokens=tokens_from_dict(job.tokens),
        counted=counted_as(job),
    )


def settle(session: Session, job: Job, target: JobStatus, error: dict[str, Any] | None = None) -> None:
    """The job ends, or will not go on: nothing stays held. Once more: nothing happens."""
    whole = target in _WHOLE or (error or {}).get("code") in _KEPT
    if whole and target not in _WHOLE:
        mark(session, job)
    used = job_usage(job) if whole else usage_of(job, handed_out(chunk_rows(session, job)))
    job_minutes.settle(session, job, used.audio_ms)
    if target == JobStatus.COMPLETED:
        capture(session, job, LAST_PART)
    if whole:
        _give_back(session, job, job.captured_micro - owed(job), note="its result was lost")
    else:
        _capture_no_more_than(session, job, _due(job, used))
    if job.held_micro:
        rest, job.held_micro = job.held_micro, 0
        add(session, job.account_id, job.id, RELEASE, rest, part=job.run - 1)
        give(session, job.account_id, rest)
    _keep_receipt(session, job, used, always=target == JobStatus.COMPLETED)


def unread_price(session: Session, job: Job) -> int:
    """What the text that a failed job could still hand out costs, in micro-dollars."""
    rows = chunk_rows(session, job)
    fresh = unread(job, rows) if job.prices is not None and job.status in ACTIONS["pay"] else []
    if not fresh:
        return 0
    total = _due(job, usage_of(job, [*handed_out(rows), *fresh]))
    return max(0, (total if job.max_cost_micro is None else min(total, job.max_cost_micro)) - job.captured_micro)


def pay_unread(session: Session, job: Job) -> None:
    """Take what a failed job's unread text costs, in money and minutes; it is handed out. Again: nothing happens.

    Raises InsufficientBalance, QuotaExceeded.
    """
    price, rows = unread_price(session, job), chunk_rows(session, job)
    fresh = unread(job, rows)
    if not fresh:
        return
    mark(session, job, [row.idx for row in fresh])
    job_minutes.count_late(session, job, usage_of(job, fresh).audio_ms)
    if price:
        _book_hold(session, job, price)
        spend(session, job.account_id, price)
        add(session, job.account_id, job.id, CAPTURE, price, part=_number(job, READ_PART), note="unread text")
        job.captured_micro += price
        _keep_receipt(session, job, usage_of(job, [*handed_out(rows), *fresh]))


def cost_facts(job: Job) -> dict[str, Any]:
    """As the job's JSON and its webhooks show it. `held` is what is neither captured nor given back yet."""
    return {
        "currency": CURRENCY,
        "estimated": usd(job.estimated_micro),
        "held": usd(job.held_micro),
        "captured": usd(job.captured_micro),
    }


def _capture_more(session: Session, job: Job, more: int, part: int) -> None:
    if more > job.held_micro:  # a provider counted more than we had thought
        _extend(session, job, job.captured_micro + more, at_least=0)
    amount = min(more, job.held_micro)
    if amount < more:
        log.warning("%s owes %d micro-dollars more than could be held", job.id, more - amount)
    if amount > 0 and add(session, job.account_id, job.id, CAPTURE, amount, part=_number(job, part)):
        job.captured_micro += amount
        job.held_micro -= amount


def _extend(session: Session, job: Job, total: int, *, at_least: int) -> None:
    """Hold `total` in all, or as much of it as the balance has. Raises InsufficientBalance below `at_least`."""
    most = total if job.max_cost_micro is None else min(total, job.max_cost_micro)
    covered = job.held_micro + job.captured_micro
    if most <= covered:
        return
    took = take_up_to(session, job.account_id, most - covered, at_least=max(0, at_least - covered))
    if took:
        _book_hold(session, job, took)
        job.held_micro += took


def _book_hold(session: Session, job: Job, micro: int) -> None:
    add(session, job.account_id, job.id, HOLD, micro, part=job.holds)
    job.holds += 1


def _capture_no_more_than(session: Session, job: Job, micro: int) -> None:
    """So much stays captured of a failed job; the rest of what this run captured returns to the hold. What an earlier run brought
    to an end stays paid.
    """
    if job.prices is None:
        return
    mine = _captured_by_run(session, job) if job.captured_micro else 0
    kept = max(micro, job.captured_micro - mine)
    more = kept - job.captured_micro
    if more > 0:  # an earlier run heard it and failed, and this one has handed it out
        _capture_more(session, job, more, LAST_PART)
    _give_back(session, job, -more, note="failed work is free")


def _give_back(session: Session, job: Job, micro: int, *, note: str) -> None:
    """From what was captured to the hold, if it is more than nothing; once in a run."""
    if micro > 0 and add(session, job.account_id, job.id, CAPTURE, -micro, part=-job.run, note=note):
        job.captured_micro -= micro
        job.held_micro += micro


def _captured_by_run(session: Session, job: Job) -> int:
    mine = (
        col(LedgerEntry.subject) == job.id,
        col(LedgerEntry.kind) == CAPTURE,
        col(LedgerEntry.part).between(_number(job, 0), _number(job, LAST_PART)),
    )
    return int(session.execute(select(func.coalesce(func.sum(LedgerEntry.amount), 0)).where(*mine)).scalar_one())


def _keep_receipt(session: Session, job: Job, usage: Usage, *, always: bool = False) -> None:
    """One for every job that has cost something, or was done for nothing."""
    if not job.captured_micro and not always:
        known = select(col(Receipt.id)).where(col(Receipt.subject) == job.id)
        if session.execute(known).first() is None:
            return
    receipt = NewReceipt(
        account_id=job.account_id,
        key_id=job.key_id,
        task=job.task,
        model=job.model,
        model_used=job.model_used,
        usage=usage,
        prices=_prices_due(job),
        ratio=Decimal(job.audio_ratio),
        latency_ms=None if job.ended_at is None else round(1000 * (job.ended_at - job.created_at)),
    )
    keep_receipt(session, job.id, receipt, job.captured_micro)


def _number(job: Job, part: int) -> int:
    return (job.run - 1) * PARTS + part


def _cost_of(job: Job, samples: int) -> int:
    """What the recording's first `samples` may cost."""
    if job.task == SPEECH:
        return 0
    return _price(job, _expected(job, samples_to_ms(samples)))


def _price(job: Job, usage: Usage) -> int:
    """What it may come to, in micro-dollars."""
    return charge(usage, _prices(job), Decimal(job.audio_ratio)).micro


def _due(job: Job, usage: Usage) -> int:
    """What is to be paid for it by now."""
    return charge(usage, _prices_due(job), Decimal(job.audio_ratio)).micro


def _prices(job: Job) -> Prices:
    return prices_from_dict(job.prices)


def _prices_due(job: Job) -> Prices:
    """That of telling the speakers apart is due once it is done: in the end, and never where it was not."""
    return _prices(job).of(speakers="speakers" in (job.quality or {}))


def _expected(job: Job, audio_ms: int) -> Usage:
    prompt, tokens = str(job.request.get("prompt") or ""), int((job.blobs or {}).get("prompt_tokens", 0))
    return estimated_usage(_prices(job), audio_ms=audio_ms, text=prompt, prompt_tokens=tokens)
