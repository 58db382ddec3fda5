"""How a webhook is signed and sent: Standard Webhooks 1.0.0.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence

from infra.outbound.client import Answer, Outbound, check_headers
from infra.webhooks.signing_secrets import secret_key
from pipeline.errors import OutboundRefused

STANDARD = frozenset({"content-type", "webhook-id", "webhook-timestamp", "webhook-signature"})


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers for one attempt at `timestamp` (epoch seconds): one signature for each secret in force."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digests = (hmac.new(secret_key(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode('ascii')}" for digest in digests),
    }


def attempt(
    outbound: Outbound,
    url: str,
    secrets: Sequence[str],
    message_id: str,
    body: bytes,
    *,
    own: Mapping[str, str] | None = None,
) -> Answer:
    """Send the message once, signed for this moment: receivers refuse timestamps older than 300 s. `own`: the receiver's own
    headers."""
    theirs = {name.lower(): value for name, value in (own or {}).items()}
    ours = {"content-type": "application/json", **sign(secrets, message_id, int(time.time()), body)}
    return outbound.post(url, body, theirs | ours)


def check_own_headers(headers: Mapping[str, str]) -> None:
    """Raises OutboundRefused for a header that cannot be sent, or that is the standard's own."""
    check_headers(headers)
    for name in headers:
        if name.lower() in STANDARD:
            raise OutboundRefused(f"The header {name!r} is one that every webhook has already.", param="headers")
