"""What validation finds, in our own shape: the first thing that is wrong, by its name, and all that is missing at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from infra.requests.known_names import known_names
from pipeline.errors import InvalidRequest

Schema = TypeVar("Schema", bound=BaseModel)
PLAIN_WORDS = {  # for what pydantic says in words of its own trade
    "missing": "this field is required",
    "extra_forbidden": "there is no such field here",
    "int_parsing_size": "a number of so many digits is beyond every bound; the OpenAPI document names this one's",
    "dict_type": "an object with named values is needed",
    "model_type": "an object with named fields is needed",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
}


def validated(schema: type[Schema], value: Any, *, missing: Sequence[str] = ()) -> Schema:
    """`value` as `schema`; `missing` is what is known to be missing besides, which the caller refuses where nothing else is wrong.
    Raises InvalidRequest naming the first field that is wrong, or all that are missing."""
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.")
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        refusal = as_invalid_request([dict(one) for one in error.errors()], value, missing)
        raise _with_slips(refusal, schema, value) from error


def as_invalid_request(
    found: Sequence[dict[str, Any]], given: Mapping[str, Any] | None = None, missing: Sequence[str] = ()
) -> InvalidRequest:
    """What pydantic found. The values themselves are never repeated."""
    first = _one(found[0])
    absent = list(dict.fromkeys([*missing, *(name for one in found if (name := _absent(one, given)))]))
    if first.param not in absent or len(absent) == 1:
        return first
    if found[0]["type"] != "missing":  # a sentence of ours, which clients know by heart
        return InvalidRequest(first.message, param=first.param, missing=absent)
    return InvalidRequest(
        f"These fields are required: {', '.join(f'`{name}`' for name in absent)}.", param=absent[0], missing=absent
    )


def _absent(one: Mapping[str, Any], given: Mapping[str, Any] | None) -> str | None:
    """The field's name where nothing was given for it."""
    location = tuple(one["loc"])
    left_out = given is not None and len(location) == 1 and location[0] not in given
    return field_name(location) if one["type"] == "missing" or left_out else None


def _with_slips(refusal: InvalidRequest, schema: type[BaseModel], value: Mapping[str, Any]) -> InvalidRequest:
    """What is missing may be there under a name that is misspelt."""
    known = known_names(schema)
    slips = [(name, meant) for name in known.unknown(value) if (meant := known.meant(name)) and meant not in value]
    wanted = refusal.details.get("missing") or [refusal.param]
    told = " ".join(f"`{name[:64]}` is no field: did you mean `{meant}`?" for name, meant in slips if meant in wanted)
    return InvalidRequest(f"{refusal.message.rstrip('.')}. {told}", **refusal.details) if told else refusal


def _one(first: Mapping[str, Any]) -> InvalidRequest:
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
