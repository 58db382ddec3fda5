"""A header that stands twice in a request: read as one everywhere, or refused.

Whoever reads the first and whoever reads all must not come to different ends: a key check and a route did (RFC 9110, 5.3, says
which may be joined). `fields_once` runs before anything else looks at the headers of a request.
"""

from __future__ import annotations

from collections import Counter

from starlette.datastructures import Headers
from starlette.types import Scope

from pipeline.errors import InvalidRequest

LISTS = frozenset(
    {
        *(b"accept", b"accept-encoding", b"accept-language", b"access-control-request-headers", b"cache-control"),
        *(
            b"connection",
            b"content-encoding",
            b"forwarded",
            b"if-match",
            b"if-none-match",
            b"prefer",
            b"te",
            b"upgrade",
        ),
        *(b"via", b"x-forwarded-for"),
    }
)
SINGLE = frozenset(
    {
        *(b"access-control-request-method", b"authorization", b"content-length", b"content-type", b"expect", b"host"),
        *(
            b"idempotency-key",
            b"last-event-id",
            b"origin",
            b"if-range",
            b"range",
            b"sec-fetch-site",
            b"transfer-encoding",
            b"x-client-request-id",
        ),
    }
)
RESPOND_ASYNC = "respond-async"


def fields_once(scope: Scope) -> None:
    """Join what is a list, in the scope itself. Raises InvalidRequest for what may stand there only once; what nobody reads is
    left as it came."""
    fields: list[tuple[bytes, bytes]] = scope["headers"]
    if len({name for name, _ in fields}) == len(fields):
        return
    repeated = {name for name, count in Counter(name for name, _ in fields).items() if count > 1}
    if twice := sorted(repeated & SINGLE):
        name = twice[0].decode().title()
        raise InvalidRequest(f"The header {name} was sent more than once. Send it once.", param=name)
    joined = repeated & LISTS
    lists = [(name, b", ".join(value for other, value in fields if other == name)) for name in sorted(joined)]
    scope["headers"] = [field for field in fields if field[0] not in joined] + lists


def wants_async(headers: Headers) -> bool:
    """`Prefer: respond-async` (RFC 7240), wherever it stands among other preferences."""
    preferences = headers.get("prefer", "").split(",")
    return RESPOND_ASYNC in {one.partition(";")[0].partition("=")[0].strip().lower() for one in preferences}
