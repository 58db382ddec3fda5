"""What `stenopool bulk` does once its line is understood: list, hear and report, or tell beforehand."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from dataclasses import dataclass, replace
from typing import NoReturn

import typer

from cli.archive.bucket_run import BucketRun, hear_in_bucket
from cli.archive.display import Display
from cli.archive.engine import Engine
from cli.archive.forecast import forecast
from cli.archive.journal import Journal
from cli.archive.naming import NameCollision, name_all
from cli.archive.plan import Plan
from cli.archive.report import kept_in
from cli.archive.throttle import FIRST, Throttle
from cli.bulk_run.interrupts import only_one, pause, stoppable
from cli.bulk_run.server import Server
from cli.client import Client
from cli.exits import BAD_INPUT, FAILED, INTERRUPTED, OK
from cli.jobs import LOCAL
from cli.listing.buckets import Buckets
from cli.listing.found import Found, Trouble
from cli.listing.sources import Sources
from cli.output import MOST_REMARKS, complain, print_json, remark
from pipeline.errors import InvalidRequest

LOOK_AGAIN = 5.0  # seconds between two looks with --watch


@dataclass(frozen=True)
class Asked:
    """The command's line."""

    plan: Plan
    sources: Sources
    server: Server
    as_json: bool


def from_bucket_to_bucket(server: Server, asked: BucketRun) -> int:
    """The server does all of it, with credentials of its own; the exit code."""
    with Client(server.base_url or LOCAL, server.api_key) as client:
        try:
            return hear_in_bucket(client, asked)
        except KeyboardInterrupt:
            remark("The server goes on. The same command looks on again.")
            return INTERRUPTED


def run(asked: Asked) -> int:
    """Until all is done, or once more and again with --watch; the exit code."""
    with contextlib.ExitStack() as held:
        held.enter_context(only_one(asked.plan.output, asked.plan.report))
        journal = held.enter_context(contextlib.closing(Journal(kept_in(asked.plan.report))))
        buckets = held.enter_context(contextlib.closing(Buckets()))
        _list(asked, journal, buckets)
        if not asked.plan.watch and _is_empty(journal):
            return BAD_INPUT
        plan = replace(asked.plan, concurrency=asked.server.at_once)
        throttle = Throttle(plan.concurrency, first=plan.concurrency if asked.server.local else FIRST)
        hearer = asked.server.hearer(plan.hearing, throttle, held)
        for look in itertools.count(1):
            display = Display(journal, as_json=asked.as_json)
            engine = Engine(plan, journal, hearer, buckets=buckets, throttle=throttle, audience=display)
            code = _through(engine, display, as_json=asked.as_json, quiet=plan.watch and look > 1)
            if not plan.watch or engine.ending:
                return code
            pause(LOOK_AGAIN)
            _list(asked, journal, buckets)
    raise AssertionError("unreachable: counting has no end")


def _through(engine: Engine, display: Display, *, as_json: bool, quiet: bool) -> int:
    """One run, its last report and its exit code."""
    try:
        with stoppable(), display.shown():
            engine.run()
    except KeyboardInterrupt:
        _leave(engine)
    summary = engine.close()
    if as_json:
        print_json({"event": "summary", **summary})
    elif not quiet:
        remark(str(display.counted))
    if engine.ending:
        complain(engine.ending.error)
        return engine.ending.code
    return FAILED if summary["files"]["failed"] else OK


def _leave(engine: Engine) -> NoReturn:
    """Without waiting for what is being sent: whatever is half done is found by the next run."""
    engine.close()
    remark("Interrupted. The same command goes on where this one has stopped.")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def foretold(asked: Asked) -> int:
    """What a run would do; nothing is written."""
    with contextlib.ExitStack() as held:
        journal = held.enter_context(contextlib.closing(Journal.copy_of(kept_in(asked.plan.report))))
        buckets = held.enter_context(contextlib.closing(Buckets()))
        _list(asked, journal, buckets)
        if _is_empty(journal):
            return BAD_INPUT
        hearer = asked.server.hearer(asked.plan.hearing, Throttle(1), held)
        found = forecast(asked.plan, journal, buckets, hearer.price, due=asked.server.complete_by)
    if asked.as_json:
        print_json(found.told())
    else:
        for line in found.lines():
            typer.echo(line)
    return found.code


def _list(asked: Asked, journal: Journal, buckets: Buckets) -> None:
    """What there is, and what its outputs are called."""
    with journal.listing():
        for one in asked.sources.listed(buckets):
            if isinstance(one, Trouble):
                journal.note_trouble(one)
            elif (other := journal.note(one)) is not None:
                journal.note_trouble(_same_name(one, other))
        remarks = name_all(journal, asked.plan)
    for text in remarks[:MOST_REMARKS]:
        remark(text)
    if len(remarks) > MOST_REMARKS:
        remark(f"and {len(remarks) - MOST_REMARKS} more of the same stem as another one")
    if not asked.plan.watch:
        for trouble in itertools.islice(journal.troubles(), MOST_REMARKS):
            remark(f"{trouble.name}: {trouble.message} [{trouble.code}]")


def _same_name(one: Found, other: Found) -> Trouble:
    told = f"{one.place} would have the outputs of {other.place}. Give the folder that holds both as the source."
    return Trouble(one.place, NameCollision.code, told)


def _is_empty(journal: Journal) -> bool:
    files, _ = journal.totals()
    if files or any(not trouble.harmless for trouble in journal.troubles()):
        return False
    complain(InvalidRequest("No recording is called as you say; see --include and --exclude.", param="source"))
    return True
