"""Accounts as owners of work: how much of what all share each gets beside the others.

What is shared inside a process (threads, engines) is a `pipeline.concurrency.shares.Shares`, which asks for whom the work at hand
is done; what the processes share (senders of webhooks) is counted in the database, by the same weights.
"""

from __future__ import annotations

from infra.keys.tiers import WEIGHTS
from pipeline.concurrency.shares import Owner


def owner_of(account_id: str, tier: str) -> Owner:
    """Who owns the account's work. A tier without a weight has the least."""
    return Owner(account_id, WEIGHTS.get(tier, 1))
