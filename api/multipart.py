"""multipart/form-data, part by part as it arrives: no temp file, nothing held but small fields.

The text fields may stand before or after the file (SDKs do both, contract.md section 1.2). The file's bytes go to a
`Sink` as they come; what the sink does with them decides how much memory an upload takes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from api.body import blocks
from pipeline.errors import InvalidRequest

MAX_PARTS = 1000
MAX_FIELD = 1024 * 1024  # bytes of one text field
MAX_FIELDS = 8 * 1024 * 1024  # bytes of all text fields together
MAX_HEADERS = 16  # of one part
MAX_HEADER = 8192  # bytes of one of them
MAX_NAME = 200  # characters of a file's name
MAX_DEPTH = 4  # a[b][c][d]
DELIMITERS = re.compile(r"\[([^\[\]]*)\]")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Sink(Protocol):
    """Where the file's bytes go."""

    async def begin(self, filename: str) -> None:
        """The file's part has started."""

    async def write(self, data: bytes) -> None:
        """The next bytes. Whoever refuses them raises one of our errors."""

    async def finish(self) -> None:
        """The last byte has come, and the form around it was whole."""

    async def abort(self) -> None:
        """Something went wrong: leave nothing behind. Never raises; may be called before `begin`."""


@dataclass
class Form:
    """A form that was read to its end: its fields as nested values, and how its file was called."""

    fields: dict[str, Any]
    filename: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    """A part begins; `filename` is None for a text field."""

    name: str
    filename: str | None


class _End:
    """The current part, or the whole form, has ended."""


PART_END, FORM_END = _End(), _End()
Event = _Part | bytes | _End


@dataclass
class _Reader:
    """Turns the push parser's callbacks into a list of events per block."""

    events: list[Event] = field(default_factory=list)
    parts: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: bytes = b""
    value: bytes = b""

    def part_begin(self) -> None:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise InvalidRequest(f"The form has more than {MAX_PARTS} parts.")
        self.headers = {}

    def header_begin(self) -> None:
        self.name = self.value = b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        self.headers[self.name.lower()] = self.value

    def headers_finished(self) -> None:
        kind, options = parse_options_header(self.headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest("A part of the form has no 'Content-Disposition: form-data; name=…' header.")
        filename = options.get(b"filename")
        self.events.append(_Part(_text(options[b"name"]), None if filename is None else safe_name(_text(filename))))

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.events.append(data[start:end])

    def part_end(self) -> None:
        self.events.append(PART_END)

    def end(self) -> None:
        self.events.append(FORM_END)

    def callbacks(self) -> dict[str, Any]:
        names = "part_begin part_data part_end header_begin header_field header_value header_end headers_finished end"
        return {f"on_{name}": getattr(self, name) for name in names.split()}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


def safe_name(name: str) -> str:
    """What is kept of a file's name: its last component, without control characters, of bounded length.

    It is only ever shown; no path or key is made of it.
    """
    last = UNPRINTABLE.sub("", name.replace("%22", '"')).replace("\\", "/").rsplit("/", maxsplit=1)[-1].strip()
    return last[-MAX_NAME:] if last not in ("", ".", "..") else "upload"


def boundary_of(content_type: str) -> bytes:
    """Raises InvalidRequest where the header names no usable boundary."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidRequest("The Content-Type must be 'multipart/form-data' with a boundary.")
    return boundary


async def _events(request: Request) -> AsyncIterator[Event]:
    reader = _Reader()
    try:
        parser = MultipartParser(
            boundary_of(request.headers.get("content-type", "")),
            reader.callbacks(),  # type: ignore[arg-type]  # a TypedDict there, built by name here
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER,
        )
        async for block in blocks(request):
            parser.write(block)
            ready, reader.events = reader.events, []
            for event in ready:
                yield event
    except FormParserError as error:
        raise InvalidRequest("The body is not valid multipart/form-data.") from error


async def read_form(request: Request, sink: Sink, *, file_field: str = "file") -> Form:
    """Read the whole form, its `file_field` into the sink. On any error the sink is told to leave nothing.

    Raises InvalidRequest (malformed, cut off, over a limit), ClientGone, RequestTimeout, and what the sink raises.
    """
    assembly = _Assembly(sink, file_field)
    try:
        async for event in _events(request):
            await assembly.take(event)
        return await assembly.finish()
    except BaseException:
        await sink.abort()
        raise


class _Assembly:
    """Collects fields, passes the file on."""

    def __init__(self, sink: Sink, file_field: str) -> None:
        self._sink = sink
        self._file_field = file_field
        self._part: _Part | None = None
        self._value = bytearray()
        self._total = 0
        self._pairs: list[tuple[str, str]] = []
        self._filename: str | None = None
        self._ended = False

    @property
    def _in_file(self) -> bool:
        return self._part is not None and self._part.name == self._file_field and self._part.filename is not None

    async def finish(self) -> Form:
        if not self._ended:
            raise InvalidRequest("The multipart body is cut off: its closing boundary is missing.")
        if self._filename is not None:
            await self._sink.finish()
        return Form(nested(self._pairs), self._filename)

    async def take(self, event: Event) -> None:
        if isinstance(event, _Part):
            await self._begin(event)
        elif isinstance(event, bytes):
            await self._data(event)
        elif event is PART_END:
            self._finish_part()
        else:
            self._ended = True

    async def _begin(self, part: _Part) -> None:
        self._part, self._value = part, bytearray()
        if self._in_file:
            if self._filename is not None:
                raise InvalidRequest(f"The form has more than one '{self._file_field}'.", param=self._file_field)
            self._filename = part.filename or "upload"
            await self._sink.begin(self._filename)

    async def _data(self, data: bytes) -> None:
        if self._in_file:
            await self._sink.write(data)
            return
        self._value += data
        self._total += len(data)
        if len(self._value) > MAX_FIELD or self._total > MAX_FIELDS:
            assert self._part is not None
            raise InvalidRequest(f"The field '{self._part.name[:64]}' is too large.", param=self._part.name[:64])

    def _finish_part(self) -> None:
        assert self._part is not None
        if not self._in_file:
            self._pairs.append((self._part.name, self._decoded()))
        self._part = None

    def _decoded(self) -> str:
        assert self._part is not None
        if self._part.name == self._file_field:
            raise InvalidRequest(
                f"'{self._file_field}' must be a file: its part needs a filename.", param=self._file_field
            )
        try:
            return self._value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidRequest("A text field is not valid UTF-8.", param=self._part.name[:64]) from error


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`a[]=1`, a repeated `a`, and `a[b]=c` as SDKs write them, as lists and objects.

    The order of the pairs is kept. Raises InvalidRequest where a name is both a value and an object.
    """
    fields: dict[str, Any] = {}
    for name, value in pairs:
        root, *keys = name.split("[", maxsplit=1)[:1] + DELIMITERS.findall(name)
        if len(keys) > MAX_DEPTH:
            raise InvalidRequest("A field's name is nested too deeply.", param=root[:64])
        _put(fields, root, keys, value)
    return fields


def _put(place: dict[str, Any], key: str, rest: list[str], value: str) -> None:
    if rest and rest[0]:
        inner = place.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InvalidRequest(f"The field '{key[:64]}' is given both as a value and as an object.", param=key[:64])
        _put(inner, rest[0], rest[1:], value)
    elif rest:
        _append(place, key, value, bare=False)
    else:
        _append(place, key, value, bare=True)


def _append(place: dict[str, Any], key: str, value: str, *, bare: bool) -> None:
    present = place.get(key)
    if isinstance(present, dict):
        raise InvalidRequest(f"The field '{key[:64]}' is given both as a value and as an object.", param=key[:64])
    if isinstance(present, list):
        present.append(value)
    elif present is None:
        place[key] = value if bare else [value]
    else:
        place[key] = [present, value]
