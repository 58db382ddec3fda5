"""Signatures that the receivers' own libraries accept, and a schedule of ten attempts over about 75 hours."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network

import pytest
from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from infra.outbound.client import Answer, Outbound
from infra.webhooks.retry_schedule import ATTEMPTS, JITTER, SCHEDULE, next_delay, retry_after_seconds, verdict
from infra.webhooks.signature import attempt, sign
from infra.webhooks.signing_secrets import check_secret, new_secret
from pipeline.errors import InvalidRequest
from tests.support.tcp_server import http, scripted, silence

BODY = json.dumps({"id": "evt_1", "type": "audio.job.completed", "data": {"metadata": {"naïve": "☃"}}}).encode()
RAW = '{"data": "ä ☃ \\u00e4", "n":1.0 }'.encode()


def with_openai(secret: str, body: bytes, headers: dict[str, str]) -> None:
    with OpenAI(api_key="x", webhook_secret=secret) as client:
        client.webhooks.verify_signature(body, headers)


def with_standard_library(secret: str, body: bytes, headers: dict[str, str]) -> None:
    Webhook(secret).verify(body, headers)


verifiers = pytest.mark.parametrize("verify", [with_openai, with_standard_library])
Verify = Callable[[str, bytes, dict[str, str]], None]
REFUSALS = (InvalidWebhookSignatureError, WebhookVerificationError)


@verifiers
@pytest.mark.parametrize("body", [BODY, RAW])
def test_both_libraries_accept(verify: Verify, body: bytes) -> None:
    secret = new_secret()
    verify(secret, body, sign([secret], "evt_1", int(time.time()), body))


@verifiers
def test_old_and_new_secret_both_verify_while_they_rotate(verify: Verify) -> None:
    new, old = new_secret(), new_secret()
    headers = sign([new, old], "evt_1", int(time.time()), BODY)
    verify(new, BODY, headers)
    verify(old, BODY, headers)
    with pytest.raises(REFUSALS):
        verify(new_secret(), BODY, headers)


@verifiers
def test_anything_changed_is_refused(verify: Verify) -> None:
    secret, now = new_secret(), int(time.time())
    headers = sign([secret], "evt_1", now, BODY)
    for body, changed in (
        (BODY + b" ", headers),
        (BODY, headers | {"webhook-id": "evt_2"}),
        (BODY, headers | {"webhook-timestamp": str(now + 1)}),
        (BODY, sign([secret], "evt_1", now - 400, BODY)),
    ):
        with pytest.raises(REFUSALS):
            verify(secret, body, changed)


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_new_secrets_are_our_own_kind() -> None:
    secrets = {new_secret() for _ in range(200)}
    assert len(secrets) == 200
    for secret in secrets:
        assert check_secret(secret) == secret
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


def encoded(size: int) -> str:
    return base64.b64encode(bytes(range(size))).decode()


@pytest.mark.parametrize("size", [24, 32, 33, 64])
def test_a_callers_secret_of_enough_bytes_is_taken(size: int) -> None:
    check_secret("whsec_" + encoded(size))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_" + encoded(23),
        "whsec_" + encoded(65),
        encoded(32),
        "whsec_" + encoded(32).rstrip("="),
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        "whsec_" + encoded(32) + "\n",
        "whsec_" + encoded(32) + "=",
        "whsec_ " + encoded(32),
        "whsec_" + encoded(32)[:-2] + "9=",  # stray bits before the padding: decoders differ
        "whsec_" + "ä" * 44,
        "WHSEC_" + encoded(32),
        "password",
    ],
)
def test_a_secret_that_libraries_read_differently_is_not(secret: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_secret(secret)
    assert caught.value.param == "secret"
    assert "password" not in caught.value.message


def test_an_attempt_is_signed_for_its_own_moment() -> None:
    outbound, secret = Outbound((ip_network("127.0.0.0/8"),)), new_secret()
    with scripted(http(500), http(200)) as server:
        answers = [attempt(outbound, f"{server.url}/hook", [secret], "evt_7", BODY) for _ in range(2)]
    assert [answer.ok for answer in answers] == [False, True]
    for request in server.requests:
        assert request.body == BODY
        assert request.headers["content-type"] == "application/json"
        assert request.headers["webhook-id"] == "evt_7"
        with_openai(secret, request.body, request.headers)
        with_standard_library(secret, request.body, request.headers)


def test_ten_attempts_over_75_hours() -> None:
    for _ in range(50):
        waits = [next_delay(tries) for tries in range(1, ATTEMPTS + 1)]
        assert ATTEMPTS == 10
        assert waits[-1] is None
        known = [wait for wait in waits if wait is not None]
        assert len(known) == 9
        assert 60 * 3600 < sum(known) < 90 * 3600
        assert all(wait == pytest.approx(planned, rel=JITTER) for wait, planned in zip(known, SCHEDULE, strict=True))
    assert list(SCHEDULE) == sorted(SCHEDULE)
    middle = [sum(next_delay(tries) or 0 for tries in range(1, 10)) for _ in range(200)]
    assert 74 * 3600 < sum(middle) / len(middle) < 77 * 3600


def test_waits_have_jitter_and_a_scale() -> None:
    assert len({next_delay(3) for _ in range(20)}) > 10
    assert all(1.6 < (next_delay(3, scale=0.001) or 0) < 2.0 for _ in range(50))
    assert next_delay(10, scale=0.001) is None
    assert next_delay(99) is None


@pytest.mark.parametrize(
    ("asked", "least", "most"), [(60, 60, 60), (1, 4.5, 5.5), (0, 4.5, 5.5), (1e9, 86_400, 86_400)]
)
def test_retry_after_makes_us_wait_longer_never_shorter(asked: float, least: float, most: float) -> None:
    wait = next_delay(1, asked)
    assert wait is not None
    assert least <= wait <= most


def test_retry_after_is_in_real_seconds_whatever_the_scale() -> None:
    assert next_delay(1, 3.0, scale=0.001) == 3.0
    assert next_delay(10, 3.0) is None


def test_retry_after_as_seconds_or_date() -> None:
    now = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert retry_after_seconds({"retry-after": " 120 "}) == 120
    assert retry_after_seconds({"retry-after": date}, now) == 90
    assert retry_after_seconds({"retry-after": "Fri, 20 Nov 2026 12:01:30"}, now) == 90
    assert retry_after_seconds({"retry-after": date}, now + timedelta(days=1)) == 0
    for nonsense in ("", "soon", "-5", "1e9", "٣", "Fri, 99 Nov 2026 12:01:30 GMT", "9" * 5000):
        assert (retry_after_seconds({"retry-after": nonsense}, now) or 0) >= 0
    assert retry_after_seconds({}) is None


def test_what_follows_from_an_answer() -> None:
    assert verdict(Answer(status=204), 1).delivered
    gone = verdict(Answer(status=410), 1)
    assert (gone.delivered, gone.retry_in, gone.gone) == (False, None, True)
    for answer in (
        Answer(failure="timeout"),
        Answer(status=200, failure="timeout"),
        Answer(status=302),
        Answer(status=400),
        Answer(status=404),
        Answer(status=500),
        Answer(failure="refused_address"),
    ):
        again, last = verdict(answer, 1), verdict(answer, 10)
        assert not again.delivered
        assert not again.gone
        assert again.retry_in is not None
        assert last.retry_in is None
    assert verdict(Answer(status=429, headers={"retry-after": "77"}), 1, 0.001).retry_in == 77


def test_an_attempt_that_hangs_is_an_answer_too() -> None:
    outbound = Outbound((ip_network("127.0.0.0/8"),))
    with scripted(silence) as server:
        assert outbound.post(server.url, BODY, {}, deadline_s=0.2).failure == "timeout"
