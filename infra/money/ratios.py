"""The audio ratios: what an administrator multiplies the price of sound by, while the service runs: of a model, of all models, of
an account.

They are asked for in the transaction that holds the money, never remembered: a change made by any process is in force for
whatever is accepted after it.
"""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import bindparam, literal_column, select, union_all
from sqlmodel import SQLModel, col

from infra.audit.audit_log import record
from infra.database.clock import read_clock
from infra.database.session import Database, Transaction, run
from infra.database.tables.accounts import Account
from infra.database.tables.money import AudioRatio
from pipeline.catalog.catalog import Catalog
from pipeline.errors import InvalidRequest
from pipeline.pricing import by_sound, checked_ratio, priced_by

EVERY_MODEL = "*"


class Ratios:
    """A request's ratio is the global one times the account's own times the model's: as set here, or else as the catalog says."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    def of(self, model: str, account_id: str | None = None) -> Decimal:
        """In force for what is accepted now, of an account or of one without a ratio of its own. Raises ModelNotFound."""
        with self._database.read() as session:
            return self.within(session, model, account_id)

    def within(self, session: Transaction, model: str, account_id: str | None = None) -> Decimal:
        """The same, in somebody else's transaction."""
        default = self._catalog.model(model).audio_ratio
        rows = run(session, _FOR, {"asked": model, "account": account_id or ""})
        known = {row.model: Decimal(row.ratio) for row in rows}
        return known.get(EVERY_MODEL, _ONE) * known.get(model, default) * known.get(_ACCOUNT, _ONE)

    def all(self) -> list[AudioRatio]:
        """What was set, by model; `*` is the global one."""
        with self._database.read() as session:
            return list(session.scalars(select(AudioRatio).order_by(col(AudioRatio.model))))

    def set(self, model: str, ratio: Decimal) -> AudioRatio:
        """For requests accepted from now on. Raises ModelNotFound; InvalidRequest for what is not between 0 and 1,000, and for a
        model of which nothing is priced by sound.
        """
        self._want_model(model)
        self._want_priced_by_sound(model)
        checked_ratio(ratio)
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

    def _want_priced_by_sound(self, model: str) -> None:
        prices = None if model == EVERY_MODEL else self._catalog.model(model).prices
        if prices is not None and not by_sound(prices):
            how = priced_by(prices)
            told = f"is priced by {how}" if how else "has no price"
            raise InvalidRequest(f"{model} {told}; the audio ratio does not touch it.", param="model")


_ONE = Decimal(1)
_ACCOUNT = ""  # no model is called so
_TABLE = SQLModel.metadata.tables[str(AudioRatio.__tablename__)]  # without the mapped class, for the hot path
_ACCOUNTS = SQLModel.metadata.tables[str(Account.__tablename__)]
_FOR = union_all(
    select(_TABLE.c.model, _TABLE.c.ratio).where(_TABLE.c.model.in_((bindparam("asked"), EVERY_MODEL))),
    select(literal_column("''").label("model"), _ACCOUNTS.c.audio_ratio.label("ratio")).where(
        _ACCOUNTS.c.id == bindparam("account"), _ACCOUNTS.c.audio_ratio.is_not(None)
    ),
)
