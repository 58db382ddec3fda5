"""Which names a request may use, by the JSON schema that the OpenAPI document shows, and what a stranger among them was meant for.

A misspelt option that is taken in silence is heard and paid for as if it had never been sent. So a name that nobody reads is told,
and one that differs from a known one by a slip (two letters at most, another way to write it, or a nested field written flat:
`webhook_url` for `webhook.url`) says which was meant. Everything here is made once for each route or model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from infra.requests.json_text import parsed
from pipeline.errors import InvalidRequest
from pipeline.text.misspelling import letters_apart

SHORT = 4  # letters of a name in which a slip is one letter at most: two would be half of it
MOST_TOLD = 20  # names in one answer
LONGEST_TOLD = 64  # characters of each


class KnownNames:
    """The names of one object's fields and, below some of them, of other objects' fields."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self.names = frozenset(properties)
        self.objects = {
            name: KnownNames(inner) for name, schema in properties.items() if (inner := _properties(schema))
        }
        self.open = frozenset(
            name for name, schema in properties.items() if name not in self.objects and _takes_any_name(schema)
        )
        self._spelt = {_plain(name): name for name in reversed([*self.paths()])}

    @classmethod
    def of_schema(cls, schema: Mapping[str, Any]) -> KnownNames:
        """`schema`: an object's, or one of several kinds of object. References are not followed: there must be none."""
        return cls(_properties(schema))

    def paths(self) -> Iterator[str]:
        """Every field's name; that of a nested one after its object's: `webhook.url`."""
        for name in sorted(self.names):
            yield name
            if name in self.objects:
                yield from (f"{name}.{inner}" for inner in self.objects[name].paths())

    def unknown(self, given: Mapping[str, Any]) -> list[str]:
        """The names in `given` that no field has, in its order."""
        found = [name for name in given if name not in self.names]
        for name, inner in self.objects.items():
            if isinstance(value := _object(given.get(name)), dict):
                found += [f"{name}.{one}" for one in inner.unknown(value)]
        return found

    def meant(self, name: str) -> str | None:
        """The field that the unknown `name` looks like, if it looks like one."""
        plain = _plain(name)
        if plain in self._spelt:
            return self._spelt[plain]
        below = next((one for one in sorted(self.open) if _is_below(name, one)), None)
        if below is not None:
            return f"{below}.{name[len(below) + 1 :]}"
        near = [(distance, known) for known in self._spelt if (distance := _letters_apart(plain, known)) is not None]
        return self._spelt[min(near)[1]] if near else None


@cache
def known_names(schema: type[BaseModel]) -> KnownNames:
    """The names that a model takes."""
    return KnownNames.of_schema(json_schema_of(schema))


def json_schema_of(schema: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema, which stands alone."""
    found = schema.model_json_schema()
    whole: dict[str, Any] = _inlined(found, found.pop("$defs", {}))
    return whole


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with its definitions written in place, so that it stands alone."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rsplit("/", maxsplit=1)[-1]], definitions)
    return {key: _inlined(value, definitions) for key, value in node.items()}


def told(names: list[str]) -> list[str]:
    """As answers and rows hold them: not too many, none too long."""
    return [name[:LONGEST_TOLD] for name in names[:MOST_TOLD]]


def refuse_slips(known: KnownNames, unknown: list[str], *, what: str = "field") -> None:
    """Raises InvalidRequest naming every unknown name that looks like a known one."""
    slips = {name: meant for name in told(unknown) if (meant := known.meant(name)) is not None}
    if slips:
        sentences = (f"There is no {what} `{name}`: did you mean `{meant}`?" for name, meant in slips.items())
        raise InvalidRequest(" ".join(sentences), param=next(iter(slips)))


def _kinds(schema: Any) -> Iterator[Mapping[str, Any]]:
    """The schema itself and all that it may be instead."""
    if isinstance(schema, dict):
        yield schema
        for name in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(name, ()):
                yield from _kinds(one)


def _properties(schema: Any) -> dict[str, Any]:
    return {name: inner for kind in _kinds(schema) for name, inner in kind.get("properties", {}).items()}


def _takes_any_name(schema: Any) -> bool:
    return any(isinstance(kind.get("additionalProperties"), dict) for kind in _kinds(schema))


def _object(value: Any) -> Any:
    """An object, also one that a form carries as JSON text; whoever validates it says what is wrong with it."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return parsed(value.encode())
    except InvalidRequest:
        return None


def _plain(name: str) -> str:
    """`webhook[url]`, `webhook_url`, `webhookUrl` and `webhook.url` are one."""
    return "".join(char for char in name.lower() if char.isalnum())


def _is_below(name: str, place: str) -> bool:
    return (
        name.startswith(place) and name[len(place) : len(place) + 1] in ("_", "-", ".") and len(name) > len(place) + 1
    )


def _letters_apart(given: str, known: str) -> int | None:
    """None for more than a slip."""
    return letters_apart(given, known, 1 if min(len(given), len(known)) <= SHORT else 2)
