"""Every way Stenopool can fail.

    StenopoolError
    ├── InvalidRequest                the caller's mistake; `param` names the field
    │   ├── UnsupportedMedia          not audio we take
    │   │   └── NoAudioTrack          a real container without sound in it
    │   ├── EmptyMedia                zero bytes, or a container with zero samples
    │   ├── DamagedMedia              recognised, but cut off or broken
    │   ├── AudioStalled              its decoder works on and on, and no sound comes of it
    │   ├── MediaTooLarge             more bytes than the endpoint takes
    │   ├── MediaTooLong              more seconds than the configured limit
    │   ├── UnsupportedValue          a parameter's value that nobody offers
    │   │   └── UnsupportedLanguage   no language, or one that nobody who serves the model hears
    │   ├── AmountRefused             no amount of money that one can write down (pipeline.money)
    │   ├── CostLimitExceeded         it would cost more than the request's own `max_cost`
    │   ├── ChecksumMismatch          what came is not what its sender has
    │   ├── DirectUploadUnavailable   no URL can be handed out that takes bytes past us
    │   └── OutboundRefused           a URL that points where we may not go
    ├── Unauthenticated               no key, or not one of ours
    ├── Forbidden                     a good key that may not do this
    │   ├── MissingScope              the key's scopes do not cover it
    │   ├── BucketNotAllowed          a place in a bucket that the operator has not opened to the account
    │   └── AccountSuspended
    ├── InsufficientBalance           the account's money does not cover it
    ├── PaymentRequired               a failed job's text, which nobody has paid for; `price` in US dollars
    ├── RateLimited                   too many requests in a time; `retry_after` seconds
    │   ├── AccountBusy               too much of its work waits for its turn already
    │   └── LimitExceeded             as much as the account may have; details `param` (the limit's name), `used`, `limit`
    │       ├── QuotaExceeded         the day's minutes are used up; `retry_at` is when the next day begins
    │       └── BeyondLimit           more at once than the whole limit: no waiting helps
    ├── NotFound                      unknown to this account
    │   └── ModelNotFound
    ├── WrongState                    the job's status does not allow it
    ├── EditConflict                  a transcript's correction, and another one came before it
    ├── IdempotencyConflict           same key, other body; or still running
    ├── Expired                       it was there; its time is over
    ├── ModelUnavailable              known model, no route to serve it
    ├── ProviderError                 a provider's fault; `provider` names it
    │   ├── ProviderRefused           it said no, and would say no again
    │   │   └── ModelGone             it has no such model, or no such endpoint, any more
    │   ├── ProviderUnavailable       it is down, hangs or hung up
    │   ├── ProviderBusy              over its rate; `retry_after` seconds where told
    │   ├── ProviderNonsense          an answer that makes no sense
    │   ├── EngineLost                a local engine's process died
    │   └── SpeakersUnknown           who speaks was asked for, and could not be told
    ├── RoutesExhausted               every route failed; `tried` names them
    │   └── RoutesRefused             every one of them said no, and would say no again
    ├── WorkerLost                    the job's worker died on every attempt
    ├── LeaseLost                     another worker owns this now; our result is void
    ├── JobCancelled                  the caller cancelled it
    ├── DeadlineExceeded              it did not finish within its time
    ├── DownloadFailed                the URL given as input could not be fetched
    │   ├── DownloadInterrupted       not now, by a fault that may pass
    │   ├── DownloadTooSlow           it came in drips
    │   └── SourceChanged             it is not what was listed any more
    ├── StorageUnavailable            the object store is away
    │   └── StorageFull
    ├── InputMissing                  the stored media is gone
    ├── ResultLost                    the job's result is gone, before its time
    ├── InputCorrupt                  the stored media is not what was uploaded
    ├── DatabaseUnavailable
    ├── NoWorker                      none lives that could do what is to be done
    ├── BrokerUnavailable
    ├── SecretUnreadable              none of the configured keys opens a stored secret
    ├── SandboxFailed                 ffmpeg could not be run, or broke its limits
    │   └── FfmpegUnusable            there is none, or it is too old
    └── CatalogBroken                 the deployment's catalog file cannot be used

An error knows its `code` (what an API client reads), whether trying again can help (`retryable`), and carries `details`,
which are safe to show to the caller: never a vendor's raw body, a key or a URL. It survives pickle, because Celery and
process pools carry errors between processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.lifecycle import Dependency


class StenopoolError(Exception):
    """Something went wrong inside Stenopool."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    dependency: ClassVar[Dependency | None] = None

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.details = details
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.details)

    @property
    def param(self) -> str | None:
        """The request's field that was wrong, where one was."""
        return self.details.get("param")

    @property
    def outage(self) -> Dependency | None:
        """What is away, whatever would have been asked of it; None: the failure is that of the work itself."""
        return self.dependency

    def as_dict(self) -> dict[str, Any]:
        """What a job row keeps of it: code, message, retryable and the details."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable, **self.details}


def _rebuild(cls: type[StenopoolError], message: str, details: dict[str, Any]) -> StenopoolError:
    return cls(message, **details)


class InvalidRequest(StenopoolError):
    """The request is not valid."""

    code = "invalid_request"


class UnsupportedMedia(InvalidRequest):
    """Unsupported audio format. Supported: mp3, mp4, mpeg, mpga, m4a, wav, webm"""

    code = "unsupported_media"

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        """`message` is what is said after the sentence above, with which every refusal of this code begins."""
        begun = (UnsupportedMedia.__doc__ or "").strip()
        if message and self.code == UnsupportedMedia.code and not message.startswith(begun):
            message = f"{begun}. {message}"
        super().__init__(message, **details)


class ChecksumMismatch(InvalidRequest):
    """The bytes that came are not those that were sent."""

    code = "checksum_mismatch"


class DirectUploadUnavailable(InvalidRequest):
    """This server hands out no URLs for direct uploads: its storage is no S3, or STENOPOOL_STORAGE_PUBLIC_URL is not set."""

    code = "direct_upload_unavailable"


class NoAudioTrack(UnsupportedMedia):
    """The file has no audio track."""

    code = "no_audio_track"


class EmptyMedia(InvalidRequest):
    """The file is empty."""

    code = "empty_media"


class DamagedMedia(InvalidRequest):
    """The file is cut off or damaged and could not be read to its end."""

    code = "damaged_media"


class AudioStalled(InvalidRequest):
    """The file keeps its decoder at work without a sound coming of it. Convert it, or send another copy."""

    code = "audio_stalled"


class MediaTooLarge(InvalidRequest):
    """The file is larger than this endpoint takes."""

    code = "file_too_large"


class MediaTooLong(InvalidRequest):
    """The recording is longer than the configured limit."""

    code = "media_too_long"


class UnsupportedValue(InvalidRequest):
    """A parameter has a value that is not offered."""

    code = "unsupported_value"


class UnsupportedLanguage(UnsupportedValue):
    """Nobody who serves this model hears the language."""

    code = "unsupported_language"


class CostLimitExceeded(InvalidRequest):
    """The job would cost more than its `max_cost`."""

    code = "cost_limit_exceeded"


class OutboundRefused(InvalidRequest):
    """The URL points to an address that may not be reached from here."""

    code = "outbound_refused"


class Unauthenticated(StenopoolError):
    """Incorrect API key provided."""

    code = "invalid_api_key"


class Forbidden(StenopoolError):
    """The API key may not do this."""

    code = "forbidden"


class MissingScope(Forbidden):
    """The API key lacks a scope that this needs."""

    code = "missing_scope"


class BucketNotAllowed(Forbidden):
    """This account may not use that place in a bucket."""

    code = "bucket_not_allowed"


class AccountSuspended(Forbidden):
    """The account is suspended. Ask the administrator of this server."""

    code = "account_suspended"


class RateLimited(StenopoolError):
    """Too many requests. Details: retry_after."""

    code = "rate_limit_exceeded"
    retryable = True


class LimitExceeded(RateLimited):
    """The account has as much of this as it may have. Details: param, used, limit."""

    code = "limit_exceeded"


class AccountBusy(RateLimited):
    """Too much of this account's work waits for its turn already; try again when some of it is done. Details: retry_after."""

    code = "account_busy"


class QuotaExceeded(LimitExceeded):
    """The account's transcription minutes of this day are used up. Details: retry_at in epoch seconds, and retry_after."""


class BeyondLimit(LimitExceeded):
    """This is more than the account may have at all."""

    retryable = False  # whatever it lets go of


class InsufficientBalance(StenopoolError):
    """The balance does not cover this. Audio is pay-as-you-go whatever the account's plan: top up the balance."""

    code = "insufficient_balance"


class PaymentRequired(StenopoolError):
    """This text has not been paid for. Details: price in US dollars."""

    code = "payment_required"


class NotFound(StenopoolError):
    """No such object."""

    code = "not_found"


class ModelNotFound(NotFound):
    """The model does not exist."""

    code = "model_not_found"


class WrongState(StenopoolError):
    """The job's status does not allow this. Details: current_status, allowed_statuses."""

    code = "wrong_state"


class EditConflict(StenopoolError):
    """The transcript has been corrected since you read it. Details: current_revision, current, yours."""

    code = "revision_conflict"


class IdempotencyConflict(StenopoolError):
    """This Idempotency-Key was used with a different request body."""

    code = "idempotency_conflict"

    @classmethod
    def with_earlier(cls, earlier_id: str, differs: str | None) -> IdempotencyConflict:
        """What was made with the key, and the first field of its request that was another one, as far as that is known."""
        other = f"its `{differs}` was another one" if differs else "by another request"
        told = f"This Idempotency-Key was used for {earlier_id}: {other}. Send a new key for a new request."
        return cls(told, param=differs, earlier_id=earlier_id)


class Expired(StenopoolError):
    """The result is past its retention and has been deleted."""

    code = "expired"


class ModelUnavailable(StenopoolError):
    """The model has no configured route."""

    code = "model_unavailable"


class ProviderError(StenopoolError):
    """The provider failed."""

    code = "provider_error"


class ProviderRefused(ProviderError):
    """The provider refused the request."""

    code = "provider_refused"


class ModelGone(ProviderRefused):
    """The provider has no such model, or offers nothing there any more."""

    code = "model_gone"


class ProviderUnavailable(ProviderError):
    """The provider could not be reached or did not answer."""

    code = "provider_unavailable"
    retryable = True
    dependency = Dependency.PROVIDER


class ProviderBusy(ProviderError):
    """The provider is over its rate limit."""

    code = "provider_busy"
    retryable = True
    dependency = Dependency.PROVIDER


class ProviderNonsense(ProviderError):
    """The provider's answer could not be understood."""

    code = "provider_nonsense"
    retryable = True


class EngineLost(ProviderError):
    """The engine's process died while it worked."""

    code = "engine_lost"
    retryable = True


class SpeakersUnknown(ProviderError):
    """The speakers of this recording could not be told apart."""

    code = "speakers_unknown"


class RoutesExhausted(StenopoolError):
    """Every provider for this model failed."""

    code = "providers_failed"
    retryable = True

    @property
    def outage(self) -> Dependency | None:
        """A provider, when one of those that failed was away: it may answer when it is back."""
        codes = {tried["code"] for tried in self.details.get("tried", ())}
        return Dependency.PROVIDER if codes & {ProviderUnavailable.code, ProviderBusy.code} else None


class RoutesRefused(RoutesExhausted):
    """Every provider for this model refused the request."""

    code = "providers_refused"
    retryable = False


class WorkerLost(StenopoolError):
    """The worker died while it worked on this, on every attempt."""

    code = "worker_lost"
    retryable = True


class LeaseLost(StenopoolError):
    """Another worker has taken this over."""

    code = "lease_lost"


class JobCancelled(StenopoolError):
    """The job was cancelled."""

    code = "cancelled"


class DeadlineExceeded(StenopoolError):
    """The job did not finish within its time limit."""

    code = "deadline_exceeded"


class DownloadFailed(StenopoolError):
    """The URL could not be downloaded."""

    code = "download_failed"


class DownloadInterrupted(DownloadFailed):
    """The URL could not be downloaded just now."""

    retryable = True


class DownloadTooSlow(DownloadFailed):
    """The URL sends too slowly."""

    code = "download_too_slow"


class SourceChanged(DownloadFailed):
    """The recording was changed since it was listed."""

    code = "source_changed"


class StorageUnavailable(StenopoolError):
    """The object store did not answer."""

    code = "storage_unavailable"
    retryable = True
    dependency = Dependency.STORAGE


class StorageFull(StorageUnavailable):
    """There is no room left to store the upload."""

    code = "insufficient_storage"
    dependency = Dependency.DISK


class InputMissing(StenopoolError):
    """The uploaded media is no longer in storage."""

    code = "input_missing"


class ResultLost(StenopoolError):
    """The job's result is not in storage, though its time is not over: the server's operator must look for it."""

    code = "result_lost"


class InputCorrupt(StenopoolError):
    """The stored media is not what was uploaded."""

    code = "input_corrupt"


class DatabaseUnavailable(StenopoolError):
    """The database did not answer."""

    code = "database_unavailable"
    retryable = True
    dependency = Dependency.DATABASE


class NoWorker(StenopoolError):
    """No worker that could do this is running: the server's operator must start one."""

    code = "no_worker"
    retryable = True
    dependency = Dependency.WORKER


class BrokerUnavailable(StenopoolError):
    """The message broker did not answer."""

    code = "broker_unavailable"
    retryable = True


class SecretUnreadable(StenopoolError):
    """None of the server's keys opens a stored secret: its operator must put the key back into STENOPOOL_SECRETS_KEY."""

    code = "secret_unreadable"
    retryable = True


class SandboxFailed(StenopoolError):
    """The media tool could not be run within its limits."""

    code = "sandbox_failed"
    retryable = True


class FfmpegUnusable(SandboxFailed):
    """There is no ffmpeg, or it is too old."""

    code = "ffmpeg_unusable"
    retryable = False


class CatalogBroken(StenopoolError):
    """The catalog file cannot be used."""

    code = "catalog_broken"


# What is wrong with the recording itself: whoever tries again with the same bytes is told the same.
UNUSABLE_MEDIA = (UnsupportedMedia, NoAudioTrack, EmptyMedia, DamagedMedia, AudioStalled)


def unusable_media(told: Mapping[str, Any]) -> StenopoolError | None:
    """The error of UNUSABLE_MEDIA that `told` was made of by `as_dict`, None for any other."""
    kind = next((kind for kind in UNUSABLE_MEDIA if kind.code == told.get("code")), None)
    return _of_kind(kind, told) if kind else None


def error_of(told: Mapping[str, Any]) -> StenopoolError:
    """The error that `told` was made of by `as_dict`, as near as its code tells."""
    kinds, found = [StenopoolError], StenopoolError
    while kinds:
        kind = kinds.pop(0)
        kinds += kind.__subclasses__()
        if kind.code == told.get("code"):
            found = kind
            break
    return _of_kind(found, told)


def _of_kind(kind: type[StenopoolError], told: Mapping[str, Any]) -> StenopoolError:
    beside = {name: told[name] for name in told if name not in ("code", "message", "retryable", "stage", "chunk")}
    return kind(str(told.get("message", "")), **beside)
