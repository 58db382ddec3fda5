"""Why a call to a caller's URL came to nothing: one code and one sentence for each way, said alike wherever it is told.

A row keeps the code and the status of the answer; the sentence is made of these two when it is shown.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from infra.outbound.url_policy import NoSuchHost
from pipeline.errors import OutboundRefused

ANSWER_BYTES = 64 * 1024  # that are read
DELIVERY_SECONDS = 15.0
GONE = 410

# All that the client, the name server and the network can throw.
TROUBLE = (
    OutboundRefused,
    NoSuchHost,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    TimeoutError,
    OSError,
    UnicodeError,
)

_KINDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((OutboundRefused,), "refused_address"),
    ((NoSuchHost,), "dns"),
    ((ssl.SSLError,), "tls"),
    ((ConnectionRefusedError,), "connection_refused"),
    ((httpx2.ConnectError,), "connection_failed"),
    ((httpx2.NetworkError, OSError), "connection_lost"),
)
# OpenSSL's numbers, https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_CERTIFICATES = {
    2: "tls_unknown_issuer",
    9: "tls_not_yet_valid",
    10: "tls_expired",
    18: "tls_self_signed",
    19: "tls_self_signed",
    20: "tls_unknown_issuer",
    21: "tls_unknown_issuer",
    62: "tls_wrong_host",
    64: "tls_wrong_host",
}
_TOO_LONG = "Receive buffer too long"  # h11, of a head that does not end

SENTENCES = {
    "refused_address": "The URL leads to an address that this server does not call; its operator opens networks with "
    "STENOPOOL_OUTBOUND_ALLOW.",
    "dns": "The host is unknown: no name server has an address for it.",
    "connection_refused": "The connection was refused: nobody listens on that port.",
    "connection_failed": "The host could not be reached.",
    "connection_lost": "The connection was lost before the answer was there.",
    "timeout": "Time ran out before the answer was there; the receiver of a webhook has 15 seconds.",
    "protocol": "What came back is not a whole HTTP answer.",
    "answer_too_large": "The answer is too large: its headers alone are more than is read.",
    "tls_self_signed": "The TLS certificate is self-signed, or its chain ends in one that is, and nobody here trusts it.",
    "tls_expired": "The TLS certificate has expired.",
    "tls_not_yet_valid": "The TLS certificate is not valid yet; perhaps a clock is wrong.",
    "tls_wrong_host": "The TLS certificate is for another host name than the URL's.",
    "tls_unknown_issuer": "The TLS certificate's issuer is unknown; perhaps the server does not send its intermediate ones.",
    "tls_certificate": "The TLS certificate was not accepted.",
    "tls": "No TLS connection came about; perhaps nothing speaks TLS on that port.",
    "too_slow": "It came in drips.",
    "secret_unreadable": "None of this server's keys opens the secret that it would be signed with; its operator must bring "
    "that key back.",
    "receiver_silent": "It was given up, because its receiver let everything run out of time for as long as a schedule lasts.",
    "sender_lost": "Whoever sent it died before the answer was there, again and again.",
    "nobody_to_tell": "There is nobody to tell any more: the endpoint is disabled or deleted, the key revoked, the account "
    "closed, or the job purged.",
    "endpoint_disabled": "The endpoint is disabled; its events are kept to be replayed once its `status` is `active` again.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` for programs, `message` for people."""

    code: str
    message: str


def sentence(code: str) -> str:
    """What a code of ours means. One that an older or a newer process has written is told by its name."""
    return SENTENCES.get(code, f"The call failed: {code}.")


def failure_of(code: str | None, status: int | None) -> Failure | None:
    """What a code of ours, or an answer's status, means; None: it was taken, or there is nothing to tell yet."""
    if code is not None:
        return Failure(code, sentence(code))
    if status is None or HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status == GONE:
        return Failure("gone", "The receiver answered 410 (Gone): it wants no more of this, now and in future.")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Failure(
            "redirect",
            f"The receiver answered {_named(status)}, a redirect, which is not followed: the URL must be the one where it leads.",
        )
    return Failure("http_error", f"The receiver answered {_named(status)}, which is not 2xx.")


def told_failure(code: str | None, status: int | None) -> dict[str, str] | None:
    """The same as the API shows it: `{"code", "message"}`, or null."""
    found = failure_of(code, status)
    return None if found is None else {"code": found.code, "message": found.message}


def failure_class(error: BaseException) -> str:
    """The code of what a call threw; what caused it is asked as well."""
    if isinstance(error, (TimeoutError, httpx2.TimeoutException)):
        return "timeout"
    causes = tuple(_chain(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _CERTIFICATES.get(cause.verify_code, "tls_certificate")
    for kinds, word in _KINDS:
        if any(isinstance(cause, kinds) for cause in causes):
            return word
    return "answer_too_large" if any(_TOO_LONG in str(cause) for cause in causes) else "protocol"


def _named(status: int) -> str:
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
