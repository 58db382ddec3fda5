"""Uploads over real connections: large, cut off, too large, slow; nothing is ever left behind."""

import contextlib
import threading
from collections.abc import Iterator
from hashlib import sha256

import httpx2
import psutil
import pytest

from api.main import create_app
from infra.settings import Settings
from tests.api.conftest import JOBS, House
from tests.api.serving import Running, received, running
from tests.support.waiting import wait_until

BOUNDARY = "bb"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\noracle\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
MEGABYTE = 1024 * 1024
WAV = b"RIFF\xff\xff\xff\xffWAVE"  # what is no recording is refused by its first bytes


def megabyte(number: int) -> bytes:
    """Of a recording of many."""
    return (b"" if number else WAV).ljust(MEGABYTE, bytes([number % 251]))


@pytest.fixture
def served(house: House) -> Iterator[Running]:
    with running(create_app(house.services)) as place:
        yield place


def request_head(house: House, framing: str, path: str = JOBS) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {house.key}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        framing,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def blocks(count: int) -> Iterator[bytes]:
    yield HEAD
    for number in range(count):
        yield megabyte(number)
    yield TAIL


def eventually_nothing(house: House) -> None:
    """What the server removes after the client has gone, it removes soon."""
    wait_until(lambda: not house.files())
    assert house.get(JOBS).json()["data"] == []


def test_a_large_upload_costs_no_memory_and_no_temp_file(house: House, served: Running, tmp_path: object) -> None:
    """300 MB, chunked, without a length known before."""
    size, expected = 300, sha256()
    for number in range(size):
        expected.update(megabyte(number))
    process = psutil.Process()
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss)

    warm_up = httpx2.post(f"{served.url}{JOBS}", content=blocks(4), headers=form(house), timeout=60)
    assert warm_up.status_code == 202
    before = process.memory_info().rss
    watcher = threading.Thread(target=watch)
    watcher.start()
    answer = httpx2.post(f"{served.url}{JOBS}", content=blocks(size), headers=form(house), timeout=120)
    done.set()
    watcher.join()
    assert answer.status_code == 202, answer.text
    assert answer.json()["input"]["bytes"] == size * MEGABYTE
    assert answer.json()["input"]["sha256"] == expected.hexdigest()
    assert peak[0] - before < 64 * MEGABYTE
    house.delete(f"{JOBS}/{answer.json()['id']}?force=true")
    house.delete(f"{JOBS}/{warm_up.json()['id']}?force=true")


def form(house: House) -> dict[str, str]:
    return house.auth() | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.mark.parametrize("framing", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
def test_a_client_that_hangs_up_in_the_middle_leaves_nothing(house: House, served: Running, framing: str) -> None:
    content = HEAD + WAV + bytes(5 * MEGABYTE)
    if "chunked" in framing:
        content = f"{len(content):x}\r\n".encode() + content + b"\r\n"
    with served.connection() as connection:
        connection.sendall(request_head(house, framing) + content)
        wait_until(house.files)
    eventually_nothing(house)


def test_a_body_without_its_end_leaves_nothing(house: House, served: Running) -> None:
    answer = httpx2.post(
        f"{served.url}{JOBS}", content=HEAD + WAV + bytes(3 * MEGABYTE), headers=form(house), timeout=60
    )
    assert answer.status_code == 400
    assert "cut off" in answer.json()["error"]["message"]
    eventually_nothing(house)


def test_an_empty_file_leaves_nothing(house: House, served: Running) -> None:
    answer = httpx2.post(f"{served.url}{JOBS}", content=HEAD + TAIL, headers=form(house), timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "empty_media")
    eventually_nothing(house)


@pytest.mark.parametrize("known_length", [True, False])
def test_twice_the_limit_is_refused_with_an_answer(house: House, known_length: bool) -> None:
    """The client sends everything it has before it reads: it still gets the answer."""
    small = house.services.settings.model_copy(update={"max_upload_bytes": 5 * MEGABYTE})
    house.services.settings, kept = small, house.services.settings
    try:
        with running(create_app(house.services)) as served:
            content = b"".join(blocks(10)) if known_length else blocks(10)
            answer = httpx2.post(f"{served.url}{JOBS}", content=content, headers=form(house), timeout=60)
    finally:
        house.services.settings = kept
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "file_too_large"
    eventually_nothing(house)


def test_26_mb_to_a_synchronous_endpoint_get_an_answer_that_names_the_way_out(house: House, served: Running) -> None:
    url = f"{served.url}/v1/audio/transcriptions"
    answer = httpx2.post(url, content=blocks(30), headers=form(house), timeout=60)
    assert answer.status_code == 400
    assert "/v1/audio/jobs" in answer.json()["error"]["message"]


PATHS = [JOBS, "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/estimates"]
NO_RECORDINGS = {"text": b"Dear diary, " * 1000, "archive": b"PK\x03\x04" + bytes(8000), "zeros": bytes(400_000)}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", NO_RECORDINGS)
def test_what_is_no_recording_is_refused_before_the_rest_has_come(
    house: House, served: Running, path: str, kind: str
) -> None:
    with served.connection() as connection:
        connection.sendall(request_head(house, "Content-Length: 20000000", path) + HEAD + NO_RECORDINGS[kind])
        answer = b""
        while b"Also taken: 3gp" not in answer:
            answer += connection.recv(4096) or pytest.fail("the connection ended without the answer")
        assert answer.startswith(b"HTTP/1.1 400")
    eventually_nothing(house)


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_sends_it_all_the_same_gets_the_answer(house: House, served: Running, path: str) -> None:
    content = HEAD + b"Dear diary, " * 1_500_000 + TAIL
    answer = httpx2.post(f"{served.url}{path}", content=content, headers=form(house), timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_media")
    eventually_nothing(house)


def test_a_client_that_falls_silent_leaves_nothing(house: House) -> None:
    patient = house.services.settings.model_copy(update={"read_timeout_seconds": 2.0})
    house.services.settings, kept = patient, house.services.settings
    try:
        with running(create_app(house.services)) as served, served.connection() as connection:
            connection.sendall(request_head(house, "Content-Length: 100000000") + HEAD + WAV + bytes(3 * MEGABYTE))
            assert received(connection).startswith(b"HTTP/1.1 408")
    finally:
        house.services.settings = kept
    eventually_nothing(house)


def test_100_mb_without_a_key_are_not_read(house: House, served: Running) -> None:
    before = house.files()
    with served.connection() as connection:
        head = request_head(house, "Content-Length: 100000000").replace(house.key.encode(), b"sk-wrong")
        connection.sendall(head + HEAD)
        connection.settimeout(60)
        assert connection.recv(100).startswith(b"HTTP/1.1 401"), "told at once, with next to nothing sent"
    assert house.files() == before


def test_uploads_do_not_hold_up_questions(house: House, served: Running) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(50):
            connection = opened.enter_context(served.connection())
            connection.sendall(request_head(house, "Content-Length: 100000000") + HEAD + WAV + bytes(100_000))
        assert httpx2.get(f"{served.url}{JOBS}", headers=house.auth(), timeout=60).status_code == 200
    eventually_nothing(house)


def test_the_default_limits() -> None:
    assert Settings().max_upload_bytes == 5 * 1024**3
    assert Settings().read_timeout_seconds == 30
