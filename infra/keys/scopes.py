"""What a key may be allowed to do. A key made without a choice may do everything."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import InvalidRequest

TRANSCRIBE = "transcribe"
SPEECH = "speech"
JOBS_READ = "jobs:read"
JOBS_WRITE = "jobs:write"
WEBHOOKS = "webhooks"
USAGE = "usage"
KEYS = "keys"
ACCOUNT = "account"
SCOPES = {
    TRANSCRIBE: "the synchronous transcriptions and translations, /asr and /detect-language",
    SPEECH: "synchronous speech",
    JOBS_READ: "look at jobs, uploads and their results",
    JOBS_WRITE: "make jobs and uploads, steer and delete them",
    WEBHOOKS: "webhook endpoints",
    USAGE: "balance, usage and receipts",
    KEYS: "make, replace and revoke keys of the account, which may do no more than this one",
    ACCOUNT: "erase the account with everything in it",
}
ALL = frozenset(SCOPES)


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    """Each once, in order. Raises InvalidRequest for none at all, and for one that does not exist."""
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        wrong = f"There is no scope {unknown[0]!r}" if unknown else "A key without any scope opens nothing"
        raise InvalidRequest(f"{wrong}. Scopes: {', '.join(SCOPES)}.", param="scopes")
    return wanted
