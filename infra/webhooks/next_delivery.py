"""Which message is next: the one question whose answer decides who is served before whom.

An account that has least under way for its weight comes first, of equals the one that was served longest ago, then its receiver
that has least under way, and there the message that waits longest. A receiver has at most two attempts under way, one while
it does not answer, and none while it is left alone; an account has a share, of which those that do not answer leave one to
the others. However many messages wait at one receiver, the answer costs one look at each receiver that has any.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import CTE, ColumnElement, ScalarSelect, Select, and_, case, func, or_, select
from sqlmodel import col

from infra.database.clock import now
from infra.database.tables.accounts import Account
from infra.database.tables.webhooks import WebhookMessage, WebhookReceiver
from infra.keys.tiers import WEIGHTS
from infra.webhooks.retry_schedule import PATIENCE

AT_ONE_RECEIVER = 2  # attempts under way
FOR_ONE_ACCOUNT = 2  # attempts under way, times its weight

_PENDING = col(WebhookMessage.status) == "pending"
_SILENT = func.coalesce(col(WebhookReceiver.silent), 0)


def in_flight() -> ColumnElement[bool]:
    """Somebody makes an attempt, as far as is known."""
    return and_(col(WebhookMessage.lease_token).is_not(None), col(WebhookMessage.lease_until) >= now())


def rung() -> ColumnElement[bool]:
    """A wake-up was sent for it, and nobody has come yet."""
    return and_(col(WebhookMessage.dispatched_at).is_not(None), col(WebhookMessage.lease_token).is_(None))


def claimable() -> ColumnElement[bool]:
    """Its time has come, and nobody sends it."""
    return and_(
        _PENDING,
        col(WebhookMessage.next_attempt_at) <= now(),
        or_(col(WebhookMessage.lease_token).is_(None), col(WebhookMessage.lease_until) < now()),
    )


# Built once: to build one takes ten times as long as to run it.
@cache
def next_to_claim() -> Select[str]:
    """The id of the message that should be sent next; no row when none may be."""
    return _next(claimable(), in_flight())


@cache
def next_to_ring() -> Select[str]:
    """The same for wake-ups: one that was rung has its place already, so there are never more of them than may be sent."""
    unrung = or_(col(WebhookMessage.dispatched_at).is_(None), col(WebhookMessage.lease_token).is_not(None))
    return _next(and_(claimable(), unrung), or_(in_flight(), rung()))


def _next(wanted: ColumnElement[bool], busy: ColumnElement[bool]) -> Select[str]:
    waiting = _receivers_with_messages()
    at_receiver, of_account, served = _busy_by_receiver(busy), _busy_by_account(busy), _served_by_account()
    share = FOR_ONE_ACCOUNT * case(dict(WEIGHTS), value=col(Account.tier), else_=1)
    account_busy, receiver_busy = func.coalesce(of_account.c.busy, 0), func.coalesce(at_receiver.c.busy, 0)
    return (
        select(col(WebhookMessage.id))
        .select_from(waiting)
        .join(WebhookMessage, col(WebhookMessage.id) == _oldest(wanted, waiting))
        .join(Account, col(Account.id) == col(WebhookMessage.account_id))
        .outerjoin(WebhookReceiver, col(WebhookReceiver.id) == waiting.c.receiver)
        .outerjoin(at_receiver, at_receiver.c.receiver == waiting.c.receiver)
        .outerjoin(of_account, of_account.c.account_id == col(Account.id))
        .outerjoin(served, served.c.account_id == col(Account.id))
        .where(
            func.coalesce(col(WebhookReceiver.quiet_until), 0) <= now(),
            receiver_busy < case((_SILENT >= PATIENCE, 1), else_=AT_ONE_RECEIVER),
            account_busy < share,
            or_(_SILENT == 0, func.coalesce(of_account.c.silent, 0) < share - 1),
        )
        .order_by(
            account_busy * (1.0 * FOR_ONE_ACCOUNT) / share,
            func.coalesce(served.c.last, 0),
            receiver_busy,
            func.coalesce(col(WebhookReceiver.claimed_at), 0),
            col(WebhookMessage.next_attempt_at),
            col(WebhookMessage.id),
        )
        .limit(1)
    )


def _receivers_with_messages() -> CTE:
    """From one to the next by the index, past all messages in between."""
    receiver = col(WebhookMessage.receiver)
    waiting = select(func.min(receiver).label("receiver")).where(_PENDING).cte("waiting", recursive=True)
    following = select(func.min(receiver)).where(_PENDING, receiver > waiting.c.receiver).correlate(waiting)
    return waiting.union_all(select(following.scalar_subquery()).where(waiting.c.receiver.is_not(None)))


def _oldest(wanted: ColumnElement[bool], waiting: CTE) -> ScalarSelect[Any]:
    return (
        select(col(WebhookMessage.id))
        .where(col(WebhookMessage.receiver) == waiting.c.receiver, wanted)
        .order_by(col(WebhookMessage.next_attempt_at), col(WebhookMessage.id))
        .limit(1)
        .correlate(waiting)
        .scalar_subquery()
    )


def _busy_by_receiver(busy: ColumnElement[bool]) -> CTE:
    receiver = col(WebhookMessage.receiver)
    return select(receiver, func.count().label("busy")).where(_PENDING, busy).group_by(receiver).cte("at_receiver")


def _busy_by_account(busy: ColumnElement[bool]) -> CTE:
    account = col(WebhookMessage.account_id)
    silent = func.sum(case((_SILENT > 0, 1), else_=0)).label("silent")
    return (
        select(account, func.count().label("busy"), silent)
        .outerjoin(WebhookReceiver, col(WebhookReceiver.id) == col(WebhookMessage.receiver))
        .where(_PENDING, busy)
        .group_by(account)
        .cte("of_account")
    )


def _served_by_account() -> CTE:
    account = col(WebhookReceiver.account_id)
    return select(account, func.max(col(WebhookReceiver.claimed_at)).label("last")).group_by(account).cte("served")
