"""`stenopool storage`: the object store, looked through for what no row of the database leads to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cli.environment import settings
from cli.operator_database import AsJson, moment, open_operator_database
from cli.output import print_json, print_table, remark
from infra.housekeeping.orphan_sweep import OrphanSweep, SweptPage
from infra.storage import open_storage
from infra.storage.base import StoredObject

app = typer.Typer(add_completion=False)
REST_SECONDS = 24 * 3600.0  # that the scheduler's own sweep rests after one by hand


@app.callback()
def storage() -> None:
    """Look through the object store for what nothing leads to."""


@app.command()
def sweep(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be removed, from the start.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Remove it although it is most of what there is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove objects older than a day to which no row of the database leads. The scheduler does so by itself, a page a minute.

    Stopped and begun again, it goes on where it was.
    """
    with open_operator_database() as operator, contextlib.closing(open_storage(settings().storage)) as store:
        orphans = OrphanSweep(operator.database, store)
        pages = _pages(orphans, "" if dry_run else orphans.position())
        shown, looked, count, size = list[StoredObject](), 0, 0, 0
        for page in pages:
            looked, count, size = looked + page.looked, count + len(page.orphans), size + page.bytes
            if dry_run:
                shown += page.orphans
                continue
            orphans.remove(page, sure=force)
            orphans.note(page, rest=REST_SECONDS)
    if as_json:
        totals: dict[str, Any] = {"objects": looked, "orphans": count, "bytes": size, "removed": not dry_run}
        print_json(totals | ({"keys": [one.key for one in shown]} if dry_run else {}))
        return
    if dry_run and shown:
        print_table(("key", "bytes", "modified"), ((one.key, one.size, moment(one.modified)) for one in shown))
    told = "would be removed; nothing was" if dry_run else "removed"
    remark(f"{looked} objects looked at, {count} orphans of {size} bytes {told}")


def _pages(orphans: OrphanSweep, after: str) -> Iterator[SweptPage]:
    while True:
        page = orphans.look(after)
        yield page
        if not page.after:
            return
        after = page.after
