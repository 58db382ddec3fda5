"""What is to be deleted from the object store, said in the transaction that makes it useless."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from infra.database.tables.storage import Erasure


def erase(session: Session, place: str, due_at: float) -> None:
    """Have the sweep delete this key, or this folder when it ends in `/`."""
    session.merge(Erasure(place=place, due_at=due_at))


def erase_all(session: Session, places: Iterable[str], due_at: float) -> None:
    """The same of many, one at least, in one statement."""
    kind = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    rows = kind.insert(Erasure).values([{"place": place, "due_at": due_at} for place in sorted(places)])
    session.execute(rows.on_conflict_do_update(index_elements=["place"], set_={"due_at": rows.excluded.due_at}))
