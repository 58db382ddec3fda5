"""A request for a job made ready: its fields checked, its recording found, its price known; one commit makes the job of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from infra.database.tables.uploads import Media
from infra.jobs.request_blobs import SplitRequest
from infra.jobs.store import NewJob
from infra.keys.tiers import NORMAL, checked_priority
from infra.money.job_money import Terms
from infra.outbound.url_policy import shown_url
from infra.requests.bucket_recording import look_at_object
from infra.requests.job_request import JobFields, SpeechJobFields
from infra.requests.kept_recording import kept_file, look_into
from infra.requests.known_names import known_names
from infra.requests.known_names import told as told_names
from infra.requests.quote import heard_ms, job_terms, known_ms_of
from infra.requests.validation import validated
from infra.webhooks.signing_secrets import new_secret
from infra.wiring import Services
from pipeline.audio.duration.estimate import UNKNOWN_MS, Ends, Estimate
from pipeline.errors import InvalidRequest, MediaTooLarge, OutboundRefused

Fields = JobFields | SpeechJobFields
NO_TEXT = 'This job hears a recording and takes no `text`. To have a `text` spoken, set `task` to "speech".'


@dataclass(frozen=True)
class Asker:
    """Who wants a job made."""

    account_id: str
    tier: str
    key_id: str | None
    request_id: str | None


@dataclass(frozen=True)
class JobInput:
    """What there is to hear or to speak: something in storage, or a URL to fetch."""

    facts: dict[str, Any]
    media: Media | None = None
    source: dict[str, Any] | None = None
    ends: Ends | None = None


def job_fields(services: Services, given: Any, task: str | None = None, *, missing: Sequence[str] = ()) -> Fields:
    """Everything that can be refused without looking at the sound is refused here; `task` overrules the request's own. `missing` as
    in `validated`."""
    told = {**given, "task": task} if task and isinstance(given, dict) else given
    speech = isinstance(told, dict) and told.get("task") == "speech"
    if not speech and isinstance(told, dict) and told.get("text"):
        raise InvalidRequest(NO_TEXT, param="text")
    if speech and task and told.get("voice") is None:  # the endpoint that became this job wants one
        raise InvalidRequest("voice: this field is required", param="voice")
    kind: type[Fields] = SpeechJobFields if speech else JobFields
    fields = validated(kind, told, missing=missing)
    fields.ignoring(_ignored(kind, fields, told))
    if isinstance(fields, SpeechJobFields) or fields.task == "speech":
        services.catalog.routes(fields.model, fields.task)
        services.catalog.check_format(fields.model, fields.task, fields.response_format or "mp3")
    else:
        options = fields.options(fields.task)
        services.catalog.routes_for(options)
        services.catalog.check_format_of(options)
    if fields.webhook is not None:
        check_target(services, fields.webhook.url, param="webhook.url")
    for name, most in (
        ("timeout_seconds", services.settings.job_timeout_seconds),
        ("retention_seconds", services.settings.retention_seconds),
    ):
        if (getattr(fields, name) or 0) > most:
            raise InvalidRequest(f"{name}: at most {most} on this server.", param=name)
    return fields


def _ignored(kind: type[Fields], fields: Fields, given: dict[str, Any]) -> list[str]:
    translated = isinstance(fields, JobFields) and fields.task == "translation"
    unused = fields.unused_in_translations() if isinstance(fields, JobFields) and translated else []
    return told_names([*known_names(kind).unknown(given), *unused])


def check_target(services: Services, url: str, *, param: str) -> None:
    """Raises OutboundRefused for a URL that may not be called, whatever its name resolves to: that is checked later."""
    try:
        services.outbound.check(url)
    except OutboundRefused as error:
        raise OutboundRefused(error.message, param=param) from error


def from_storage(fields: JobFields, media: Media, ends: Ends) -> JobInput:
    """A recording of which both ends were seen."""
    facts: dict[str, Any] = {
        "type": "file",
        "filename": media.filename,
        "bytes": media.bytes,
        "sha256": media.sha256,
    }
    length = ends.estimate(fields.raw)
    if not length.guessed:
        facts["expected_ms"] = heard_ms(fields, length)
    return JobInput(facts, media=media, ends=ends)


def kept(services: Services, account_id: str, fields: JobFields) -> JobInput:
    """The recording that `file_id` or `upload_id` names. Raises as kept_file and look_into."""
    file = kept_file(services, account_id, fields)
    found = from_storage(fields, *look_into(services, account_id, file, fields))
    return replace(found, facts=found.facts | {"file_id": file.id})


def in_bucket(services: Services, account_id: str, fields: JobFields, uri: str, etag: str | None = None) -> JobInput:
    """A recording in a bucket, of this version if one is given, which a worker fetches. Raises BucketNotAllowed, DownloadFailed,
    SourceChanged, UnsupportedMedia by its first bytes, EmptyMedia, MediaTooLarge."""
    found, ends = look_at_object(services, account_id, uri, fields.raw, etag)
    if found.size > services.settings.max_upload_bytes:
        raise MediaTooLarge(
            f"The recording has {found.size} bytes; at most {services.settings.max_upload_bytes} are taken."
        )
    facts: dict[str, Any] = {"type": "s3", "filename": uri.rpartition("/")[2], "s3_uri": uri, "bytes": found.size}
    length = ends.estimate(fields.raw)
    if not length.guessed:
        facts["expected_ms"] = heard_ms(fields, length)
    return JobInput(facts, source={"s3_uri": uri, "etag": found.etag}, ends=ends)


def fetched(services: Services, fields: JobFields, url: str) -> JobInput:
    """A recording elsewhere, which a worker fetches. Raises OutboundRefused."""
    check_target(services, url, param="url")
    shown = shown_url(url)
    facts = {"type": "url", "filename": shown.rsplit("/", maxsplit=1)[-1] or None, "url": shown}
    return JobInput(facts, source={"url": url, "headers": fields.headers or {}})


def written(text: str, media: Media) -> JobInput:
    """A text to be spoken, kept where recordings are, so that it goes when they go."""
    facts = {"type": "text", "bytes": media.bytes, "sha256": media.sha256, "characters": len(text)}
    return JobInput(facts, media=media)


def terms_of(services: Services, account_id: str, fields: Fields, heard: JobInput) -> tuple[Terms | None, int]:
    """What it will cost, and the ms of sound that it says it has."""
    declared = None if isinstance(fields, SpeechJobFields) else fields.raw
    length = heard.ends.estimate(declared) if heard.ends else Estimate(UNKNOWN_MS, guessed=True)
    return job_terms(services, account_id, fields, length), known_ms_of(fields, length)


def new_job(
    services: Services,
    asker: Asker,
    fields: Fields,
    heard: JobInput,
    request: SplitRequest,
    *,
    terms: Terms | None,
    known_ms: int,
) -> NewJob:
    """The row to be. Raises InvalidRequest for a priority that the tier does not have."""
    webhook, settings = fields.webhook, services.settings
    return NewJob(
        account_id=asker.account_id,
        key_id=asker.key_id,
        task=fields.task,
        model=fields.model,
        request=request.kept,
        blobs=request.facts,
        job_id=request.job_id,
        media=heard.media,
        input=heard.facts,
        source=heard.source,
        client_reference_id=fields.client_reference_id,
        meta=fields.metadata,
        priority=checked_priority(asker.tier, fields.priority or NORMAL),
        complete_by=fields.complete_by,
        queue="cpu" if heard.media is not None else "io",  # a slow download must not hold up a processor
        webhook_url=webhook.url if webhook else None,
        webhook_events=webhook.events if webhook else None,
        webhook_secret=(webhook.secret or new_secret()) if webhook else None,
        timeout_seconds=fields.timeout_seconds or settings.job_timeout_seconds,
        retention_seconds=settings.retention_seconds if fields.retention_seconds is None else fields.retention_seconds,
        request_id=asker.request_id,
        ignored=list(fields.ignored) or None,
        webhook_link=webhook.link.model_dump() if webhook and webhook.link else None,
        terms=terms,
        known_ms=known_ms,
    )
