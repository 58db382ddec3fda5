"""The answers of OpenAI's audio API as JSON schemas, written from its published description.

What is not named here may be there besides: clients keep what they do not know.
"""

from typing import Any

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
SECONDS: Schema = {"type": "number", "minimum": 0}
COUNT: Schema = {"type": "integer", "minimum": 0}


def some(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def many(of: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": of}


def exactly(value: str) -> Schema:
    """One value."""
    return {"const": value}


TOKENS = some(
    {
        "type": exactly("tokens"),
        "input_tokens": COUNT,
        "output_tokens": COUNT,
        "total_tokens": COUNT,
        "input_token_details": some({"text_tokens": COUNT, "audio_tokens": COUNT}),
    }
)
DURATION = some({"type": exactly("duration"), "seconds": SECONDS})
LOGPROBS = many(some({"token": STRING, "logprob": {"type": "number", "maximum": 0}, "bytes": many(COUNT)}))
LANGUAGES = many(some({"code": {"type": "string", "pattern": "^[a-z]{2,3}$"}}))
SEGMENT = some(
    {
        "id": COUNT,
        "seek": COUNT,
        "start": SECONDS,
        "end": SECONDS,
        "text": STRING,
        "tokens": many(COUNT),
        "temperature": NUMBER,
        "avg_logprob": NUMBER,
        "compression_ratio": NUMBER,
        "no_speech_prob": NUMBER,
    }
)
WORD = some({"word": {"type": "string", "pattern": r"^\S"}, "start": SECONDS, "end": SECONDS})
DIARIZED_SEGMENT = some(
    {
        "type": exactly("transcript.text.segment"),
        "id": STRING,
        "start": SECONDS,
        "end": SECONDS,
        "text": STRING,
        "speaker": {"type": "string", "minLength": 1},
    }
)
PERF = some(
    {
        "request_id": STRING,
        "model_used": STRING,
        "audio_duration_seconds": SECONDS,
        "cost_usd": SECONDS,
        "latency_ms": COUNT,
    }
)
LANGUAGE: Schema = {"type": "string", "pattern": "^[a-z]+$"}

TRANSCRIPTION = some(
    {"text": STRING}, languages=LANGUAGES, logprobs=LOGPROBS, usage={"oneOf": [TOKENS, DURATION]}, perf=PERF
)
VERBOSE = some(
    {"task": exactly("transcribe"), "language": LANGUAGE, "duration": SECONDS, "text": STRING},
    segments=many(SEGMENT),
    words=many(WORD),
    usage=DURATION,
    perf=PERF,
)
DIARIZED = some(
    {"task": exactly("transcribe"), "duration": SECONDS, "text": STRING, "segments": many(DIARIZED_SEGMENT)},
    usage={"oneOf": [TOKENS, DURATION]},
    perf=PERF,
)
NONE: Schema = {"not": {}}
TRANSLATION = some({"text": STRING}, usage=NONE, languages=NONE, perf=PERF)
TRANSLATION_VERBOSE = some(
    {
        "task": exactly("translate"),
        "language": exactly("english"),
        "duration": SECONDS,
        "text": STRING,
        "segments": many(SEGMENT),
    },
    words=NONE,
    usage=NONE,
    perf=PERF,
)
EVENTS = {
    "transcript.text.delta": some({"type": STRING, "delta": STRING}, logprobs=LOGPROBS, segment_id=STRING),
    "transcript.text.segment": DIARIZED_SEGMENT,
    "transcript.text.done": some(
        {"type": STRING, "text": STRING}, logprobs=LOGPROBS, languages=LANGUAGES, usage=TOKENS, perf=PERF
    ),
    "speech.audio.delta": some({"type": STRING, "audio": {"type": "string", "contentEncoding": "base64"}}),
    "speech.audio.done": some(
        {"type": STRING, "usage": some({"input_tokens": COUNT, "output_tokens": COUNT, "total_tokens": COUNT})}
    ),
}
ERROR = some(
    {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "type": STRING,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    }
)
MODEL = some(
    {"id": STRING, "object": exactly("model"), "created": COUNT, "owned_by": STRING},
    shutdown_date={"type": ["string", "null"], "pattern": r"^\d{4}-\d\d-\d\d$"},
)
MODELS = some({"object": exactly("list"), "data": many(MODEL)})
BODIES = {"json": TRANSCRIPTION, "verbose_json": VERBOSE, "diarized_json": DIARIZED}
TRANSLATIONS = {"json": TRANSLATION, "verbose_json": TRANSLATION_VERBOSE}
