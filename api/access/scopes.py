"""Which scope each path wants of a key. The test of authorization asks this of every route there is."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from api.http.repeated_headers import wants_async
from api.http.request_middleware import SYNCHRONOUS, WHISPER_ASR
from infra.keys import scopes
from infra.keys.key_cache import Principal
from pipeline.errors import MissingScope

READS = frozenset({"GET", "HEAD"})
LINKS = re.compile(r"/v1/audio/jobs/[^/]+/links(/[^/]+)?")
SPEECH = "/v1/audio/speech"
ANY_KEY = ("/v1/models",)  # what a key may see whatever it may do
_BY_PREFIX = (
    ("/v1/webhook_", scopes.WEBHOOKS),
    ("/v1/balance", scopes.USAGE),
    ("/v1/usage", scopes.USAGE),
    ("/v1/receipts", scopes.USAGE),
    ("/v1/keys", scopes.KEYS),
    ("/v1/account", scopes.ACCOUNT),
)


def scope_of(method: str, path: str) -> str | None:
    """None where any key will do. Whatever is not listed is about jobs."""
    if path == SPEECH:
        return scopes.SPEECH
    if path in SYNCHRONOUS or path in WHISPER_ASR:
        return scopes.TRANSCRIBE
    if LINKS.fullmatch(path):
        return scopes.JOBS_READ  # whoever may read a result may pass it on
    if path.startswith(ANY_KEY) or not path.startswith("/v1/"):
        return None
    for prefix, scope in _BY_PREFIX:
        if path.startswith(prefix):
            return scope
    return scopes.JOBS_READ if method in READS else scopes.JOBS_WRITE


def check_scope(principal: Principal, method: str, path: str, headers: Headers) -> None:
    """Raises MissingScope, which names it. A synchronous request that wants a job made of it needs `jobs:write` too."""
    needed = [scope_of(method, path)]
    if path in SYNCHRONOUS and wants_async(headers):
        needed.append(scopes.JOBS_WRITE)
    for scope in needed:
        if scope is not None and scope not in principal.scopes:
            raise MissingScope(
                f"This API key lacks the scope `{scope}`. Use a key that has it, or ask for one.", scope=scope
            )
