"""Who is served while others hold all they can."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest

from api.access.authentication import Authentication
from api.access.key_lookups import KeyLookups
from api.access.request_slots import RequestSlots
from api.http.error_responses import ServerBusy
from api.http.peers import Peer
from infra.keys.api_keys import new_key
from infra.keys.key_cache import Principal
from pipeline.errors import Unauthenticated

HOLDERS, STRANGERS, PER_PEER = 5, 4, 2
ALONE = 4  # of the holders' slots, one account has
ONE, OTHER, PROXY = Peer("192.0.2.1"), Peer("192.0.2.2"), Peer("10.0.0.1", proxy=True)
PAGE, LIST = "/docs", "/v1/audio/jobs"


class Accounts:
    """One key is valid; looking it up takes as long as the test wants."""

    def __init__(self, valid: str) -> None:
        self.valid = valid
        self.recalled = False
        self.asked: Counter[str] = Counter()

    def recall(self, secret: str) -> Principal | None:
        return Principal("acc", "key", "free") if self.recalled and secret == self.valid else None

    def authenticate(self, secret: str) -> Principal:
        self.asked[secret] += 1
        if secret != self.valid:
            raise Unauthenticated
        return Principal("acc", "key", "free")


class Door:
    """The key check over an application whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.key = new_key().whole
        self.accounts = Accounts(self.key)
        self.accounts.recalled = True
        self.go, self.look = asyncio.Event(), asyncio.Event()
        self.look.set()
        self.door = Authentication(self._app, RequestSlots(HOLDERS, STRANGERS, PER_PEER))
        self.tasks: list[asyncio.Task[int]] = []

    async def _app(self, _scope: object, _receive: object, send: object) -> None:
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def query(self, call: object) -> object:
        await self.look.wait()
        return call()

    async def ask(self, path: str, peer: Peer, key: str = "") -> int:
        statuses: list[int] = []

        async def send(message: dict) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def admit(_windows: object) -> list[object]:
            return []

        services = SimpleNamespace(accounts=self.accounts, limits=SimpleNamespace(admit=admit))
        context = SimpleNamespace(services=services, query=self.query, shutting_down=False)
        headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
        state = {"peer": peer, "own_id": "req_1"}
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "state": state}
        scope["app"] = SimpleNamespace(state=SimpleNamespace(context=context))
        await self.door(scope, None, send)
        return statuses[0]

    async def start(self, *asked: tuple[str, Peer, str]) -> None:
        """Begin them, and let each come as far as it can."""
        self.tasks += [asyncio.create_task(self.ask(*one)) for one in asked]
        for _ in range(5):
            await asyncio.sleep(0)

    async def statuses(self) -> list[int]:
        self.go.set()
        self.look.set()
        return [await task for task in self.tasks]


def test_strangers_and_key_holders_take_nothing_from_each_other() -> None:
    async def attack() -> None:
        door = Door()
        await door.start(
            *[(PAGE, ONE, "")] * 10, *[(PAGE, OTHER, "")] * 10, (LIST, ONE, door.key), ("/healthz", ONE, "")
        )
        assert door.door.slots.peers == {ONE: PER_PEER, OTHER: PER_PEER}
        assert door.door.slots.held == 1, "the key holder is in, from the very address of a stranger"
        statuses = await door.statuses()
        assert (statuses.count(200), statuses.count(503)) == (STRANGERS + 2, 20 - STRANGERS)
        assert statuses[-2:] == [200, 200]
        assert not door.door.slots.peers and not door.door.slots.held

    asyncio.run(attack())


def test_key_holders_leave_the_public_pages_to_strangers() -> None:
    async def attack() -> None:
        door = Door()
        await door.start(*[(LIST, ONE, door.key)] * 10, (PAGE, OTHER, ""), ("/readyz", OTHER, ""))
        statuses = await door.statuses()
        assert statuses == [200] * ALONE + [503] * (10 - ALONE) + [200, 200]

    asyncio.run(attack())


def test_a_key_is_looked_up_once_for_all_who_show_it_at_the_same_moment() -> None:
    async def burst() -> None:
        door = Door()
        door.accounts.recalled = False
        door.look.clear()
        await door.start(*[(LIST, ONE, door.key)] * ALONE)
        assert door.door.slots.peers == {ONE: 1}
        assert await door.statuses() == [200] * ALONE
        assert door.accounts.asked[door.key] == 1

    asyncio.run(burst())


def test_keys_that_a_peer_makes_up_cost_others_no_look_up() -> None:
    async def attack() -> None:
        door = Door()
        door.accounts.recalled = False
        door.look.clear()
        await door.start(
            *[(LIST, ONE, new_key().whole) for _ in range(10)], (LIST, OTHER, door.key), (LIST, ONE, "sk-x")
        )
        assert door.door.slots.peers == {ONE: PER_PEER, OTHER: 1}
        statuses = await door.statuses()
        assert (statuses[:10].count(401), statuses[:10].count(503)) == (PER_PEER, 10 - PER_PEER)
        assert statuses[10:] == [200, 401]

    asyncio.run(attack())


def test_who_hangs_up_takes_the_look_up_from_nobody() -> None:
    async def look() -> None:
        door = Door()
        door.accounts.recalled = False
        door.look.clear()
        context = SimpleNamespace(services=SimpleNamespace(accounts=door.accounts), query=door.query)
        lookups = KeyLookups(RequestSlots())
        first, second = (asyncio.create_task(lookups.principal_of(context, door.key, ONE)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        door.look.set()
        assert (await second).account_id == "acc"

    asyncio.run(look())


def test_a_trusted_proxy_stands_for_many() -> None:
    slots = RequestSlots(HOLDERS, STRANGERS, PER_PEER)
    for _ in range(STRANGERS):
        slots.stranger(PROXY)
    with pytest.raises(ServerBusy):
        slots.stranger(PROXY)


def test_an_account_leaves_a_fifth_of_the_slots_to_the_others() -> None:
    slots = RequestSlots(50)
    mine = [slots.holder("mine") for _ in range(40)]
    with pytest.raises(ServerBusy):
        slots.holder("mine")
    slots.holder("other")
    assert slots.accounts == {"mine": 40, "other": 1}
    for slot in mine:
        slot.give_back()
        slot.give_back()
    assert (slots.held, slots.accounts) == (1, {"other": 1})
