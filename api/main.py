"""The application: routes, middleware, error table, lifespan. Nothing happens at import."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
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
from api.http.unknown_names import Taken
from api.openapi.document import document
from api.openapi.taken_names import taken_names
from api.routes.account import erasure, keys, models, usage, webhook_events, webhooks
from api.routes.admin import accounts_and_keys, audit, money, overview
from api.routes.admin import webhooks as admin_webhooks
from api.routes.audio import speech, speech_lists, transcriptions, whisper_asr
from api.routes.files import batches, bulk, files, uploads
from api.routes.jobs import corrections, deliveries, estimates, jobs, links, results
from api.routes.system import docs_page, health
from api.sync.hold_renewal import hold_renewal_task
from infra.settings import Settings
from infra.wiring import Services, build

log = logging.getLogger("stenopool.api")

# The outermost middleware measures and traces every request, those too that never come to the framework.
UNTRACED: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
PROGRAMS = (  # what programs ask for
    transcriptions.router,
    speech.router,
    models.router,
    speech_lists.router,
    whisper_asr.router,
    jobs.router,
    results.router,
    corrections.router,
    deliveries.router,
    links.router,
    files.router,
    uploads.router,
    batches.router,
    bulk.router,
    webhooks.router,
    webhook_events.router,
    usage.router,
    keys.router,
    erasure.router,
    estimates.router,
    accounts_and_keys.router,
    money.router,
    audit.router,
    overview.router,
    admin_webhooks.router,
    health.router,
    docs_page.router,
)
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
    app.openapi = partial(document, app, known.public_url)  # type: ignore[method-assign]  # FastAPI's own way to change the document
    error_responses.install(app)
    app.layers = (
        partial(FastPath, handlers=transcriptions.FAST_PATHS),
        ContentEncoding,
        Authentication,
        partial(ConsoleDoor, public_path=known.public_path),
        partial(BodyGuard, patience=known.read_timeout_seconds, drain=known.max_upload_bytes),
        partial(RequestMiddleware, peers=Peers(known.trusted_proxies), public_path=known.public_path),
    )
    for router in (*PROGRAMS, *ROUTERS):
        app.include_router(router)
    app.state.taken = _taken_names()
    return app


@cache
def _taken_names() -> Mapping[tuple[str, str], Taken]:
    return taken_names(PROGRAMS)


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
