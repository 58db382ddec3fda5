"""Bucket to bucket: the server reads, hears and writes, with credentials of its own; the command only asks for it and watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cli.client import Client
from cli.exits import BAD_INPUT, CAPPED, FAILED, OK
from cli.output import complain, print_json, remark
from pipeline.errors import InvalidRequest, StenopoolError

ENDED = ("completed", "failed", "cancelled")
SOONEST, LATEST = 0.5, 10.0  # seconds between two looks


@dataclass(frozen=True)
class BucketRun:
    """What is asked of the server. `beyond`: options of the command that such a run does not have."""

    fields: Mapping[str, Any]
    beyond: tuple[str, ...] = ()
    as_json: bool = False


def hear_in_bucket(client: Client, asked: BucketRun) -> int:
    """Until the run has ended; the exit code. One that runs already is watched, not begun again. Raises ApiAway, ApiRefused."""
    if asked.beyond:
        raise InvalidRequest(f"From bucket to bucket there is no {', '.join(asked.beyond)}.", param="output")
    run = next((one for one in client.bulk_runs() if _is_same(one, asked.fields)), None) or client.begin_bulk(
        asked.fields
    )
    remark(f"{run['id']}: the server does it, also when this command is stopped")
    run = _watched(client, run, _on_json if asked.as_json else _on_terminal)
    return _code(run, asked)


def _is_same(run: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    places = run["output"]["uri"].rstrip("/") == fields["output"]["uri"].rstrip("/")
    return (
        run["status"] not in ENDED
        and places
        and run["input"]["uri"] == fields["input"]["uri"]
        and not fields["dry_run"]
    )


def _watched(client: Client, run: dict[str, Any], show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    pause, shown = SOONEST, None
    while True:
        if run["counts"] != shown:
            show(run)
            pause, shown = SOONEST, run["counts"]
        if run["status"] in ENDED:
            return run
        time.sleep(pause)
        pause = min(LATEST, pause * 1.5)
        run = client.bulk_run(run["id"])


def _on_json(run: dict[str, Any]) -> None:
    print_json({"event": "progress", **run})


def _on_terminal(run: dict[str, Any]) -> None:
    counts, waiting = run["counts"], (run.get("waiting") or {}).get("message")
    remark(
        f"{counts['completed']} of {counts['total']} files, {counts['failed']} failed, {run['hours']} h, "
        f"{run['cost']['captured']} USD" + (f"; waiting: {waiting}" if waiting else "")
    )


def _code(run: dict[str, Any], asked: BucketRun) -> int:
    counts, errors = run["counts"], (run.get("errors") or {}).get("data") or []
    if asked.fields["dry_run"] and run["status"] == "completed":
        print_json(run["estimate"])
        return OK
    for error in errors:
        complain(_Told(error.get("message"), code=error.get("code")))
    if run["status"] != "completed":
        return BAD_INPUT if errors else FAILED
    if counts["failed"]:
        return FAILED
    return CAPPED if counts["completed"] < counts["total"] else OK


class _Told(StenopoolError):
    """The server's own word. Details: code."""
