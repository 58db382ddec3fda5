"""The streaming form parser: what SDKs, curl and attackers send, in every split of the bytes."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from api.http.error_responses import ClientGone
from api.uploads.form import MAX_FIELD, MAX_FIELDS, Form, nested, read_form, safe_name
from api.uploads.multipart_parser import EXTENDED_VALUE, FORM_END, MAX_PARTS, MAX_PREAMBLE, PART_END, Part, Reader
from pipeline.errors import InvalidRequest, MediaTooLarge, StenopoolError
from tests.support.cycles import goes_by_itself

BOUNDARY = "x1y2"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


class Sink:
    """Keeps everything, and remembers how it ended."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self.data = bytearray()
        self.limit = limit
        self.calls: list[str] = []

    async def begin(self, filename: str, *, declared: bool = False) -> None:
        self.calls.append(f"begin {filename}")

    async def write(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > self.limit:
            raise MediaTooLarge

    async def finish(self) -> None:
        self.calls.append("finish")

    async def abort(self) -> None:
        self.calls.append("abort")


def part(name: str, value: bytes | str, filename: str | None = None, extra: str = "") -> bytes:
    said = f'; filename="{filename}"' if filename is not None else ""
    content = value.encode() if isinstance(value, str) else value
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{said}\r\n{extra}\r\n'
    return head.encode() + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def read(blocks: Sequence[bytes], sink: Sink, *, content_type: str = TYPE, cut: bool = False) -> Form:
    """The form read from these blocks; `cut`: the client hangs up after them."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": block, "more_body": True} for block in blocks]
    messages.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False})
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode())]}
    return asyncio.run(read_form(Request(scope, receive), sink))


SOUND = bytes(range(256)) * 40 + b"\r\n--x1y\r\n--\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 100_000])
@pytest.mark.parametrize("file_first", [True, False])
def test_any_split_gives_the_same_form(size: int, file_first: bool) -> None:
    fields = [part("model", "whisper-1"), part("timestamp_granularities[]", "word"), part("prompt", "Wörter → ok")]
    sound = [part("file", SOUND, "a.wav", "Content-Type: audio/x-wav\r\n")]
    whole = body(*(sound + fields if file_first else fields + sound))
    sink = Sink()
    form = read([whole[at : at + size] for at in range(0, len(whole), size)], sink)
    assert form.fields == {"model": "whisper-1", "timestamp_granularities": ["word"], "prompt": "Wörter → ok"}
    assert form.filename == "a.wav"
    assert bytes(sink.data) == SOUND
    assert sink.calls == ["begin a.wav", "finish"]


def test_names_with_brackets_become_lists_and_objects() -> None:
    pairs = [
        ("a[]", "1"),
        ("a[]", "2"),
        ("b", "1"),
        ("b", "2"),
        ("c[type]", "server_vad"),
        ("c[threshold]", "0.5"),
        ("d[e][]", "x"),
        ("d[f][g]", "y"),
        ("plain", "z"),
    ]
    assert nested(pairs) == {
        "a": ["1", "2"],
        "b": ["1", "2"],
        "c": {"type": "server_vad", "threshold": "0.5"},
        "d": {"e": ["x"], "f": {"g": "y"}},
        "plain": "z",
    }


@pytest.mark.parametrize(
    "pairs", [[("a", "1"), ("a[b]", "2")], [("a[b]", "2"), ("a", "1")], [("a[b][c][d][e][f]", "")]]
)
def test_contradicting_names_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest):
        nested(pairs)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("talk.mp3", "talk.mp3"),
        ("../../etc/pas\0swd", "passwd"),
        ("C:\\fakepath\\x.wav", "x.wav"),
        ('a%22b".wav', 'a"b".wav'),
        ("..", "upload"),
        ("", "upload"),
        ("a\r\nX: y.wav", "aX: y.wav"),
        ("д" * 300 + ".wav", "д" * 196 + ".wav"),
    ],
)
def test_file_names_are_only_names(given: str, kept: str) -> None:
    assert safe_name(given) == kept


def test_a_file_name_in_utf8_arrives() -> None:
    sink = Sink()
    assert read([body(part("file", b"x", "Größe.wav"))], sink).filename == "Größe.wav"


@pytest.mark.parametrize(
    ("blocks", "content_type"),
    [
        pytest.param([b"hello"], "multipart/form-data", id="no boundary"),
        pytest.param([b"hello"], "text/plain", id="no form at all"),
        pytest.param([b"hello"], TYPE, id="no part"),
        pytest.param([b""], TYPE, id="no body"),
        pytest.param([part("file", SOUND, "a.wav")], TYPE, id="no closing boundary"),
        pytest.param([part("file", SOUND, "a.wav")[:3000]], TYPE, id="cut inside the file"),
        pytest.param([part("p", "x") * 20_000 + body()], TYPE, id="20,000 parts"),
        pytest.param([body(part("p", b"x" * (MAX_FIELD + 1)))], TYPE, id="field too large"),
        pytest.param([body(part("p", "x", extra="X-A: " + "y" * 9000 + "\r\n"))], TYPE, id="header too large"),
        pytest.param([body(part("p", "x", extra="X-A: y\r\n" * 100))], TYPE, id="too many headers"),
        pytest.param([body(part("p", b"\xff\xfe"))], TYPE, id="not UTF-8"),
        pytest.param([body(part("file", "text"))], TYPE, id="a file without a filename"),
        pytest.param([body(part("file", b"a", "a"), part("file", b"b", "b"))], TYPE, id="two files"),
        pytest.param([f"--{BOUNDARY}\r\nX: y\r\n\r\nv\r\n--{BOUNDARY}--".encode()], TYPE, id="a part without a name"),
        pytest.param([b"--" + b"z" * 5000], TYPE + "z" * 5000, id="boundary too long"),
    ],
)
def test_what_is_no_form_is_refused_and_leaves_nothing(blocks: list[bytes], content_type: str) -> None:
    sink = Sink()
    with pytest.raises(InvalidRequest):
        read(blocks, sink, content_type=content_type)
    assert sink.calls[-1] == "abort"


@pytest.mark.parametrize(
    ("header", "called"),
    [
        ("; filename*=UTF-8''caf%C3%A9.flac", "café.flac"),
        (';\r\n filename="folded.wav"', "folded.wav"),
        (';\r\n\tfilename="folded.wav"', "folded.wav"),
        ("\r\nContent-Type: audio/flac", "upload"),
        ("\r\nContent-Type: Application/Octet-Stream", "upload"),
        ("\r\nContent-Type: video/mp4", "upload"),
    ],
)
def test_a_file_is_known_by_more_than_a_plain_name(header: str, called: str) -> None:
    sent = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"{header}\r\n\r\n'.encode() + b"\xffsound\r\n"
    sink = Sink()
    assert read([body(sent, part("model", "m"))], sink).filename == called
    assert bytes(sink.data) == b"\xffsound"


def test_a_text_in_the_place_of_a_file_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="needs a filename"):
        read([body(part("file", "talk.mp3"))], Sink())
    with pytest.raises(InvalidRequest, match="needs a filename"):
        read([body(part("file", "talk.mp3", extra="Content-Type: text/plain\r\n"))], Sink())


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0 a cover", b"x" * (MAX_FIELD + 1)])
def test_a_file_that_nobody_asked_for_is_ignored(content: bytes) -> None:
    sink = Sink()
    form = read([body(part("cover", content, "cover.jpg"), part("file", b"RIFF", "a.wav"), part("model", "m"))], sink)
    assert form == Form({"model": "m"}, "a.wav", strange_files=("cover",)) and sink.data == b"RIFF"
    note = read([body(part("prompt", "Names: Zoë", "prompt.txt"))], Sink())
    assert note.fields == {"prompt": "Names: Zoë"}, "a text may be kept in a file"


def test_files_that_nobody_asked_for_are_not_read_for_ever() -> None:
    with pytest.raises(InvalidRequest, match="too large"):
        read([body(part("cover", b"x" * (MAX_FIELDS + 1), "cover.jpg"))], Sink())


def test_what_follows_the_end_is_ignored() -> None:
    assert read([body(part("p", "x")) * (MAX_PARTS + 1)], Sink()).fields == {"p": "x"}


def test_a_client_that_hangs_up_leaves_nothing() -> None:
    sink = Sink()
    with pytest.raises(ClientGone):
        read([part("model", "m"), part("file", SOUND, "a.wav")[:2000]], sink, cut=True)
    assert sink.calls == ["begin a.wav", "abort"]


def test_a_sink_that_refuses_is_told_to_leave_nothing() -> None:
    sink = Sink(limit=100)
    with pytest.raises(StenopoolError):
        read([body(part("file", SOUND, "a.wav"))], sink)
    assert sink.calls == ["begin a.wav", "abort"]


def test_a_form_that_was_read_waits_for_no_collector() -> None:
    def read() -> Reader:
        reader = Reader(b"b")
        events = list(reader.read(b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n'))
        assert events[1:] == [b"1", PART_END, FORM_END]
        return reader

    assert goes_by_itself(read)


PREAMBLE = b"This is a multi-part message in MIME format.\r\n"
EVENTS = [Part(b"a", None), b"1\n2\r3", PART_END, Part(b"f", b"x.wav"), b"\r\n--", PART_END, FORM_END]


def written(newline: bytes, *, preamble: bytes = b"", padding: bytes = b"") -> bytes:
    first = b"--b" + padding + newline
    parts = [
        first + b'Content-Disposition: form-data; name="a"' + newline * 2 + b"1\n2\r3" + newline,
        first
        + b"Content-Disposition: form-data;"
        + newline
        + b' name="f"; filename="x.wav"'
        + newline * 2
        + b"\r\n--"
        + newline,
    ]
    return preamble + b"".join(parts) + b"--b--" + newline


def events(form: bytes, size: int) -> list[object]:
    """Pieces of one part's data joined."""
    reader, seen = Reader(b"b"), list[object]()
    for at in range(0, len(form), size):
        for one in reader.read(form[at : at + size]):
            if isinstance(one, bytes) and seen and isinstance(seen[-1], bytes):
                seen[-1] += one
            else:
                seen.append(one)
    return seen


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("padding", [b"", b" \t"], ids=["", "padded"])
@pytest.mark.parametrize("preamble", [b"", b"\r\n", b"\n", PREAMBLE, b"see --b and\n--B\n"], ids=repr)
def test_lines_end_as_the_first_one_does(newline: bytes, padding: bytes, preamble: bytes) -> None:
    form = written(newline, preamble=preamble, padding=padding)
    for size in (1, 2, 3, 7, len(form)):
        assert events(form, size) == EVENTS


def test_a_preamble_is_bounded() -> None:
    assert events(written(b"\r\n", preamble=b"x" * (MAX_PREAMBLE - 1) + b"\n"), 1000) == EVENTS
    for endless in (b"x" * 20_000, b"x" * MAX_PREAMBLE + b"\n" + written(b"\r\n"), b" --b" * 5000):
        with pytest.raises(InvalidRequest):
            events(endless, 1000)


def test_hostile_headers_take_no_more_than_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `filename*` without its end was looked for to the end of the header."""
    looked: list[int] = []
    value = EXTENDED_VALUE
    monkeypatch.setattr(
        "api.uploads.multipart_parser.EXTENDED_VALUE",
        SimpleNamespace(match=lambda text, at: looked.append(at) or value.match(text, at)),
    )
    head = b'--b\r\nContent-Disposition: form-data; name="a"' + b";filename*=utf-8'x" * 400
    assert events(head + b"\r\n\r\n1\r\n--b--", 1000)[-1] is FORM_END
    assert len(looked) <= 1
