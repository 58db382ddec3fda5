"""How many requests may be inside at once: so many of key holders, and, apart from them, so many of strangers.

Whoever shows no valid key can fill the strangers' slots alone, and of those a peer its share; key holders never wait for them,
nor the other way round. An account may hold so many slots as long as there are enough free ones for the others; who only waits
for a job gives its slot back. Health checks take none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from functools import partial
from types import TracebackType
from typing import TypeVar

from api.held_bytes import HeldBytes, memory_for_bodies
from api.http.error_responses import ServerBusy
from api.http.peers import Peer

HOLDERS = 640  # each costs a task, not a thread
SHARE = 4  # times what is free is the most that one account may hold: alone 512, beside another one as busy 284 each
STRANGERS = 128  # public pages, and look-ups of keys that nobody has asked for lately
STRANGERS_PER_PEER = 32
FREE = STEP = 64 * 1024  # bytes of a body that come with the slot; what is more counts in steps
Key = TypeVar("Key", bound=Hashable)


class Slot:
    """Taken; given back once, by hand or at the end of its `with`, until when its account has what its request holds in memory."""

    def __init__(self, give_back: Callable[[], None], account_id: str = "", memory: HeldBytes | None = None) -> None:
        self._give_back: Callable[[], None] | None = give_back
        self._account_id, self._memory = account_id, memory
        self._bytes, self._taken = 0, FREE

    def hold(self, size: int) -> None:
        """So many bytes more of the request's body are in memory. Raises ServerBusy."""
        self._bytes += size
        if self._bytes > self._taken and self._memory is not None:
            more = max(STEP, self._bytes - self._taken)
            if not self._memory.take(self._account_id, more):
                raise ServerBusy
            self._taken += more

    def give_back(self) -> None:
        """Somebody else may have it."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def __enter__(self) -> None:
        """It is taken already."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()
        if self._memory is not None and self._taken > FREE:
            self._memory.give_back(self._account_id, self._taken - FREE)
            self._taken = FREE


class RequestSlots:
    """One process'. Each method raises ServerBusy at once where no slot is free."""

    def __init__(self, holders: int = HOLDERS, strangers: int = STRANGERS, per_peer: int = STRANGERS_PER_PEER) -> None:
        self._holders = holders
        self._strangers = strangers
        self._per_peer = per_peer
        self.accounts: Counter[str] = Counter()
        self.peers: Counter[Peer] = Counter()
        self.held = 0
        self.memory = HeldBytes(memory_for_bodies())

    def holder(self, account_id: str) -> Slot:
        """For a request with a valid key."""
        free = self._holders - self.held
        if self.accounts[account_id] >= SHARE * free:
            raise ServerBusy
        self.held += 1
        self.accounts[account_id] += 1
        return Slot(partial(self._holder_left, account_id), account_id, self.memory)

    def stranger(self, peer: Peer) -> Slot:
        """For anybody. A trusted proxy has no share of its own: it stands for many."""
        full = not peer.proxy and self.peers[peer] >= self._per_peer
        if full or self.peers.total() >= self._strangers:
            raise ServerBusy
        self.peers[peer] += 1
        return Slot(partial(_one_less, self.peers, peer))

    def _holder_left(self, account_id: str) -> None:
        self.held -= 1
        _one_less(self.accounts, account_id)


def _one_less(held: Counter[Key], key: Key) -> None:
    held[key] -= 1
    if not held[key]:
        del held[key]
