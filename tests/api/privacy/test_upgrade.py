"""An upgrade with jobs, endpoints and workers of the version before: every webhook verifies, and none is signed with ciphertext."""

import json
from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import update
from sqlmodel import col
from standardwebhooks import Webhook, WebhookVerificationError

from infra.database.migrations import schema
from infra.database.tables.webhooks import WebhookMessage
from infra.encryption import rolling_upgrade
from infra.webhooks.retry_schedule import verdict
from infra.webhooks.signature import attempt
from infra.webhooks.store import Outcome, WebhookStore
from tests.api.conftest import House
from tests.api.privacy.canaries import left, secret
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes
OLD = "io@old:1"


@pytest.fixture(autouse=True)
def _asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling_upgrade, "BELIEVED_SECONDS", 0.0)


class OldWorker:
    """What the version before did: it signs with whatever stands in the row."""

    def __init__(self, house: House) -> None:
        self.services = house.services
        self.hooks = WebhookStore(house.services.database)
        self.refused = 0

    def lives(self) -> None:
        self.services.workers.beat(OLD, "io", "old", 1, {"sandbox": "bubblewrap", "slots": 32})

    def leaves(self) -> None:
        self.services.workers.leave(OLD)

    def deliver(self) -> bool:
        """Whether there was something to send."""
        self.hooks.due()
        delivery = self.hooks.claim("whichever is next")
        if delivery is None:
            return False
        message = delivery.message
        try:
            answer = attempt(self.services.outbound, message.url, delivery.secrets, message.id, message.body)
        except ValueError:  # as in its task: logged, and left to the lease
            self.refused += 1
            return True
        self.hooks.record(delivery, Outcome(status_code=answer.status), verdict(answer, delivery.tries))
        return True


class Callers:
    """Who makes jobs and endpoints, and knows the secrets of both."""

    def __init__(self, house: House, site: Receiver) -> None:
        self.house, self.site = house, site
        self.secrets: set[str] = set()
        self.jobs: set[str] = set()
        self._names = iter(range(1000))

    def endpoint(self) -> None:
        hook = {"name": "h", "url": f"{self.site.url}/all", "event_types": ["audio.job.cancelled"]}
        self.secrets.add(self.house.post("/v1/webhook_endpoints", json=hook).json()["signing_secret"])

    def ended_job(self) -> None:
        own = secret(f"job {next(self._names)}")
        hook = {"url": f"{self.site.url}/own", "secret": own}
        wanted = {"model": "oracle", "url": f"{self.site.url}/a.wav", "webhook": hook}
        made = self.house.post("/v1/audio/jobs", json=wanted).json()["id"]
        assert self.house.post(f"/v1/audio/jobs/{made}/cancel").status_code == 200
        self.secrets.add(own)
        self.jobs.add(made)

    def verified(self) -> Iterator[str]:
        """Each message that came, once verified."""
        for headers, body in self.site.got:
            assert any(self._verifies(one, headers, body) for one in self.secrets), headers
            yield headers["webhook-id"]

    @staticmethod
    def _verifies(one: str, headers: dict[str, str], body: bytes) -> bool:
        try:
            Webhook(one).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True


def everything_is_due(house: House) -> None:
    """Leases are over, and the time of each message has come."""
    now = {"lease_until": 1.0, "next_attempt_at": 1.0, "dispatched_at": None}
    with house.services.database.write() as session:
        session.execute(update(WebhookMessage).where(col(WebhookMessage.status) == "pending").values(**now))


def pending(house: House) -> int:
    return house.services.webhooks.counts()["pending"]


def test_a_rolling_upgrade_signs_every_webhook_rightly(safe: House, site: Receiver) -> None:
    old, callers = OldWorker(safe), Callers(safe, site)
    old.lives()
    callers.endpoint()
    for _ in range(3):
        callers.ended_job()
    _there_and_back(safe)  # rows as the version before has left them
    assert set(left(safe.services, callers.secrets)) == callers.secrets
    # Old and new workers side by side: what is made meanwhile stays readable for both.
    for _ in range(2):
        assert old.deliver()
        safe.deliver()
        callers.ended_job()
    callers.endpoint()
    assert safe.services.resealing.reseal() == 0
    assert old.deliver()
    # The last old worker is gone: what stands there is sealed, and what comes is sealed at once.
    old.leaves()
    callers.ended_job()
    assert safe.services.resealing.reseal() > 0
    callers.endpoint()
    callers.ended_job()
    assert left(safe.services, callers.secrets) == []
    # One that was forgotten comes back all the same: it can sign nothing, and sends nothing.
    before = len(site.got)
    for _ in range(3):
        assert old.deliver()
    assert (old.refused, len(site.got)) == (3, before)
    wait_until(lambda: everything_is_due(safe) or safe.deliver() or not pending(safe))
    ids = list(callers.verified())
    assert len(ids) == len(set(ids)), "each once"
    told = {json.loads(body)["data"]["id"] for _, body in site.got}
    assert told == callers.jobs
    assert safe.services.webhooks.counts()["pending"] == 0


def _there_and_back(house: House) -> None:
    settings = schema.config()
    with house.services.database.connection() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0009")
        connection.commit()
    house.services.database.migrate()
