"""The audio ratios: what an administrator multiplies the price of sound by, while the service runs.

They are asked for in the transaction that holds the money, never remembered: a change made by any process is in force for
whatever is accepted after it.
"""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import bindparam, select
from sqlmodel import SQLModel, col

from infra.audit.audit_log import record
from infra.database.clock import read_clock
from infra.database.session import Database, Transaction, run
from infra.database.tables import AudioRatio
from pipeline.catalog.catalog import Catalog
from pipeline.errors import InvalidRequest

EVERY_MODEL = "*"
MOST = 1000


class Ratios:
    """A request's ratio is the global one times the model's own: as set here, or else as the catalog says."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    def of(self, model: str) -> Decimal:
        """In force for what is accepted now. Raises ModelNotFound."""
        with self._database.read() as session:
            return self.within(session, model)

    def within(self, session: Transaction, model: str) -> Decimal:
        """The same, in somebody else's transaction."""
        default = self._catalog.model(model).audio_ratio
        known = {row.model: Decimal(row.ratio) for row in run(session, _FOR, {"asked": model})}
        return known.get(EVERY_MODEL, Decimal(1)) * known.get(model, default)

    def all(self) -> list[AudioRatio]:
        """What was set, by model; `*` is the global one."""
        with self._database.read() as session:
            return list(session.scalars(select(AudioRatio).order_by(col(AudioRatio.model))))

    def set(self, model: str, ratio: Decimal) -> AudioRatio:
        """For requests accepted from now on. Raises ModelNotFound, InvalidRequest for what is not between 0 and 1,000."""
        self._want_model(model)
        if not ratio.is_finite() or not 0 <= ratio <= MOST:
            raise InvalidRequest(f"The audio ratio must be a number from 0 to {MOST}.", param="ratio")
        with self._database.write() as session:
            before = session.get(AudioRatio, model)
            record(session, "ratio.set", subject=model, details={"from": before and before.ratio, "to": str(ratio)})
            row = AudioRatio(model=model, ratio=str(ratio), changed_at=read_clock(session))
            return session.merge(row)

    def clear(self, model: str) -> None:
        """Back to the catalog's own; no error where nothing was set. Raises ModelNotFound."""
        self._want_model(model)
        with self._database.write() as session:
            before = session.get(AudioRatio, model)
            if before is not None:
                session.delete(before)
                record(session, "ratio.clear", subject=model, details={"from": before.ratio})

    def _want_model(self, model: str) -> None:
        if model != EVERY_MODEL:
            self._catalog.model(model)


_TABLE = SQLModel.metadata.tables[str(AudioRatio.__tablename__)]  # without the mapped class, for the hot path
_FOR = select(_TABLE.c.model, _TABLE.c.ratio).where(_TABLE.c.model.in_((bindparam("asked"), EVERY_MODEL)))
