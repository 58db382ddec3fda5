"""A small client of Stenopool's own API, for the commands that ask a running installation."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import httpx2

from cli.exits import ApiAway, ApiRefused
from pipeline.errors import InvalidRequest

JOBS = "/v1/audio/jobs"
BULK = "/v1/audio/bulk"
LONGEST_WAIT = 30.0  # seconds for one answer beyond what the request itself waits for
UPLOAD_WAIT = 600.0  # seconds for the answer after the last byte of an upload
MOST_SEGMENTS = 1000  # in one answer
MOST_IDS = 100  # in one question
ERRORS_FROM = 400


class Client:
    """Raises ApiAway when nobody answers, ApiRefused with the API's own message when it says no."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        try:
            url = httpx2.URL(self.base_url)
        except httpx2.InvalidURL as error:
            raise InvalidRequest(f"{base_url!r} is not a URL: {error}") from error
        if url.scheme not in {"http", "https"} or not url.host:
            raise InvalidRequest(f"{base_url!r} is not a base URL such as http://127.0.0.1:8000")
        self._http = httpx2.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx2.Timeout(LONGEST_WAIT, connect=5.0),
            trust_env=not _is_loopback(url.host),  # a proxy in the environment cannot reach this machine's loopback
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(
        self,
        recording: Path | None,
        fields: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        filename: str | None = None,
    ) -> dict[str, Any]:
        """Upload a recording as a job, streamed from disk; without one, `fields` say what there is to hear or to speak. A dot in a
        field's name is a level: `webhook.url`.

        `filename`: as it is told, where that is not the file's own.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        if recording is None:
            return _object(self._send("POST", JOBS, json=_nested(fields), headers=headers, timeout=UPLOAD_WAIT))
        form = dict(_form_fields(fields))
        with recording.open("rb") as file:
            answer = self._send(
                "POST",
                JOBS,
                data=form,
                files={"file": (filename or recording.name, file)},
                headers=headers,
                timeout=UPLOAD_WAIT,
            )
        return _object(answer)

    def job(self, job_id: str, *, wait: float = 0) -> dict[str, Any]:
        """The job now, or after up to `wait` seconds if it is still live."""
        return _object(
            self._send("GET", f"{JOBS}/{_segment(job_id)}", params={"wait": wait}, timeout=wait + LONGEST_WAIT)
        )

    def jobs(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Jobs, the latest first, page by page."""
        return self._pages(JOBS, {name: value for name, value in filters.items() if value is not None})

    def jobs_of(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Those of these jobs that there still are, at most MOST_IDS; with their transcripts where these are short."""
        asked = {"ids": ",".join(map(_segment, ids)), "include": "transcript"}
        return list(_object(self._send("GET", JOBS, params=asked))["data"])

    def jobs_called(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The newest job of each of these `client_reference_id`s, at most MOST_IDS, as far as there is one."""
        found: dict[str, dict[str, Any]] = {}
        for job in self._pages(JOBS, {"client_reference_ids": ",".join(references), "limit": MOST_IDS}):
            found.setdefault(job["client_reference_id"], job)
            if len(found) == len(references):
                break
        return found

    def estimate(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What a job with these fields would cost."""
        return _object(self._send("POST", "/v1/audio/estimates", json=dict(fields)))

    def limits(self) -> dict[str, Any]:
        """How much of each of the account's limits is used: {name: {used, limit}}."""
        return dict(_object(self._send("GET", "/v1/usage", params={"limit": 1}))["limits"])

    def begin_bulk(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A run from bucket to bucket."""
        return _object(self._send("POST", BULK, json=dict(fields)))

    def bulk_run(self, run_id: str) -> dict[str, Any]:
        """How far it is."""
        return _object(self._send("GET", f"{BULK}/{_segment(run_id)}"))

    def bulk_runs(self) -> list[dict[str, Any]]:
        """The latest of them."""
        return list(_object(self._send("GET", BULK, params={"limit": 100}))["data"])

    def segments(self, job_id: str) -> Iterator[dict[str, Any]]:
        """What the job has heard so far, page by page."""
        return self._pages(f"{JOBS}/{_segment(job_id)}/segments", {"limit": MOST_SEGMENTS})

    def _pages(self, path: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        while True:
            page = _object(self._send("GET", path, params=asked))
            yield from page["data"]
            if not page.get("has_more") or not page["data"]:
                return
            asked["after"] = page["data"][-1]["id"]

    def act(self, job_id: str, action: str) -> dict[str, Any]:
        """`cancel`, `retry` or `pay`."""
        return _object(self._send("POST", f"{JOBS}/{_segment(job_id)}/{action}"))

    def link(self, job_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A new link to its result, which needs no key."""
        return _object(self._send("POST", f"{JOBS}/{_segment(job_id)}/links", json=dict(fields)))

    def unlink(self, job_id: str, link_id: str) -> None:
        """The link is worth nothing from now on."""
        self._send("DELETE", f"{JOBS}/{_segment(job_id)}/links/{_segment(link_id)}")

    def delete(self, job_id: str) -> None:
        """The job and everything stored for it."""
        self._send("DELETE", f"{JOBS}/{_segment(job_id)}", params={"force": "true"})

    def transcript(self, job_id: str, response_format: str) -> str:
        """The finished job's transcript in one of the formats."""
        return self._send("GET", f"{JOBS}/{_segment(job_id)}/transcript", params={"format": response_format}).text

    def audio(self, job_id: str) -> Iterator[bytes]:
        """The finished speech job's sound, as it comes."""
        try:
            with self._http.stream("GET", f"{JOBS}/{_segment(job_id)}/audio") as answer:
                if answer.status_code >= ERRORS_FROM:
                    answer.read()
                    raise _refusal(answer)
                yield from answer.iter_bytes()
        except httpx2.HTTPError as error:
            raise ApiAway(f"The API at {self.base_url} did not answer: {error or type(error).__name__}") from error

    def deliveries(self, job_id: str) -> list[dict[str, Any]]:
        """Every webhook message of the job, with its attempts."""
        return list(_object(self._send("GET", f"{JOBS}/{_segment(job_id)}/deliveries"))["data"])

    def speech(self, fields: Mapping[str, Any]) -> tuple[bytes, str]:
        """The text as sound, and the model that really spoke."""
        answer = self._send("POST", "/v1/audio/speech", json=dict(fields), timeout=UPLOAD_WAIT)
        return answer.content, answer.headers.get("x-perf-model-used", "")

    @contextlib.contextmanager
    def webhook_events(self, **asked: str | None) -> Iterator[Iterator[str]]:
        """The lines of the account's stream of events, as they come."""
        told = {name: value for name, value in asked.items() if value is not None}
        accept = {"Accept": "text/event-stream"}
        try:
            with self._http.stream("GET", "/v1/webhook_events", params=told, headers=accept) as answer:
                if answer.status_code >= ERRORS_FROM:
                    answer.read()
                    raise _refusal(answer)
                yield answer.iter_lines()
        except httpx2.HTTPError as error:
            raise ApiAway(f"The API at {self.base_url} did not answer: {error or type(error).__name__}") from error

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether it answers /readyz with 200, and what it says there."""
        try:
            answer = self._http.get("/readyz", timeout=5.0)
            said = answer.json()
        except (httpx2.HTTPError, ValueError):
            return False, {}
        return answer.status_code == httpx2.codes.OK, said if isinstance(said, dict) else {}

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.HTTPError as error:
            why = str(error) or type(error).__name__
            raise ApiAway(f"The API at {self.base_url} did not answer: {why}") from error
        if answer.status_code >= ERRORS_FROM:
            raise _refusal(answer)
        return answer


def _object(answer: httpx2.Response) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", answer.json())
    except ValueError as error:
        raise ApiAway(f"{answer.url.host} answered, but not as Stenopool does") from error


def _refusal(answer: httpx2.Response) -> ApiRefused:
    try:
        error = answer.json()["error"]
        message, code = str(error["message"]), str(error.get("code") or error.get("type"))
        param = error.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, code, param = f"{answer.url.host} answered with HTTP {answer.status_code}", "api_refused", None
    return ApiRefused(message, status=answer.status_code, code=code, param=param, retry_after=_retry_after(answer))


def _retry_after(answer: httpx2.Response) -> float | None:
    """Seconds, where it says so in seconds."""
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _form_fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Multipart spells a nested field as the OpenAI SDKs do: webhook[url]."""
    for name, value in fields.items():
        first, *rest = name.split(".")
        spelt = first + "".join(f"[{part}]" for part in rest)
        if isinstance(value, Mapping):
            yield from ((f"{spelt}[{key}]", one) for key, one in value.items())
        elif value is not None:
            yield spelt, value


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same for JSON."""
    whole: dict[str, Any] = {}
    for name, value in fields.items():
        *places, last = name.split(".")
        inner = whole
        for place in places:
            inner = inner.setdefault(place, {})
        if value is not None:
            inner[last] = value
    return whole


def _segment(job_id: str) -> str:
    """A path segment: an id out of a script's variable must not become another path."""
    if not job_id or not all(char.isalnum() or char in "_-" for char in job_id):
        raise InvalidRequest(f"{job_id!r} is not an id", param="id")
    return job_id
