"""Every page there is, in the order of the navigation."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.console import (
    jobs_page,
    keys_page,
    new_page,
    operator_page,
    sign_in,
    static_files,
    usage_page,
    webhooks_page,
)
from api.console.one_job import export, player_page
from api.console.one_model import detail, listing
from api.console.pages import PageRoute
from pipeline.errors import NotFound

nowhere = APIRouter(route_class=PageRoute, include_in_schema=False)


@nowhere.get("/console/{path:path}")
async def unknown(path: str) -> Response:
    """A page that says so. Raises NotFound."""
    raise NotFound(f"There is no page {path!r}.")


ROUTERS: tuple[APIRouter, ...] = (
    static_files.router,
    sign_in.router,
    new_page.router,
    jobs_page.router,
    player_page.router,
    export.router,
    listing.router,
    detail.router,
    usage_page.router,
    keys_page.router,
    webhooks_page.router,
    operator_page.router,
    nowhere,  # what none of those is
)
