"""Rates: so many requests in any sixty seconds, counted in Redis by all API processes together.

A window is a log of the times of the requests it let in, so it is exact: never more than `limit` in any span of `seconds`,
and the wait it names is the one until the oldest of them leaves. All windows of one request are asked in one round trip,
by Redis' own clock, and a request that one of them refuses counts in none.

A Redis that refuses costs nothing, one that falls silent most of a second, once, of whoever is asking at that moment: each
process then counts for itself, and looks in the background whether Redis is back. That moment is long on purpose: a machine
that is merely busy, or a connection that is only being made, must not turn one limit into as many as there are processes. What
must never be given away twice, money and minutes, is not counted here but in the database (infra/money/ledger.py,
infra/money/quota.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis.asyncio
from redis.exceptions import NoScriptError, RedisError

from infra.broker import redis_py_url

MINUTE = 60  # seconds
PATIENCE = 0.7  # seconds for Redis' answer, connecting included
GLANCE = 0.1  # seconds more, so that our own loop's lateness does not pass for Redis' silence
WAIT = 2.0  # seconds after which a connection is given up
BACK_OFF = 1.0  # seconds without a look after a failure
CONNECTIONS = 16
REMEMBERED = 10_000  # windows counted in this process while Redis is away

# KEYS: one list per window, the newest time first. ARGV: limit and length in ms for each.
# Returns, per window, how many it still lets in, how long until that grows, and the wait if it refuses (0: it does not).
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local refused = false
local told = {}
for i, key in ipairs(KEYS) do
  local limit, length = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local oldest = redis.call('LINDEX', key, -1)
  while oldest and tonumber(oldest) <= now - length do
    redis.call('RPOP', key)
    oldest = redis.call('LINDEX', key, -1)
  end
  local used = redis.call('LLEN', key)
  local wait = 0
  if used >= limit then
    refused = true
    local leaving = limit > 0 and redis.call('LINDEX', key, limit - 1)
    wait = leaving and leaving + length - now or length
  end
  told[3 * i - 2] = math.max(0, limit - used)
  told[3 * i - 1] = oldest and oldest + length - now or length
  told[3 * i] = wait
end
if not refused then
  for i, key in ipairs(KEYS) do
    redis.call('LPUSH', key, now)
    redis.call('PEXPIRE', key, ARGV[2 * i])
    told[3 * i - 2] = told[3 * i - 2] - 1
  end
end
return told
"""


@dataclass(frozen=True)
class Window:
    """At most `limit` requests in any `seconds`, counted under `key`; `name` is what callers read."""

    name: str
    key: str
    limit: int
    seconds: int = MINUTE


@dataclass(frozen=True)
class Standing:
    """One window after a request. Times in ms: until `remaining` grows, and until it would let this one in (0: it has)."""

    window: Window
    remaining: int
    grows_in: int
    wait: int


class RateLimits:
    """Asks Redis, else counts here. Belongs to one event loop at a time; `close` it before that ends."""

    def __init__(self, find_url: Callable[[], str | None], *, patience: float = PATIENCE) -> None:
        self._find_url = find_url
        self.patience = patience
        self._client: redis.asyncio.Redis | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sha = ""
        self._away = False
        self._look: asyncio.Task[None] | None = None  # whether Redis is back
        self._no_look_before = 0.0  # time.monotonic()
        self._here = LocalWindows()

    @property
    def shared(self) -> bool:
        """Whether the last answer was Redis', and not this process' alone."""
        return not self._away

    async def admit(self, windows: Sequence[Window]) -> list[Standing]:
        """Count a request in all windows if each lets it in, else in none. Never raises, never waits for long."""
        if not windows:
            return []
        told = await self._asked(windows)
        return _standings(windows, told) if told is not None else self._here.admit(windows)

    async def greet(self) -> None:
        """Open a connection and hand over the script, so that no request waits for either. Never raises."""
        await self._asked([])

    async def close(self) -> None:
        """Let go of the connections; the next request opens new ones."""
        (client, self._client), (look, self._look) = (self._client, None), (self._look, None)
        if self._loop is not asyncio.get_running_loop():
            return
        if look is not None and look is not asyncio.current_task():
            look.cancel()
            await asyncio.wait([look])
        if client is not None:
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    async def _asked(self, windows: Sequence[Window]) -> list[int] | None:
        if self._away:
            self._look_again()
            return None
        try:
            return await self._within_patience(windows)
        except TimeoutError:
            self._gone()
        except (RedisError, OSError):
            await self.close()  # the private Redis may come back at another address
            self._gone()
        return None

    def _gone(self) -> None:
        self._away, self._no_look_before = True, time.monotonic() + BACK_OFF

    def _look_again(self) -> None:
        """One look at a time, for which no request waits."""
        if time.monotonic() >= self._no_look_before and (self._look is None or self._look.done()):
            self._look = asyncio.ensure_future(self._looked())

    async def _looked(self) -> None:
        try:
            await self._question([])
        except (RedisError, OSError):
            await self.close()
            self._gone()
        else:
            self._away = False

    async def _within_patience(self, windows: Sequence[Window]) -> list[int]:
        """Raises TimeoutError. An answer that is there when a late loop looks at last is taken."""
        question = asyncio.ensure_future(self._question(windows))
        # One that is late is left to its end: a connection that takes long to open is there for the next request then.
        question.add_done_callback(lambda done: done.cancelled() or done.exception())
        for seconds in (self.patience, GLANCE):
            await asyncio.wait({question}, timeout=seconds)
            if question.done():
                return question.result()
        raise TimeoutError

    async def _question(self, windows: Sequence[Window]) -> list[int]:
        client = self._connected()
        keys = [window.key for window in windows]
        numbers = [number for window in windows for number in (window.limit, window.seconds * 1000)]
        told: list[int]
        try:
            told = await client.evalsha(self._sha, len(keys), *keys, *numbers)
        except NoScriptError:  # a Redis that has just started
            self._sha = await client.script_load(_SCRIPT)
            told = await client.evalsha(self._sha, len(keys), *keys, *numbers)
        return told

    def _connected(self) -> redis.asyncio.Redis:
        """Raises OSError where there is no Redis."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            url = self._find_url()
            if not url:
                raise OSError("no Redis is configured or running")
            pool = redis.asyncio.BlockingConnectionPool.from_url(
                redis_py_url(url),
                max_connections=CONNECTIONS,
                timeout=WAIT,
                socket_timeout=WAIT,
                retry=None,
                protocol=2,
            )
            self._client, self._loop = redis.asyncio.Redis.from_pool(pool), loop
        return self._client


def _standings(windows: Sequence[Window], told: Sequence[int]) -> list[Standing]:
    return [Standing(window, *told[3 * i : 3 * i + 3]) for i, window in enumerate(windows)]


class LocalWindows:
    """The same rule in this process' memory, for the time in which Redis is away."""

    def __init__(self) -> None:
        self._logs: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, windows: Sequence[Window]) -> list[Standing]:
        """As RateLimits.admit; the oldest windows are forgotten when there are too many."""
        now = time.monotonic()
        logs = [self._log(window, now) for window in windows]
        refused = any(len(log) >= window.limit for window, log in zip(windows, logs, strict=True))
        told = []
        for window, log in zip(windows, logs, strict=True):
            full = len(log) >= window.limit
            leaving = log[-window.limit] if full and window.limit else now
            oldest = log[0] if log else now
            remaining = max(0, window.limit - len(log) - (not refused))
            told.append(
                Standing(window, remaining, _left(oldest, window, now), _left(leaving, window, now) if full else 0)
            )
            if not refused:
                log.append(now)
        return told

    def _log(self, window: Window, now: float) -> deque[float]:
        log = self._logs.setdefault(window.key, deque())
        self._logs.move_to_end(window.key)
        while len(self._logs) > REMEMBERED:
            self._logs.popitem(last=False)
        while log and log[0] <= now - window.seconds:
            log.popleft()
        return log


def _left(since: float, window: Window, now: float) -> int:
    """Milliseconds until what happened then leaves the window; at least one."""
    return max(1, round((since + window.seconds - now) * 1000))
