"""The audio ratios: what an administrator multiplies the price of sound by, while the service runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from decimal import Decimal

from sqlalchemy import delete, select
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables import AudioRatio
from pipeline.catalog import Catalog
from pipeline.errors import InvalidRequest

REMEMBERED_SECONDS = 2.0  # a change made elsewhere is in force here after this long
EVERY_MODEL = "*"
MOST = 1000


class Ratios:
    """A request's ratio is the global one times the model's own: as set here, or else as the catalog says."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog
        self._lock = threading.Lock()
        self._known: dict[str, Decimal] = {}
        self._until = 0.0  # time.monotonic()

    def of(self, model: str) -> Decimal:
        """In force for a request that is accepted now. Raises ModelNotFound."""
        known = self._current()
        default = self._catalog.model(model).audio_ratio
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
            row = AudioRatio(model=model, ratio=str(ratio), changed_at=read_clock(session))
            row = session.merge(row)
        self._forget()
        return row

    def clear(self, model: str) -> None:
        """Back to the catalog's own; no error where nothing was set. Raises ModelNotFound."""
        self._want_model(model)
        with self._database.write() as session:
            session.execute(delete(AudioRatio).where(col(AudioRatio.model) == model))
        self._forget()

    def _want_model(self, model: str) -> None:
        if model != EVERY_MODEL:
            self._catalog.model(model)

    def _forget(self) -> None:
        with self._lock:
            self._until = 0.0

    def _current(self) -> Mapping[str, Decimal]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._known = {row.model: Decimal(row.ratio) for row in self.all()}
                self._until = time.monotonic() + REMEMBERED_SECONDS
            return self._known
