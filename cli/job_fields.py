"""The fields of POST /v1/audio/jobs as options of a command: read from the models that the server itself goes by, so that none is
missing, and none has to be written twice."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import update_wrapper
from typing import Annotated, Any

import typer

from infra.requests.job_request import JobFields, SpeechJobFields
from infra.requests.known_names import json_schema_of
from pipeline.errors import InvalidRequest

ONE_WORD = ("range", "chunking_strategy", "voice")  # objects that people write as text: 90-120.5, auto, nova
PANEL = "Fields of the job, as in POST /v1/audio/jobs"
STDIN = "-"
KINDS = {"integer": "NUMBER", "number": "NUMBER", "boolean": "true|false"}
Fields = Mapping[str, Any]


def with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with an option for each field in the place of its parameter `fields`, which gets those that were given, by their
    names: `webhook.url`."""
    shown, named = inspect.signature(command, eval_str=True), dict(job_fields())
    options = [_option(name, schema) for name, schema in named.items()]

    def run(**given: Any) -> None:
        values = {name: given.pop(_variable(name)) for name in named}
        command(fields={name: _value(name, named[name], value) for name, value in values.items() if value}, **given)

    update_wrapper(run, command)
    run.__annotations__ = {}
    rest = [one for name, one in shown.parameters.items() if name != "fields"]
    vars(run)["__signature__"] = shown.replace(parameters=[*rest, *options])
    return run


def job_fields() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field with its schema; those of an object by themselves, unless it can be written in one word."""
    heard, spoken = json_schema_of(JobFields)["properties"], json_schema_of(SpeechJobFields)["properties"]
    yield from _fields({**heard, **{name: spoken[name] for name in spoken if name not in heard}}, "")


def option_of(name: str) -> str:
    """How the command writes a field's name."""
    return "--" + name.replace(".", "-").replace("_", "-")


def _fields(properties: Mapping[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in properties.items():
        inner = next((kind["properties"] for kind in _kinds(schema) if "properties" in kind), None)
        if inner is None or name in ONE_WORD:
            yield place + name, schema
        else:
            yield from _fields(inner, f"{place}{name}.")


def _kinds(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]


def _option(name: str, schema: Mapping[str, Any]) -> inspect.Parameter:
    kind: Any = list[str] if _is_many(schema) or _is_pairs(schema) else str
    told = typer.Option(
        option_of(name),
        help=schema.get("description"),
        metavar=_metavar(name, schema),
        rich_help_panel=PANEL,
        show_default=False,
    )
    return inspect.Parameter(
        _variable(name), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, told]
    )


def _variable(name: str) -> str:
    return f"field_{name.replace('.', '_')}"


def _is_many(schema: Mapping[str, Any]) -> bool:
    return any(kind.get("type") == "array" for kind in _kinds(schema))


def _is_pairs(schema: Mapping[str, Any]) -> bool:
    return any(isinstance(kind.get("additionalProperties"), dict) for kind in _kinds(schema))


def _metavar(name: str, schema: Mapping[str, Any]) -> str:
    """What may stand there: the values that there are, else what kind of value it is."""
    if _is_pairs(schema):
        return "NAME=VALUE"
    if name in ONE_WORD:
        return "TEXT"
    words: list[str] = []
    for kind in _kinds(schema):
        inner = kind.get("items", kind)
        values = inner.get("enum") or ([inner["const"]] if "const" in inner else [])
        words += map(str, values) if values else [KINDS.get(inner.get("type", ""), "TEXT")]
    return "|".join(dict.fromkeys(words))


def _value(name: str, schema: Mapping[str, Any], given: Any) -> Any:
    if name == "text" and given == STDIN:
        return sys.stdin.read()
    if not _is_pairs(schema):
        return given
    unpaired = next((pair for pair in given if "=" not in pair), None)
    if unpaired is not None:
        raise InvalidRequest(f"{option_of(name)} takes NAME=VALUE, not {unpaired!r}", param=name)
    return dict(pair.split("=", maxsplit=1) for pair in given)
