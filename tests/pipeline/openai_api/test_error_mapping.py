"""What a server's refusal means."""

import email.utils
import time

import pytest

from pipeline.errors import (
    ModelGone,
    ProviderBusy,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
    StenopoolError,
    UnsupportedLanguage,
    UnsupportedValue,
)
from pipeline.openai_api.error_mapping import OPTIONAL, ParameterRefused, TooLarge, refusal, retry_after


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "often", "retry-after": "7"}, 7.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after(headers) == wait


def test_a_date_to_wait_for() -> None:
    wait = retry_after({"retry-after": email.utils.formatdate(time.time() + 120, usegmt=True)})
    assert wait is not None and 60 < wait <= 121


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"", ProviderBusy),
        (429, b'{"error": {"code": "insufficient_quota"}}', ProviderRefused),
        (402, b'{"error": {"code": "insufficient_balance"}}', ProviderRefused),
        (500, b"", ProviderUnavailable),
        (501, b"", ProviderUnavailable),
        (408, b"", ProviderUnavailable),
        (302, b"", ProviderNonsense),
        (204, b"", ProviderNonsense),
        (401, b"", ProviderRefused),
        (413, b"<html>", TooLarge),
        (400, b'{"error": {"code": "file_too_large"}}', TooLarge),
        (400, b'{"error": {"message": "Maximum content size limit (26214400) exceeded"}}', TooLarge),
        (400, b'{"error": {"message": "audio duration 1500.5 seconds is longer than 1400 seconds"}}', TooLarge),
        (400, b'{"error": {"param": "voice"}}', UnsupportedValue),
        (400, b'{"error": {"param": "known_speaker_references[0]"}}', UnsupportedValue),
        (400, b'{"error": {"param": "include[]"}}', ParameterRefused),
        (400, b"verbose_json is not supported", ParameterRefused),
        (400, b'{"error": {"param": "file"}}', ProviderRefused),
        (400, b'{"error": {"message": "File too big", "param": "file"}}', TooLarge),
        (400, b'{"error": {"message": "Maximum upload size is 1 MB"}}', TooLarge),
        (422, b"the audio exceeds the limit of 1048576 bytes", TooLarge),
        (400, b"this exceeds 1MB", TooLarge),
        (400, b"the maximum is 1 MBone", ProviderRefused),
        (400, b'{"error": "' + b"[" * 20_000, ProviderRefused),
        (404, b"", ModelGone),
        (404, b'{"error": {"message": "no such model", "param": "model"}}', ModelGone),
        (404, b'{"error": {"message": "no such voice", "param": "voice"}}', UnsupportedValue),
        (410, b"<html>", ModelGone),
        (400, b'{"error": {"code": "model_decommissioned"}}', ModelGone),
        (403, b'{"error": {"code": "model_not_found"}}', ModelGone),
        (
            400,
            b'{"error": {"param": "language", "message": "not a language that the model supports"}}',
            UnsupportedLanguage,
        ),
    ],
)
def test_every_status(status: int, body: bytes, kind: type[StenopoolError]) -> None:
    assert type(refusal(status, {}, body, "p")) is kind


UNKNOWN = b'{"error": {"code": "unknown_parameter", "param": "%s"}}'
FOREIGN = b'{"detail": [{"type": "extra_forbidden", "loc": ["body", "%s"], "msg": "Extra inputs are not permitted"}]}'


@pytest.mark.parametrize("body", [UNKNOWN, FOREIGN, b"Unrecognized request argument supplied: %s"])
@pytest.mark.parametrize("name", OPTIONAL)
def test_an_option_that_nobody_knows_there_is_not_the_callers_mistake(name: str, body: bytes) -> None:
    error = refusal(400, {}, body % name.encode(), "p")
    assert isinstance(error, ParameterRefused)
    assert error.details["parameter"] == name


@pytest.mark.parametrize("name", ["prompt", "speed", "instructions"])
def test_an_option_that_a_model_does_not_support_is_not_the_callers_mistake(name: str) -> None:
    body = f'{{"error": {{"param": "{name}", "message": "{name} is not supported with this model"}}}}'.encode()
    assert isinstance(refusal(400, {}, body, "p"), ParameterRefused)


def test_the_limit_is_told_by_kind() -> None:
    assert refusal(413, {}, b"", "p").details["limit"] == "bytes"
    assert refusal(400, {}, b"audio duration 1500 seconds is longer than", "p").details["limit"] == "seconds"
