"""Names in a request that its route does not take: told in `ignored` and X-Perf-Ignored, or refused where they look like a slip.

On our own routes a slip is 400. On those of OpenAI's API everything is taken that a client's SDK may send, `extra_body` included,
so there a slip in the body is told and nothing more. A list refuses every filter that it does not have: it would show too much.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import Request
from starlette.types import Scope

from infra.requests.known_names import KnownNames, refuse_slips, told
from pipeline.errors import InvalidRequest

HEADER = b"x-perf-ignored"


@dataclass(frozen=True)
class Taken:
    """What one route takes, by name; made once when the application is (api/openapi/taken_names.py)."""

    query: KnownNames
    body: KnownNames
    foreign: bool  # it is asked by clients that others have written
    listing: bool


def check_query(request: Request) -> None:
    """Raises InvalidRequest for what looks like a parameter of the route, and on a list for whatever is none."""
    taken = _taken(request.scope)
    unknown = taken.query.unknown(request.query_params) if taken else []
    if not taken or not unknown:
        return
    refuse_slips(taken.query, unknown, what="parameter")
    if not taken.foreign:
        _refuse_fields(taken.body, unknown)
    if taken.listing and not taken.foreign:
        there = ", ".join(f"`{name}`" for name in sorted(taken.query.names))
        raise InvalidRequest(
            f"There is no parameter `{told(unknown)[0]}` here. There are {there}.", param=told(unknown)[0]
        )
    ignore(request, unknown)


def check_body(request: Request, given: Any, *, files: Collection[str] = ()) -> None:
    """`given`: the body's fields; `files`: names of files beside the one that is wanted. Raises InvalidRequest for slips on our
    own routes."""
    taken = _taken(request.scope)
    if taken is None or not isinstance(given, dict):
        return
    unknown = taken.body.unknown(given)
    if files:
        unknown += [name for name in files if name not in taken.body.names]
    if not unknown:
        return
    if not taken.foreign:
        refuse_slips(taken.body, unknown)
    ignore(request, unknown)


def refuses_slips(request: Request) -> bool:
    """Whether a slip in the body is refused, so that it is worth looking before all of it has come."""
    taken = _taken(request.scope)
    return taken is not None and not taken.foreign


def ignore(request: Request, names: list[str]) -> None:
    """Nobody reads these: the answer says so."""
    state = request.scope["state"]
    state["ignored"] = told(list(dict.fromkeys([*state.get("ignored", ()), *names])))


def ignore_all(request: Request, names: Collection[str]) -> None:
    """The body's names that nobody reads are these, whatever its route would say: a job's go by its task."""
    state = request.scope["state"]
    in_url = [name for name in state.get("ignored", ()) if name in request.query_params]
    state["ignored"] = told([*in_url, *names])


def ignored(request: Request) -> dict[str, list[str]]:
    """What an answer's JSON says of it; nothing where there is nothing to say."""
    names = request.scope["state"].get("ignored")
    return {"ignored": names} if names else {}


def ignored_header(state: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The same for answers of every kind."""
    names = state.get("ignored")
    return [(HEADER, ", ".join(quote(name, safe="[]") for name in names).encode())] if names else []


def _refuse_fields(body: KnownNames, unknown: list[str]) -> None:
    for name in unknown:
        meant = name if name in body.names else body.meant(name)
        if meant is not None:
            raise InvalidRequest(
                f"`{meant}` is a field of the body and has no effect in the URL.", param=told([name])[0]
            )


def _taken(scope: Scope) -> Taken | None:
    route = scope.get("route")
    if route is None or "app" not in scope:
        return None
    by_route: Mapping[tuple[str, str], Taken] = getattr(scope["app"].state, "taken", {})
    return by_route.get((scope["method"], route.path))
