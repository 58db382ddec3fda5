"""The tables, a module to each thing that is kept; whoever imports one module has the metadata of all."""

from infra.database.tables import (
    accounts,
    batches,
    console,
    idempotency,
    jobs,
    money,
    shares,
    storage,
    uploads,
    webhooks,
    workers,
)

__all__ = [
    "accounts",
    "batches",
    "console",
    "idempotency",
    "jobs",
    "money",
    "shares",
    "storage",
    "uploads",
    "webhooks",
    "workers",
]
