"""What validation finds, in our own shape: the first thing that is wrong, by its name."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import InvalidRequest

Schema = TypeVar("Schema", bound=BaseModel)
PLAIN_WORDS = {  # for what pydantic says in words of its own trade
    "missing": "this field is required",
    "int_parsing_size": "a number of so many digits is beyond every bound; the OpenAPI document names this one's",
    "dict_type": "an object with named values is needed",
    "model_type": "an object with named fields is needed",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
}


def validated(schema: type[Schema], value: Any) -> Schema:
    """`value` as `schema`. Raises InvalidRequest naming the first field that is wrong."""
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.")
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise as_invalid_request(dict(error.errors()[0])) from error


def as_invalid_request(first: dict[str, Any]) -> InvalidRequest:
    """One of the things that pydantic found. The value itself is never repeated."""
    param = field_name(tuple(first["loc"]))
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] in PLAIN_WORDS:
        message = PLAIN_WORDS[first["type"]].format(**first.get("ctx", {}))
    ours = first["type"] == "value_error"  # whole sentences, written here; pydantic's own want the name before them
    return InvalidRequest(message if ours or not param else f"{param}: {message}", param=param)


def field_name(location: tuple[int | str, ...]) -> str | None:
    """A validation error's place as a caller would write it: `webhook.url`, without pydantic's own words."""
    parts = [str(part) for part in location if part not in ("body", "query", "path", "header", "[key]")]
    return ".".join(parts) or None
