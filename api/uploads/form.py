"""multipart/form-data, part by part as it arrives: no temp file, nothing held but small fields.

The text fields may stand before or after the file (SDKs do both, contract.md section 1.2). The file's bytes go to a
`Sink` as they come; what the sink does with them decides how much memory an upload takes.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from api.http.request_body import blocks, holder
from api.http.unknown_names import check_body, refuses_slips
from api.uploads.multipart_parser import PART_END, Event, Part, Reader
from infra.requests.json_text import refuse_nul
from pipeline.errors import InvalidRequest

MAX_FIELD = 4 * 1024 * 1024  # bytes of one text field: ten seconds of a speaker's voice as a data: URL
MAX_FIELDS = 16 * 1024 * 1024  # bytes of all text fields together
MAX_NAME = 200  # characters of a file's name
MAX_DEPTH = 4  # a[b][c][d]
DECLARED_BY = "input_format"  # the field that says what the file's bytes are, where nothing in them does
_SIMPLE = re.compile(r"multipart/form-data; ?boundary=([A-Za-z0-9'()+_,./:=?-]+)")  # as clients write it
DELIMITERS = re.compile(r"\[([^\[\]]*)\]")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

BeforeFile = Callable[[dict[str, Any]], None]


class Sink(Protocol):
    """Where the file's bytes go."""

    async def begin(self, filename: str, *, declared: bool = False) -> None:
        """The file's part has started. `declared`: a field before it has told what its bytes are."""

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
    strange_files: tuple[str, ...] = ()  # names of files beside the one that is wanted, which can be no field's value


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
    if simple := _SIMPLE.fullmatch(content_type):
        return simple[1].encode()
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidRequest("The Content-Type must be 'multipart/form-data' with a boundary.")
    return boundary


async def read_form(
    request: Request, sink: Sink, *, file_field: str = "file", before_file: BeforeFile | None = None
) -> Form:
    """Read the whole form, its `file_field` into the sink. On any error the sink is told to leave nothing.

    `before_file` is told the fields that stand before the file, before a byte of it is taken; what it raises is raised.
    Raises InvalidRequest (malformed, cut off, over a limit, misspelt), ClientGone, RequestTimeout, and what the sink raises.
    """
    first = partial(_first_look, request, before_file) if refuses_slips(request) else before_file
    assembly = _Assembly(sink, file_field, first, holder(request))
    try:
        reader = Reader(boundary_of(request.headers.get("content-type", "")))
        async for block in blocks(request):
            for event in reader.read(block):
                if waiting := assembly.take(event):
                    await waiting
        form = assembly.form()
        check_body(request, form.fields, files=form.strange_files)
        await assembly.finish()
    except BaseException:
        await sink.abort()
        raise
    return form


def _first_look(request: Request, before_file: BeforeFile | None, given: dict[str, Any]) -> None:
    """A slip that stands before the file is told before the file is taken."""
    check_body(request, given)
    if before_file:
        before_file(given)


class _Assembly:
    """Collects fields, passes the file on."""

    def __init__(
        self, sink: Sink, file_field: str, before_file: BeforeFile | None, hold: Callable[[int], None]
    ) -> None:
        self._sink, self._hold = sink, hold
        self._before_file = before_file
        self._file_field = file_field
        self._name = ""
        self._in_file = False
        self._beside = False  # a file that nobody asked for
        self._value = bytearray()
        self._total = 0
        self._pairs: list[tuple[str, str]] = []
        self._filename: str | None = None
        self._ended = False
        self._strange_files: list[str] = []

    def form(self) -> Form:
        if not self._ended:
            raise InvalidRequest("The multipart body is cut off: its closing boundary is missing.")
        return Form(nested(self._pairs), self._filename, tuple(self._strange_files))

    async def finish(self) -> None:
        if self._filename is not None:
            await self._sink.finish()

    def take(self, event: Event) -> Awaitable[None] | None:
        """What the sink has to do about it, if anything."""
        if isinstance(event, bytes):
            return self._data(event)
        if isinstance(event, Part):
            return self._begin(event)
        if event is PART_END:
            self._finish_part()
        else:
            self._ended = True
        return None

    def _begin(self, part: Part) -> Awaitable[None] | None:
        self._value = bytearray()
        self._name = _text(part.name)
        self._in_file = self._name == self._file_field and part.filename is not None
        self._beside = not self._in_file and part.filename is not None
        if self._in_file:
            if self._filename is not None:
                raise InvalidRequest(f"The form has more than one '{self._file_field}'.", param=self._file_field)
            if self._before_file:
                self._before_file(nested(self._pairs))
            self._filename = safe_name(_text(part.filename or b""))
            return self._sink.begin(
                self._filename, declared=any(name == DECLARED_BY and value for name, value in self._pairs)
            )
        return None

    def _data(self, data: bytes) -> Awaitable[None] | None:
        if self._in_file:
            return self._sink.write(data)
        self._total += len(data)
        if not self._beside or len(self._value) <= MAX_FIELD:
            self._hold(len(data))
            self._value += data
        if (len(self._value) > MAX_FIELD and not self._beside) or self._total > MAX_FIELDS:
            raise InvalidRequest(f"The field '{self._name[:64]}' is too large.", param=self._name[:64])
        return None

    def _finish_part(self) -> None:
        if self._beside and self._is_no_text():
            self._strange_files.append(self._name)
        elif not self._in_file:
            self._pairs.append((self._name, self._decoded()))
        self._in_file = False

    def _is_no_text(self) -> bool:
        """Whether a file beside the recording can be no field's value, which some people do keep in a file."""
        try:
            self._value.decode("utf-8")
        except UnicodeDecodeError:
            return True
        return len(self._value) > MAX_FIELD

    def _decoded(self) -> str:
        if self._name == self._file_field:
            raise InvalidRequest(
                f"'{self._file_field}' must be a file: its part needs a filename.", param=self._file_field
            )
        try:
            text = self._value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidRequest("A text field is not valid UTF-8.", param=self._name[:64]) from error
        refuse_nul(text, self._name[:64])
        return text


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`a[]=1`, a repeated `a`, and `a[b]=c` as SDKs write them, as lists and objects.

    The order of the pairs is kept. Raises InvalidRequest where a name is both a value and an object.
    """
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if "[" not in name:
            _append(fields, name, value, bare=True)
            continue
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
