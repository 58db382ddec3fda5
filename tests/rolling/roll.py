"""The restart itself, and what is counted of it."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from infra.keys.accounts import Accounts
from tests.e2e.stack import Stack
from tests.rolling.balancer import Balancer, balancing
from tests.rolling.clients import Clients
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import wait_until

APIS = ("api-1", "api-2")
ONE_OF_EACH = (*APIS, "cpu-1", "io-1", "scheduler")
ROLES = (*ONE_OF_EACH, "cpu-2", "io-2")
GRACE = 30  # seconds; every call lasts less


@dataclass(frozen=True)
class Report:
    """What was seen."""

    restarted: int
    exits: Counter[int]  # codes of those that were told to stop
    answered: int
    completed: int
    wrong: Sequence[str]
    told: Counter[str]  # see Balancer
    heard: int  # sounds
    again: int  # calls for a sound that had been heard before
    webhooks_missing: int
    webhooks_twice: int

    @property
    def holds(self) -> bool:
        """No request refused, no sound heard twice, no webhook lost or doubled, and there was some of each."""
        bad = [*self.wrong, self.told["broken"], self.again, self.webhooks_missing, self.webhooks_twice]
        return not any(bad) and set(self.exits) == {0} and min(self.answered, self.completed) > 0

    def lines(self) -> list[str]:
        """For people."""
        told = ", ".join(f"{count} {what}" for what, count in sorted(self.told.items()))
        return [
            f"{self.restarted} restarts, exit codes {dict(self.exits)}",
            f"{self.answered} requests answered, {self.completed} jobs completed, {len(self.wrong)} refused or wrong",
            f"at the balancer: {told}",
            f"{self.heard} sounds heard, {self.again} calls made again",
            f"webhooks: {self.webhooks_missing} missing, {self.webhooks_twice} twice",
            *self.wrong[:10],
        ]


def roll(stack: Stack, roles: Sequence[str], *, rounds: int, askers: int, submitters: int) -> Report:
    """Start these roles of a stack that was made with GRACE, and restart each under load, one after the other, so many times."""
    stack.start(*roles)
    key = Accounts(stack.services.database).create_key(stack.account)[0]
    exits: Counter[int] = Counter()
    with receiving() as receiver, balancing([stack.port(name) for name in APIS]) as balancer:
        clients = Clients(balancer.url, key, receiver.url)
        with clients.at_work(askers, submitters):
            for name in list(roles) * rounds:
                wait_until(partial(_is_used, balancer, balancer.told.total() + askers))
                exits[stack.terminate(name)] += 1
                stack.start(name)
        wait_until(lambda: set(clients.completed) <= set(_announced(receiver)))
        events = _announced(receiver)
    calls = stack.calls()
    return Report(
        restarted=sum(exits.values()),
        exits=exits,
        answered=clients.answered,
        completed=len(clients.completed),
        wrong=clients.wrong,
        told=balancer.told,
        heard=len(calls),
        again=sum(calls.values()) - len(calls),
        webhooks_missing=len(set(clients.completed) - set(events)),
        webhooks_twice=sum(events.values()) - len(events),
    )


def _is_used(balancer: Balancer, before: int) -> bool:
    """Whether requests come through, more than were under way."""
    return balancer.told.total() > before


def _announced(receiver: Receiver) -> Counter[str]:
    """How often each job's end was told."""
    return Counter(json.loads(body)["data"]["id"] for _, body in list(receiver.got))
