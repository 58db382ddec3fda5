"""The application: routes, middleware, error table, lifespan. Nothing happens at import."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version

import anyio.to_thread
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from api.access.authentication import Authentication
from api.console.door import ConsoleDoor
from api.console.page_list import ROUTERS
from api.dependencies import AppContext
from api.http import error_responses
from api.http.content_encoding import ContentEncoding
from api.http.fast_path import FastPath
from api.http.middleware_stack import Application
from api.http.peers import Peers
from api.http.request_body import BodyGuard
from api.http.request_middleware import RequestMiddleware
from api.openapi.document import document
from api.routes.account import erasure, keys, models, usage, webhooks
from api.routes.admin import accounts_and_keys, audit, money, overview
from api.routes.audio import speech, speech_lists, transcriptions, whisper_asr
from api.routes.files import batches, bulk, files, uploads
from api.routes.jobs import corrections, deliveries, estimates, jobs, results
from api.routes.system import docs_page, health
from api.sync.hold_renewal import hold_renewal_task
from infra.settings import Settings
from infra.wiring import Services, build

log = logging.getLogger("stenopool.api")

UNTRACED: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}  # the metrics and the log tell all that
TITLE = "Stenopool"
DESCRIPTION = """Speech jobs behind the OpenAI audio API: any length of sound, any provider, one key.

Send `Authorization: Bearer sk-…`. Every error is `{"error": {"message", "type", "param", "code"}}`. Every answer has an
`x-request-id`."""


def create_app(services: Services | None = None, *, settings: Settings | None = None) -> FastAPI:
    """The API over `services`, or over what `settings` (default: the environment) describes, opened and closed by it."""
    known = services.settings if services else settings or Settings.from_env(os.environ)
    app = Application(
        title=TITLE,
        description=DESCRIPTION,
        version=version("stenopool"),
        lifespan=_lifespan(services, known),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=UNTRACED,
    )
    app.openapi = partial(document, app)  # type: ignore[method-assign]  # FastAPI's own way to change the document
    error_responses.install(app)
    app.layers = (
        partial(FastPath, handlers=transcriptions.FAST_PATHS),
        ContentEncoding,
        Authentication,
        ConsoleDoor,
        partial(BodyGuard, patience=known.read_timeout_seconds, drain=known.max_upload_bytes),
        partial(RequestMiddleware, peers=Peers(known.trusted_proxies)),
    )
    for module in (
        transcriptions,
        speech,
        models,
        speech_lists,
        whisper_asr,
        jobs,
        results,
        corrections,
        deliveries,
        files,
        uploads,
        batches,
        bulk,
        webhooks,
        usage,
        keys,
        erasure,
        estimates,
        accounts_and_keys,
        money,
        audit,
        overview,
        health,
        docs_page,
    ):
        app.include_router(module.router)
    for router in ROUTERS:
        app.include_router(router)
    return app


def _lifespan(services: Services | None, settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if services is not None:  # they belong to whoever opened them
            async with _open(app, services):
                yield
            return
        with await anyio.to_thread.run_sync(partial(build, settings)) as opened:
            async with _open(app, opened, greet=True):
                yield

    return lifespan


@asynccontextmanager
async def _open(app: FastAPI, services: Services, *, greet: bool = False) -> AsyncIterator[None]:
    context = app.state.context = AppContext(services)
    if greet:
        await services.limits.greet()
        for model in services.catalog.ending():
            log.warning("the model %s ends at its vendor: %s", model.id, model.shutdown and model.shutdown.told)
        context.readiness.warm_engines()
    try:
        async with hold_renewal_task(context):
            yield
    finally:
        context.close()
        await services.limits.close()
