"""Every page there is, in the order of the navigation."""

from __future__ import annotations

from fastapi import APIRouter

from api.console import new_page, sign_in, static_files

ROUTERS: tuple[APIRouter, ...] = (
    static_files.router,
    sign_in.router,
    new_page.router,
)
