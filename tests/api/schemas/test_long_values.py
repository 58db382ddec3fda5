"""Texts of a megabyte in any field are refused in few words: no refusal repeats them, and no pattern goes through them twice."""

import pytest

from infra.requests.audio_options import SpeechFields, TranscriptionFields
from infra.requests.job_request import JobFields, SpeechJobFields
from infra.requests.validation import validated
from pipeline.errors import StenopoolError

MIB = 1024 * 1024
LONG = {
    "letters": "a" * MIB,
    "digits": "9" * MIB,
    "blanks": " " * MIB,
    "a number": "1" * (MIB // 2) + "-" + "1" * (MIB // 2),
    "braces": "{" * MIB,
    "a list": "[" + "1," * (MIB // 2),
    "a data URL of parameters": "data:audio/wav" + ";a=b" * (MIB // 4),
}
SCHEMAS = {
    TranscriptionFields: {"model": "whisper-1"},
    JobFields: {"model": "whisper-1", "url": "https://example.org/a.wav"},
    SpeechFields: {"model": "tts-1", "input": "Hello.", "voice": "alloy"},
    SpeechJobFields: {"model": "tts-1", "task": "speech", "text": "Hello."},
}
FIELDS = [(schema, name) for schema in SCHEMAS for name in schema.model_fields]


@pytest.mark.parametrize(("schema", "name"), FIELDS, ids=[f"{schema.__name__}-{name}" for schema, name in FIELDS])
def test_no_refusal_repeats_what_was_sent(schema: type, name: str) -> None:
    for what, value in LONG.items():
        for given in (value, [value], {"a": value}):
            try:
                validated(schema, {**SCHEMAS[schema], name: given})
            except StenopoolError as error:
                assert len(error.message) < 500, f"{name}: {what}"
