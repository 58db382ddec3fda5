"""What is special about S3: its errors in our words, faults in the middle, parts and memory."""

import inspect
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest
import urllib3.exceptions
from botocore.exceptions import ClientError

from infra.storage.s3 import S3Storage
from infra.storage.s3_errors import translated, typed_errors
from infra.storage.s3_writer import EVEN_PARTS, LATE_FACTOR, PART_BYTES, PartWriter
from pipeline.errors import InputMissing, StenopoolError, StorageFull, StorageUnavailable
from tests.support.s3_server import S3Server
from tests.support.tcp_server import Reply, Scripted, http, reset, say, scripted, silence

KEY = "t/acct_1/media/med_1"
MIB = 1024 * 1024


def raised_by(module: ModuleType) -> list[type[Exception]]:
    found = [each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, Exception)]
    return [each for each in found if each.__module__ == module.__name__ and not issubclass(each, Warning)]


VENDORS = sorted(
    {error for module in (botocore.exceptions, urllib3.exceptions) for error in raised_by(module)},
    key=lambda error: error.__name__,
)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.__name__)
def test_no_exception_of_the_vendor_leaves(vendor: type[Exception]) -> None:
    with pytest.raises(StenopoolError), typed_errors():
        raise vendor.__new__(vendor)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NoSuchKey", InputMissing),
        ("404", InputMissing),
        ("NoSuchBucket", StorageUnavailable),
        ("AccessDenied", StorageUnavailable),
        ("SlowDown", StorageUnavailable),
        ("InternalError", StorageUnavailable),
        ("QuotaExceeded", StorageFull),
        ("XMinioStorageFull", StorageFull),
    ],
)
def test_codes_of_the_server(code: str, kind: type[StenopoolError]) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "secret-bucket at 10.0.0.1"}}, "GetObject")
    ours = translated(error)
    assert type(ours) is kind
    assert "secret" not in ours.message


def test_every_call_of_the_protocol_is_typed(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.use(monkeypatch)
    store = S3Storage("any")

    def fail(*_: object, **__: object) -> None:
        raise botocore.exceptions.HTTPClientError(error="10.0.0.1")

    for client in (store._s3, store._probe):
        client.meta.events.register("before-call.s3", fail)
    uses = {
        "put": lambda: store.put(KEY, b"x"),
        "large": lambda: store.put(KEY, bytes(PART_BYTES + 1)),
        "get": lambda: store.get(KEY),
        "blocks": lambda: list(store.blocks(KEY)),
        "recording": lambda: store.recording(KEY).__enter__(),
        "size": lambda: store.size(KEY),
        "delete": lambda: store.delete(KEY),
        "delete_prefix": lambda: store.delete_prefix("t"),
        "list": lambda: list(store.list("")),
        "abort_stale_uploads": lambda: store.abort_stale_uploads(0),
        "check": store.check,
    }
    for use in uses.values():
        with pytest.raises(StorageUnavailable) as caught:
            use()
        assert "10.0.0.1" not in caught.value.message
    store.close()


def test_a_bucket_that_nobody_has_made_yet_holds_nothing(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.use(monkeypatch)
    store = S3Storage("nobody-has-made-it")
    assert list(store.list("t")) == []
    assert store.abort_stale_uploads(0) == 0
    store.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def use(server: Scripted) -> S3Storage:
        S3Server(server.url, "testkey", "testsecret").use(monkeypatch)
        return S3Storage("bucket", "base")

    yield use


def test_nobody_there(environment: Any) -> None:
    with scripted(silence) as server:
        store = environment(server)
    for use in (lambda: store.get(KEY), lambda: store.put(KEY, b"x"), store.check):
        with pytest.raises(StorageUnavailable):
            use()


def test_somebody_there_who_says_nothing(environment: Any) -> None:
    with scripted(silence) as server, pytest.raises(StorageUnavailable):
        environment(server).check()


def error_body(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()


def test_passing_trouble_is_tried_again(environment: Any) -> None:
    with scripted(http(503, "", error_body("SlowDown")), reset, http(200, 'ETag: "1"\r\n', b"sound")) as server:
        assert environment(server).get(KEY) == b"sound"
    assert len(server.requests) == 3
    assert server.requests[0].line == f"GET /bucket/base/{KEY} HTTP/1.1"  # the bucket in the path


def test_lasting_trouble_ends_after_some_tries(environment: Any) -> None:
    with scripted(http(500, "", error_body("InternalError"))) as server, pytest.raises(StorageUnavailable):
        environment(server).get(KEY)
    assert len(server.requests) == 3


def cut_off(after: int, body: bytes, head: bytes) -> Reply:
    def reply(connection: Any) -> None:
        connection.sendall(head + body[:after])
        reset(connection)

    return reply


def test_a_download_that_breaks_goes_on_where_it_broke(environment: Any) -> None:
    body = bytes(range(256)) * 8192
    head = f'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: {len(body)}\r\n\r\n'.encode()

    def rest(connection: Any) -> None:
        left = body[int(server.requests[-1].headers["range"].removeprefix("bytes=").removesuffix("-")) :]
        say(f'HTTP/1.1 206 OK\r\nETag: "v1"\r\nContent-Length: {len(left)}\r\n\r\n'.encode(), left)(connection)

    with scripted(say(head, body[:1_500_000]), rest) as server:
        assert environment(server).get(KEY) == body
    assert server.requests[1].headers["if-match"] == '"v1"'


def test_a_download_that_breaks_again_and_again_ends(environment: Any) -> None:
    head = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: 1000\r\n\r\n'
    with scripted(cut_off(10, bytes(1000), head)) as server, pytest.raises(StorageUnavailable):
        environment(server).get(KEY)


def test_a_bucket_that_is_not_ours(environment: Any) -> None:
    with scripted(http(403)) as server, pytest.raises(StorageUnavailable, match="403"):
        environment(server).check()
    taken = error_body("BucketAlreadyExists")
    with scripted(http(404), http(409, "", taken)) as server, pytest.raises(StorageUnavailable, match="cannot be made"):
        environment(server).check()
    with scripted(http(404), http(409, "", error_body("BucketAlreadyOwnedByYou"))) as server:
        environment(server).check()


def test_a_deletion_carries_the_checksum_every_server_knows(environment: Any) -> None:
    with scripted(http(200, "", b"<DeleteResult></DeleteResult>")) as server:
        environment(server).delete(KEY)
    assert server.requests[0].headers["content-md5"]
    refusal = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    with scripted(http(200, "", refusal)) as server, pytest.raises(StorageUnavailable, match="AccessDenied"):
        environment(server).delete(KEY)


def test_a_part_that_fails_aborts_the_upload(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.use(monkeypatch)
    store = S3Storage("parts-that-fail")
    store.put("first", b"makes the bucket")
    store.delete("first")
    parts = []

    def fail_third(**_: object) -> None:
        parts.append(1)
        if len(parts) == 3:
            raise botocore.exceptions.ConnectionClosedError(endpoint_url="http://x")

    store._s3.meta.events.register("before-call.s3.UploadPart", fail_third)
    with pytest.raises(StorageUnavailable):
        store.put(KEY, bytes(4 * PART_BYTES))
    assert len(parts) == 3
    assert list(store.list("")) == []
    assert store._s3.list_multipart_uploads(Bucket="parts-that-fail").get("Uploads", []) == []
    store.close()


@pytest.mark.parametrize("size", [5, PART_BYTES + 5])
def test_the_first_object_makes_the_bucket(size: int, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.use(monkeypatch)
    with closing(S3Storage(f"fresh-{size}")) as store:
        assert store.abort_stale_uploads(0) == 0
        store.put(KEY, bytes(size))
        assert store.size(KEY) == size


class Recorder:
    """The four calls of a multipart upload, and how they were used."""

    exceptions = SimpleNamespace(NoSuchUpload=ClientError)

    def __init__(self, lose_the_answer: bool = False, kept: int | None = None) -> None:
        self.sizes: list[int] = []
        self.aborted = 0
        self._lose_the_answer = lose_the_answer
        self._kept = kept

    def create_multipart_upload(self, **_: Any) -> dict[str, Any]:
        return {"UploadId": "u"}

    def upload_part(self, *, Body: bytes, PartNumber: int, **_: Any) -> dict[str, Any]:
        assert PartNumber == len(self.sizes) + 1
        self.sizes.append(len(Body))
        return {"ETag": f'"{PartNumber}"'}

    def complete_multipart_upload(self, **_: Any) -> None:
        if self._lose_the_answer:
            raise ClientError({"Error": {"Code": "NoSuchUpload"}}, "CompleteMultipartUpload")

    def head_object(self, **_: Any) -> dict[str, Any]:
        return {"ContentLength": self._kept, "ETag": f'"abc-{len(self.sizes)}"'}

    def abort_multipart_upload(self, **_: Any) -> None:
        self.aborted += 1


def never() -> None:
    raise AssertionError("the bucket was there")


def test_memory_stays_the_same_for_any_size() -> None:
    s3, block = Recorder(), bytes(MIB)
    tracemalloc.start()
    with PartWriter(s3, "b", "k", make_bucket=never) as writer:
        for _ in range(200):
            writer.write(block)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert s3.sizes == [PART_BYTES] * 25
    assert peak < 30 * MIB


def test_parts_are_even_then_larger_and_never_too_many() -> None:
    s3 = Recorder()
    with PartWriter(s3, "b", "k", make_bucket=never, part_bytes=1) as writer:
        writer.write(bytes(EVEN_PARTS + 3 * LATE_FACTOR + 1))
    assert s3.sizes == [1] * EVEN_PARTS + [LATE_FACTOR] * 3 + [1]
    assert PART_BYTES * (EVEN_PARTS + (10_000 - EVEN_PARTS) * LATE_FACTOR) > 150 * 1024**3
    assert PART_BYTES >= 5 * MIB  # S3's least for all but the last


@pytest.mark.parametrize(("kept", "whole"), [(PART_BYTES + 5, True), (PART_BYTES, False)])
def test_a_lost_answer_to_the_last_request(kept: int, whole: bool) -> None:
    s3 = Recorder(lose_the_answer=True, kept=kept)
    writer = PartWriter(s3, "b", "k", make_bucket=never)
    writer.write(bytes(PART_BYTES + 5))
    with nullcontext() if whole else pytest.raises(StorageUnavailable):
        writer.commit()
    assert s3.aborted == (0 if whole else 1)
