"""Usage: what was used and what it cost, by day, model and key; the balance, the receipts, all of it as CSV."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from api.console.pages import PageRoute, render
from api.console.v1_client import V1
from api.console.visit import SignedIn
from infra.money.spreadsheet import csv_lines

router = APIRouter(route_class=PageRoute, include_in_schema=False)
By = Literal["day", "model", "key"]
MOST_LINES = 1000
DAYS = 30
RECEIPTS = 20
WIDTH, HEIGHT = 720, 160  # of the chart, in its own units
COLUMNS = ("requests", "audio_seconds", "characters", "cost_usd")


class Period(BaseModel):
    """Which days, and what each line is about."""

    since: datetime.date | None = Field(None, alias="from")
    until: datetime.date | None = Field(None, alias="to")
    by: By = "day"

    def days(self) -> dict[str, str]:
        """For the API."""
        until = self.until or datetime.datetime.now(datetime.UTC).date()
        since = self.since or until - datetime.timedelta(days=DAYS - 1)
        return {"from": str(since), "to": str(until)}


class Bar(NamedTuple):
    """One day of the chart."""

    day: str
    cost: float
    x: float
    y: float
    width: float
    height: float


@router.get("/console/usage")
async def show(
    request: Request, visit: SignedIn, period: Annotated[Period, Query()], after: str | None = None
) -> Response:
    """The page; the chart is drawn here, so that it needs no script."""
    v1, days = V1(request, visit), period.days()
    daily = await v1.get("/v1/usage", group_by="day", limit=MOST_LINES, **days)
    report = daily if period.by == "day" else await v1.get("/v1/usage", group_by=period.by, limit=MOST_LINES, **days)
    facts = {
        "balance": await v1.get("/v1/balance"),
        "report": report,
        "receipts": await v1.get("/v1/receipts", limit=RECEIPTS, after=after, **days),
        "bars": bars(daily["data"], days["from"], days["to"]),
        "by": period.by,
        "days": days,
        "width": WIDTH,
        "height": HEIGHT,
    }
    return render(request, visit, "usage.html", **facts)


def bars(lines: list[dict[str, Any]], since: str, until: str) -> list[Bar]:
    """A bar for each day of the period, those without any use included."""
    costs = {line["day"]: float(line["cost_usd"]) for line in lines}
    first, last = datetime.date.fromisoformat(since), datetime.date.fromisoformat(until)
    days = [str(first + datetime.timedelta(days=number)) for number in range(min((last - first).days + 1, MOST_LINES))]
    most, step = max(costs.values(), default=0.0) or 1.0, WIDTH / max(1, len(days))
    heights = [HEIGHT * costs.get(day, 0.0) / most for day in days]
    return [
        Bar(day, costs.get(day, 0.0), round(number * step, 2), round(HEIGHT - high, 2), round(step * 0.8, 2), round(high, 2))
        for number, (day, high) in enumerate(zip(days, heights, strict=True))
    ]  # fmt: skip


@router.get("/console/usage.csv")
async def as_csv(request: Request, visit: SignedIn, period: Annotated[Period, Query()]) -> Response:
    """The lines of the page for a spreadsheet."""
    report = await V1(request, visit).get("/v1/usage", group_by=period.by, limit=MOST_LINES, **period.days())
    rows = [(period.by, *COLUMNS), *((line["id"], *(line[name] for name in COLUMNS)) for line in report["data"])]
    headers = {"content-disposition": f'attachment; filename="usage-by-{period.by}.csv"'}
    return Response(csv_lines(rows), media_type="text/csv; charset=utf-8", headers=headers)
