"""Whatever receivers do and however many wake-ups are lost, every message is delivered, or given up after its whole schedule."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.webhooks import WebhookMessage, WebhookReceiver
from infra.keys.accounts import Accounts
from infra.outbound.client import Answer
from infra.webhooks.next_delivery import AT_ONE_RECEIVER
from infra.webhooks.retry_schedule import ATTEMPTS, SCHEDULE, verdict
from infra.webhooks.store import Delivery, Outcome, WebhookStore
from tests.support.webhook_events import event_for

HOUR = 3600.0
WHOLE = sum(SCHEDULE) * 0.9  # the shortest that jitter makes of it
TIMES = {
    WebhookMessage: ("created_at", "began_at", "next_attempt_at", "dispatched_at", "lease_until"),
    WebhookReceiver: ("quiet_until", "claimed_at"),
}


@dataclass(frozen=True)
class Behaviour:
    """Up to the hour `mended` it is silent or answers an error; from then on it takes everything."""

    silent: bool
    mended: float

    def answer(self, hour: float) -> Answer:
        if hour >= self.mended:
            return Answer(status=200)
        return Answer(failure="timeout") if self.silent else Answer(status=503)


behaviours = st.builds(Behaviour, silent=st.booleans(), mended=st.sampled_from((0.0, 0.01, 3.0, 30.0, 60.0, 1e9)))


@dataclass
class World:
    """Senders, a broker that loses every so many-th wake-up, and a clock that is moved by moving all that is written down."""

    database: Database
    lose_every: int
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    passed: float = 0.0
    rung: int = 0
    queue: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hooks = WebhookStore(self.database)

    def add(self, behaviour: Behaviour, messages: int) -> None:
        account = Accounts(self.database).create_account("any", "free").id
        endpoint = self.hooks.create_endpoint(account, name="any", url="https://example.com", event_types=[]).id
        self.behaviour[endpoint] = behaviour
        for _ in range(messages):
            event_for(self.hooks, endpoint)

    def ring(self) -> None:
        for message_id in [*self.hooks.due(), *self.hooks.lost(60)]:
            self.rung += 1
            if self.rung % self.lose_every:
                self.queue.append(message_id)

    def send(self) -> None:
        """Every wake-up finds a sender at once; all attempts are under way together."""
        wake_ups, self.queue = self.queue, []
        claims = [delivery for hint in wake_ups if (delivery := self.hooks.claim(hint))]
        under_way = Counter(delivery.message.endpoint_id for delivery in claims)
        assert max(under_way.values(), default=0) <= AT_ONE_RECEIVER
        for delivery in claims:
            self.record(delivery)

    def record(self, delivery: Delivery) -> None:
        answer = self.behaviour[delivery.message.endpoint_id or ""].answer(self.passed / HOUR)
        outcome = Outcome(answer.status, answer.failure)
        self.hooks.record(delivery, outcome, verdict(answer, delivery.tries))

    def pass_time(self) -> bool:
        """On to whatever comes next; False when every message has come to its end."""
        with self.database.write() as session:
            if not session.scalar(select(func.count()).where(col(WebhookMessage.status) == "pending")):
                return False
            times = [
                *session.scalars(select(WebhookMessage.next_attempt_at)),
                *session.scalars(select(WebhookReceiver.quiet_until)),
            ]
            coming = [time - read_clock(session) for time in times if time and time > read_clock(session)]
            step = min([*coming, HOUR]) + 0.01 if coming and not self.queue else 61.0
            for table, columns in TIMES.items():
                session.execute(update(table).values({name: getattr(table, name) - step for name in columns}))
        self.passed += step
        return True


@given(
    receivers=st.lists(st.tuples(behaviours, st.integers(1, 3)), min_size=1, max_size=3), lose_every=st.integers(2, 9)
)
@settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(receivers=[(Behaviour(silent=True, mended=1e9), 3)], lose_every=3)
@example(receivers=[(Behaviour(silent=True, mended=60.0), 3), (Behaviour(silent=False, mended=1e9), 1)], lose_every=2)
def test_every_message_comes_to_its_end(
    sqlite_template: Path, tmp_path: Path, receivers: list[tuple[Behaviour, int]], lose_every: int
) -> None:
    path = tmp_path / "world.db"
    for stale in tmp_path.glob("world.db*"):
        stale.unlink()
    shutil.copy(sqlite_template, path)
    world = World(Database(f"sqlite:///{path}"), lose_every)
    for behaviour, messages in receivers:
        world.add(behaviour, messages)
    while world.pass_time():
        world.ring()
        world.send()
    with world.database.read() as session:
        for message in session.scalars(select(WebhookMessage)):
            behaviour = world.behaviour[message.receiver]
            assert message.status == ("delivered" if behaviour.mended * HOUR < WHOLE else "exhausted")
            if message.status == "exhausted":
                assert message.attempts == ATTEMPTS or behaviour.silent
                assert world.passed >= WHOLE
            assert message.dispatched_at is None and message.lease_token is None
    world.database.close()
