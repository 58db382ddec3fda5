"""What is to be deleted from the object store, said in the transaction that makes it useless."""

from __future__ import annotations

from sqlalchemy.orm import Session

from infra.database.tables.storage import Erasure


def erase(session: Session, place: str, due_at: float) -> None:
    """Have the sweep delete this key, or this folder when it ends in `/`."""
    session.merge(Erasure(place=place, due_at=due_at))
