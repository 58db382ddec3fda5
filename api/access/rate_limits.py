"""What a request costs of its account's rates, and what every counted answer says about it.

`x-ratelimit-*` are OpenAI's, with Go's durations; `RateLimit` and `RateLimit-Policy` follow draft-ietf-httpapi-
ratelimit-headers. Both say how many requests are left and after how long that number grows, which on a refusal is when the
next request is let in; `Retry-After` is never earlier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

from infra.keys.key_cache import Principal
from infra.limits.rate_limits import Standing, Window
from infra.wiring import Services
from pipeline.errors import RateLimited

SPEECH = ("POST", "/v1/audio/speech")
_SECOND, _MINUTE, _HOUR = 1000, 60_000, 3_600_000  # ms


def windows_of(principal: Principal, method: str, path: str) -> list[Window]:
    """Every window that counts this request, the narrowest first; none for what is without limit."""
    limits, account = principal.limits, principal.account_id
    asked = [("speech", limits.speech_requests_per_minute)] if (method, path) == SPEECH else []
    asked.append(("requests", limits.api_requests_per_minute))
    # The braces keep an account's windows on one node of a Redis cluster, as one script needs them.
    return [Window(name, f"stenopool:rate:{{{account}}}:{name}", most) for name, most in asked if most is not None]


async def count(services: Services, principal: Principal, method: str, path: str) -> Sequence[Standing]:
    """The account's standing after this request; the caller asks `refusal` whether it was let in."""
    return await services.limits.admit(windows_of(principal, method, path))


async def count_speech_job(services: Services, principal: Principal) -> None:
    """A job that speaks is a speech request, too. Raises RateLimited."""
    windows = [window for window in windows_of(principal, *SPEECH) if window.name == "speech"]
    refused = refusal(services, await services.limits.admit(windows))
    if refused:
        raise refused


def refusal(services: Services, standings: Sequence[Standing]) -> RateLimited | None:
    """The error for a request that a window does not let in."""
    full = max(standings, key=lambda one: one.wait, default=None)
    if full is None or not full.wait:
        return None
    services.metrics.rate_limited.labels(full.window.name).inc()
    what = "speech requests" if full.window.name == "speech" else "requests"
    wait = math.ceil(full.wait / _SECOND)
    return RateLimited(
        f"Rate limit reached: {full.window.limit} {what} per minute. Please try again in {wait} s.", retry_after=wait
    )


class Counted:
    """One request's `send`, which tells the account's standing in the answer's headers."""

    def __init__(self, send: Send, standings: Sequence[Standing]) -> None:
        self._send = send
        self._standings = standings

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers_of(self._standings))
        await self._send(message)


def headers_of(standings: Sequence[Standing]) -> dict[str, str]:
    """OpenAI's three for the narrowest window, or for the one that refused; the draft's two for all of them."""
    shown = next((one for one in standings if one.wait), standings[0])
    return {
        "x-ratelimit-limit-requests": str(shown.window.limit),
        "x-ratelimit-remaining-requests": str(shown.remaining),
        "x-ratelimit-reset-requests": duration(shown.wait or shown.grows_in),
        "ratelimit-policy": ", ".join(f'"{w.name}";q={w.limit};w={w.seconds}' for w in (s.window for s in standings)),
        "ratelimit": ", ".join(f'"{one.window.name}";r={one.remaining};t={_seconds(one)}' for one in standings),
    }


def _seconds(standing: Standing) -> int:
    return math.ceil((standing.wait or standing.grows_in) / _SECOND)


def duration(ms: int) -> str:
    """As Go writes it: 120ms, 1.2s, 1m0s, 2h0m0.5s."""
    if ms < _SECOND:
        return f"{ms}ms" if ms else "0s"
    hours, rest = divmod(ms, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    seconds = f"{rest / _SECOND:.3f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or hours else "") + seconds
