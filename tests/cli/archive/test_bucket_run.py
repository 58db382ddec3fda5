"""Bucket to bucket: what is asked of the server, and what the command makes of its answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cli import exits
from tests.api.serving import running
from tests.cli.conftest import Ran, Run

PLACES = ("s3://calls/2026/", "--output", "s3://texts/2026/")


class Server:
    """One run, which ends at the second look."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.end: dict[str, Any] = {"status": "completed", "counts": {"total": 2, "completed": 2, "failed": 0}}

    async def begin(self, request: Request) -> JSONResponse:
        self.asked.append(json.loads(await request.body()))
        self.runs.append(run_of(self.asked[-1]))
        return JSONResponse(self.runs[-1], status_code=202)

    async def listed(self, _: Request) -> JSONResponse:
        return JSONResponse({"data": self.runs})

    async def show(self, _: Request) -> JSONResponse:
        self.runs[-1] |= self.end
        return JSONResponse(self.runs[-1])


def run_of(asked: dict[str, Any]) -> dict[str, Any]:
    counts = {"total": 0, "completed": 0, "failed": 0}
    more = {"hours": 0.0, "cost": {"captured": 0}, "errors": None, "estimate": {"files": 2, "cost": 0.5}}
    return {
        "id": "bulk_1",
        "status": "queued",
        "input": asked["input"],
        "output": asked["output"],
        "counts": counts,
        **more,
    }


@pytest.fixture
def server() -> Iterator[Server]:
    made, path = Server(), "/v1/audio/bulk"
    routes = [
        Route(path, made.begin, methods=["POST"]),
        Route(path, made.listed, methods=["GET"]),
        Route(path + "/bulk_1", made.show, methods=["GET"]),
    ]
    with running(Starlette(routes=routes)) as served:
        made.url = served.url
        yield made


def bulk(run: Run, server: Server, *words: str) -> Ran:
    return run("bulk", *words, "--base-url", server.url, "--model", "m")


def test_the_server_is_told_what_and_watched_to_its_end(run: Run, server: Server) -> None:
    given = ("--format", "srt,vtt", "--include", "*.wav", "--max-cost", "2.5", "--language", "en", "--layout", "flat")
    given += ("--complete-by", "2100-01-01T00:00+00:00")
    said = bulk(run, server, *PLACES, *given)
    assert (said.code, "2 of 2 files" in said.err) == (exits.OK, True)
    assert server.asked == [
        {
            "model": "m",
            "language": "en",
            "input": {"mode": "prefix", "uri": "s3://calls/2026/", "include": ["*.wav"], "exclude": []},
            "output": {"uri": "s3://texts/2026/", "layout": "flat", "formats": ["srt", "vtt"]},
            "max_cost": 2.5,
            "complete_by": 4_102_444_800,
            "dry_run": False,
            "force": False,
            "retry_failed": False,
        }
    ]


def test_a_run_that_goes_on_already_is_watched_and_not_begun_again(run: Run, server: Server) -> None:
    server.runs.append(run_of({"input": {"uri": "s3://calls/2026/"}, "output": {"uri": "s3://texts/2026/"}}))
    assert bulk(run, server, *PLACES).code == exits.OK
    assert server.asked == []


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"status": "completed", "counts": {"total": 2, "completed": 1, "failed": 1}}, exits.FAILED),
        ({"status": "completed", "counts": {"total": 2, "completed": 1, "failed": 0}}, exits.CAPPED),
        ({"status": "cancelled"}, exits.FAILED),
        ({"status": "failed", "errors": {"data": [{"code": "x", "message": "No such bucket."}]}}, exits.BAD_INPUT),
    ],
)
def test_how_it_ends_is_the_exit_code(run: Run, server: Server, end: dict[str, Any], code: int) -> None:
    server.end = end
    assert bulk(run, server, *PLACES).code == code


def test_a_dry_run_prints_the_estimate(run: Run, server: Server) -> None:
    assert bulk(run, server, *PLACES, "--dry-run").json == {"files": 2, "cost": 0.5}


@pytest.mark.parametrize(
    "words",
    [
        (*PLACES, "--suffix", ".en"),
        (*PLACES, "--local"),
        (*PLACES, "--order", "size"),
        (*PLACES, "--concurrency", "4"),
        (*PLACES, "--max-files", "0"),
        ("folder", "--output", "s3://texts/"),
        ("s3://a/", "s3://b/", "--output", "s3://texts/"),
    ],
)
def test_what_such_a_run_does_not_have_is_refused(run: Run, server: Server, words: tuple[str, ...]) -> None:
    assert bulk(run, server, *words).code == exits.BAD_INPUT
    assert server.asked == []
