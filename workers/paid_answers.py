"""What somebody was paid for is asked once: an answer is on this machine's disk the moment it arrives, and whoever takes the work
over looks there, and among what attempts before it have stored, before it asks.

An answer is known by its question: the sound or the text of this piece of work. The job's wishes never change.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2s

from pipeline.errors import InputMissing
from workers.job_context import JobContext
from workers.outage_waits import holding_on, persist

log = logging.getLogger(__name__)

ATTEMPTS = (
    2  # before this one whose answers are looked for in the store: whoever died later than that found none either
)
KEPT_SECONDS = 3600.0  # on this machine, for somebody who takes over the work of a process that died

Place = Callable[
    [str, int], str
]  # the key of the answer that the attempt of this number stores to the question of this mark


@dataclass(frozen=True)
class Answer:
    """`key`: where it is stored already. `is_new`: somebody has been asked for it just now."""

    data: bytes
    key: str | None = None
    is_new: bool = True


@contextlib.contextmanager
def paid_once(
    context: JobContext, question: str, ask: Callable[[], bytes], place: Place | None = None
) -> Iterator[Answer]:
    """The answer to `question`, kept until the block has stored it. `ask` is called where none has come before.

    Work that is given back leaves its answer to whoever goes on with it; that of void work is nobody's.
    """
    spool, mark = context.services.answers, mark_of(question)
    name = f"{context.held.lease.job_id}.{context.held.lease.idx}.{mark}"
    answer = _earlier(context, name, mark, place) if context.held.lease.attempt > 1 else None
    if answer is None:
        answer = Answer(ask())
        spool.keep(name, answer.data)
    try:
        yield answer
    finally:
        if not context.held.is_given_back:
            spool.drop(name)


def stored(context: JobContext, question: str, answer: Answer, place: Place) -> str:
    """The key of the answer, which is in the store by then. Raises LeaseLost, and what a store raises that is not away."""
    if answer.key is not None:
        return answer.key
    key = place(mark_of(question), context.held.lease.attempt)
    persist(context.held, partial(context.services.storage.put, key, answer.data), holding_on(context))
    return key


def mark_of(question: str) -> str:
    """A question in a name."""
    return blake2s(question.encode(), digest_size=6).hexdigest()


def _earlier(context: JobContext, name: str, mark: str, place: Place | None) -> Answer | None:
    if (data := context.services.answers.find(name)) is not None:
        log.info("goes on with the answer that a process before it was given")
        return Answer(data, is_new=False)
    return _stored_earlier(context, partial(place, mark)) if place else None


def _stored_earlier(context: JobContext, key_of: Callable[[int], str]) -> Answer | None:
    latest = context.held.lease.attempt - 1
    for attempt in range(latest, max(0, latest - ATTEMPTS), -1):
        with contextlib.suppress(InputMissing):
            answer = Answer(context.services.storage.get(key_of(attempt)), key_of(attempt), is_new=False)
            log.info("goes on with the answer that attempt %d has stored", attempt)
            return answer
    return None
