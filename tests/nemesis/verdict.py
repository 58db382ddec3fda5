"""What must hold once the faults are over: looked up from outside, as customers see it, and in the product's own books."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col
from standardwebhooks import Webhook

from infra.database.tables.jobs import Job
from infra.wiring import Services
from pipeline.options import TranscriptionOptions
from pipeline.run import transcribe
from tests.nemesis.customers import Customers, Order
from tests.nemesis.provider import Provider
from tests.nemesis.surroundings import MICRO_PER_SECOND
from tests.support.receiver import Receiver

HEARD = 1.05  # times the reference that a provider may be asked for
HEARD_WITH_LOSSES = 1.2  # where io workers are lost with the calls that they make
COMPLETED = "audio.job.completed"


@dataclass(frozen=True)
class Line:
    """One condition and what was found. `of_speed`: a machine that is too slow for the load fails it without any fault."""

    what: str
    found: str
    goal: str
    holds: bool
    of_speed: bool = False

    def __str__(self) -> str:
        return f"  {'holds' if self.holds else 'FAILS'}  {self.what:<38} {self.found:<40} {self.goal}"


@dataclass
class Told:
    """What a receiver took: it takes each message once, whoever repeats it. `ids` are by job, `kinds` by type."""

    ids: dict[str, set[str]]
    kinds: Counter[str]
    repeated: int = 0
    forged: int = 0


def told(receiver: Receiver, secrets: Mapping[str, str]) -> Told:
    """All that has come so far; `secrets` by job."""
    found, seen = Told({}, Counter()), set[str]()
    for headers, body in list(receiver.got):
        event = json.loads(body)
        job_id, message_id = event["data"]["id"], headers["webhook-id"]
        found.forged += not _is_signed(secrets.get(job_id), headers, body)
        found.repeated += message_id in seen
        if message_id not in seen:
            seen.add(message_id)
            found.kinds[event["type"]] += 1
            found.ids.setdefault(job_id, set()).add(message_id)
    return found


def verdict(
    ordered: Sequence[Order],
    customers: Customers,
    services: Services,
    provider: Provider,
    receiver: Receiver,
    *,
    calls_lost: bool,
) -> Iterator[Line]:
    """Everything but the time it took."""
    jobs = len(ordered)
    taken = {order.job_id: order for order in ordered if order.job_id}
    paid_for = _paid_for(provider, HEARD_WITH_LOSSES if calls_lost else HEARD)
    refused = [order.refused for order in ordered if order.refused]
    made = _count(services)
    yield Line("jobs taken", f"{len(taken)}, made {made} {_some(refused)}", f"{jobs}", len(taken) == made == jobs)
    seen = {job_id: customers.get(f"/v1/audio/jobs/{job_id}").json() for job_id in taken}
    good = [job_id for job_id, job in seen.items() if job["status"] == "completed" and not job["partial"]]
    others = Counter(
        f"{job['status']} {(job['error'] or {}).get('code', '')}" for id_, job in seen.items() if id_ not in good
    )
    yield Line("completed", f"{len(good)} {dict(others) or ''}", f"{jobs}", len(good) == jobs)
    right = [job_id for job_id in good if _is_right(taken[job_id], _text(customers, job_id), services)]
    wrong = _some(set(good) - set(right))
    yield Line("texts equal to the reference", f"{len(right)} {wrong}", f"{jobs}", len(right) == jobs)
    yield from _webhooks(told(receiver, {job_id: order.secret for job_id, order in taken.items()}), taken)
    yield from _money(services, seen, taken)
    yield paid_for


def _paid_for(provider: Provider, most: float) -> Line:
    """Before anything more is heard for the sake of the verdict."""
    ratio = provider.seconds / (provider.reference or 1)
    found = f"{ratio:.3f} ({provider.seconds:.0f} of {provider.reference:.0f}; asked {provider.asked} times)"
    return Line("seconds heard against the reference", found, f"at most {most}", ratio <= most, of_speed=True)


def _is_right(order: Order, text: str, services: Services) -> bool:
    """The reference is what the same recording gives without faults: its words, or where a word was cut in two, what that gives."""
    if text == " ".join(order.recording.words):
        return True
    undisturbed = transcribe(order.recording.wav, TranscriptionOptions(model=order.model), services.registry)
    return text == " ".join(undisturbed.text.split())


def _webhooks(found: Told, taken: Mapping[str, Order]) -> Iterator[Line]:
    missing = [job_id for job_id in taken if job_id not in found.ids]
    twice = [job_id for job_id, ids in found.ids.items() if len(ids) > 1]
    others = {kind: number for kind, number in found.kinds.items() if kind != COMPLETED}
    yield Line("webhooks missing", f"{len(missing)} {_some(missing)}", "0", not missing)
    tells = f"{len(twice)} {_some(twice)} {others or ''} ({found.repeated} repeated with the same id)"
    yield Line("webhooks accepted twice, or of other kinds", tells, "0", not twice and not others)
    yield Line("webhooks not signed by their job", f"{found.forged}", "0", not found.forged)


def _money(services: Services, seen: Mapping[str, dict[str, Any]], taken: Mapping[str, Order]) -> Iterator[Line]:
    differences = services.ledger.check()
    yield Line("differences in the books", f"{len(differences)} {_some(differences)}", "0", not differences)
    open_holds = [job_id for job_id, job in seen.items() if float(job["cost"]["held"])]
    yield Line("jobs that still hold money", f"{len(open_holds)} {_some(open_holds)}", "0", not open_holds)
    owed = sum(round(MICRO_PER_SECOND * len(order.recording.wav[44:]) / 32_000) for order in taken.values())
    paid = sum(round(float(job["cost"]["captured"]) * 1e6) for job in seen.values())
    right = abs(paid - owed) <= len(taken)  # each is rounded by itself
    yield Line("paid, in micro-dollars", f"{paid}", f"{owed}, give or take {len(taken)}", right)


def _is_signed(secret: str | None, headers: Mapping[str, str], body: bytes) -> bool:
    """However long ago: the library's own check wants it to be fresh."""
    if secret is None:
        return False
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    return headers["webhook-signature"] == Webhook(secret).sign(headers["webhook-id"], at, body.decode())


def _text(customers: Customers, job_id: str) -> str:
    return " ".join(customers.get(f"/v1/audio/jobs/{job_id}/transcript?format=text").text.split())


def _count(services: Services) -> int:
    with services.database.read() as session:
        return session.execute(select(func.count(col(Job.id)))).scalar_one()


def _some(things: Iterable[object]) -> str:
    found = sorted(map(str, things))
    return " ".join(found[:3])
