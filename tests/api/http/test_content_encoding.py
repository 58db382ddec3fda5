"""Compressed request bodies: decoded within bounds, or refused so that a client can do better."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from api.http import content_encoding
from api.http.content_encoding import ContentEncoding
from api.http.request_body import blocks
from pipeline.errors import InvalidRequest
from tests.api.conftest import JOBS, House, recording

TRANSCRIPTIONS = "/v1/audio/transcriptions"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity", bytes),
]


async def _no_answer(message: Any) -> None:
    raise AssertionError(message)


def decoded(coding: str, sent: list[bytes]) -> list[bytes]:
    """The blocks that an application sees."""
    got: list[bytes] = []

    async def app(scope: Any, receive: Any, _send: Any) -> None:
        names = {name for name, _ in scope["headers"]}
        assert coding == "identity" or not names & {b"content-length", b"content-encoding"}
        got.extend([block async for block in blocks(Request(scope, receive))])

    async def read() -> None:
        messages = [{"type": "http.request", "body": one, "more_body": True} for one in sent]
        messages.append({"type": "http.request", "body": b"", "more_body": False})

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        headers = [(b"content-encoding", coding.encode()), (b"content-length", b"1")]
        scope = {"type": "http", "headers": headers}
        await ContentEncoding(app)(scope, receive, _no_answer)

    asyncio.run(read())
    return got


@given(
    coding=st.sampled_from(CODINGS),
    data=st.one_of(st.binary(max_size=300), st.integers(0, 300_000).map(lambda size: b"ab" * size)),
    size=st.integers(1, 5000),
)
def test_whatever_the_pieces_the_body_is_the_same(
    coding: tuple[str, Callable[[bytes], bytes]], data: bytes, size: int
) -> None:
    name, encode = coding
    whole = encode(data)
    got = decoded(name, [whole[at : at + size] for at in range(0, len(whole), size)])
    assert b"".join(got) == data
    assert name == "identity" or all(len(block) <= content_encoding.STEP for block in got)


@pytest.mark.processes
@pytest.mark.parametrize(("coding", "encode"), CODINGS)
def test_a_form_arrives(house: House, coding: str, encode: Callable[[bytes], bytes]) -> None:
    sound = recording(1.0)[0]
    part = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    form = part.format("file", '; filename="a.wav"').encode() + sound + b"\r\n"
    form += part.format("model", "").encode() + b"oracle\r\n--b--\r\n"
    headers = house.auth() | {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": coding}
    for path, status in ((TRANSCRIPTIONS, 200), (JOBS, 202)):
        answer = house.post(path, content=encode(form), headers=headers)
        assert answer.status_code == status, answer.text


def test_json_arrives(house: House) -> None:
    content = gzip.compress(json.dumps({"model": "oracle", "task": "speech", "input": "alpha"}).encode())
    headers = house.auth() | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert house.post(JOBS, content=content, headers=headers).status_code == 202


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "compress", "*"])
def test_what_is_not_taken_is_told(house: House, coding: str) -> None:
    answer = house.post(JOBS, content=b"{}", headers=house.auth() | {"Content-Encoding": coding})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")
    assert answer.headers["accept-encoding"] == "gzip, deflate"


def test_who_shows_no_key_has_nothing_decoded(house: House) -> None:
    assert house.post(JOBS, content=b"x", headers={"Content-Encoding": "br"}).status_code == 401


BOMB = gzip.compress(b"\0" * 20_000_000)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([b"no gzip at all"], "no such thing"),
        ([gzip.compress(b"x" * 100)[:-9]], "cut off"),
        ([gzip.compress(b"x" * 100)[:5]], "cut off"),
        ([gzip.compress(b"x") + b"more"], "goes on"),
        ([gzip.compress(b"x"), gzip.compress(b"y")], "goes on"),
        ([BOMB], "grows more than 100 times"),
        ([BOMB[at : at + 100] for at in range(0, len(BOMB), 100)], "grows more than 100 times"),
    ],
)
def test_what_cannot_be_decoded_is_the_callers_mistake(sent: list[bytes], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        decoded("gzip", sent)


def test_a_bomb_is_stopped_early(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(content_encoding._Decoded, "_check", _noting(made, content_encoding._Decoded._check))
    with pytest.raises(InvalidRequest):
        decoded("gzip", [BOMB])
    assert made[-1] <= max(content_encoding.FREE, 100 * len(BOMB)) + content_encoding.STEP


def _noting(made: list[int], check: Callable[[Any], None]) -> Callable[[Any], None]:
    def noted(self: Any) -> None:
        made.append(self._made)
        check(self)

    return noted


def test_a_decoded_body_has_the_limits_of_any_other(house: House) -> None:
    content = gzip.compress(b'{"model": "' + bytes(range(48, 90)) * 60_000 + b'"}')
    headers = house.auth() | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = house.post(JOBS, content=content, headers=headers)
    assert (answer.status_code, len(content) < 1024 * 1024) == (400, True)
