"""A server that is told to stop finishes what is running, and says so to whoever comes meanwhile."""

import io
import json
import socket
from collections.abc import Iterator

import pytest

from api.connection import server
from api.main import create_app
from tests.api.conftest import JOBS, House, recording
from tests.api.serving import Running, answered, received, running
from tests.support.waiting import wait_until

SYNCHRONOUS = "/v1/audio/transcriptions"
BOUNDARY = "boundary"
GRACE = 120  # seconds; no test waits for it


@pytest.fixture
def served(house: House) -> Iterator[Running]:
    with running(create_app(house.services), grace=GRACE) as place:
        yield place


class Upload:
    """A recording on its way, half of it sent."""

    def __init__(self, house: House, connection: socket.socket, path: str) -> None:
        sound, _ = recording()
        form = io.BytesIO()
        for name, value in {"model": "oracle", "response_format": "json"}.items():
            form.write(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
        form.write(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode())
        form.write(sound + f"\r\n--{BOUNDARY}--\r\n".encode())
        content = form.getvalue()
        self._connection, self._rest = connection, content[len(content) // 2 :]
        framing = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(content)}"
        connection.sendall(head(house, "POST", path, framing) + content[: len(content) // 2])

    def finish(self) -> bytes:
        """Send the rest, and read until the server closes."""
        self._connection.sendall(self._rest)
        return received(self._connection)


def head(house: House, method: str, path: str, more: str = "Content-Length: 0") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key}\r\n{more}\r\n\r\n".encode()


def asked(served: Running, question: bytes) -> bytes:
    with served.connection() as connection:
        connection.sendall(question)
        return answered(connection)


def begun(served: Running, house: House) -> None:
    """Return once the server has been heard to stop."""
    wait_until(lambda: b'"stopping"' in asked(served, head(house, "GET", "/readyz")))


def is_told(answer: bytes) -> bool:
    """Whether it says that the server stops: in our shape, when to come again, and that the connection ends."""
    lines, _, body = answer.partition(b"\r\n\r\n")
    told = lines.lower()
    assert b"connection: close" in told and b"retry-after: " in told and b"x-request-id: " in told, answer
    return lines.startswith(b"HTTP/1.1 503 ") and json.loads(body)["error"]["code"] == "server_stopping"


@pytest.mark.processes  # ffmpeg, to hear
@pytest.mark.parametrize(("path", "status"), [(SYNCHRONOUS, b"200"), (JOBS, b"202")])
def test_what_runs_is_finished_and_its_connection_closed(
    house: House, served: Running, path: str, status: bytes
) -> None:
    with served.connection() as connection:
        upload = Upload(house, connection, path)
        asked(served, head(house, "GET", JOBS))  # the server has read what was sent before
        served.stop()
        begun(served, house)
        answer = upload.finish()
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert b"connection: close" in answer.lower()


def test_who_comes_meanwhile_is_told_and_not_refused(house: House, served: Running) -> None:
    with served.connection() as old, served.connection() as connection:
        old.sendall(head(house, "GET", JOBS))
        assert answered(old).startswith(b"HTTP/1.1 200")
        upload = Upload(house, connection, JOBS)
        asked(served, head(house, "GET", JOBS))
        served.stop()
        begun(served, house)
        assert [is_told(asked(served, head(house, "GET", JOBS))) for _ in range(3)] == [True] * 3
        old.sendall(head(house, "GET", JOBS))
        assert is_told(received(old)), "a connection kept alive is told with its next request, and closed"
        assert b'{"status":"ok"}' in asked(served, head(house, "GET", "/healthz"))
        readiness = asked(served, head(house, "GET", "/readyz"))
        assert readiness.startswith(b"HTTP/1.1 503") and readiness.endswith(b'{"status":"stopping"}')
        assert upload.finish().startswith(b"HTTP/1.1 202")


def test_a_new_upload_is_told_though_its_client_sends_it_all_before_it_reads(house: House, served: Running) -> None:
    with served.connection() as connection, served.connection() as late:
        upload = Upload(house, connection, JOBS)
        asked(served, head(house, "GET", JOBS))
        served.stop()
        begun(served, house)
        assert is_told(Upload(house, late, JOBS).finish())
        assert upload.finish().startswith(b"HTTP/1.1 202")


def test_what_outlasts_the_grace_is_told_so(house: House) -> None:
    with running(create_app(house.services), grace=0) as served, served.connection() as connection:
        Upload(house, connection, SYNCHRONOUS)
        asked(served, head(house, "GET", JOBS))
        served.stop()
        answer = received(connection)
    assert is_told(answer)
    assert b"send the request again" in answer


def test_with_nothing_running_and_nobody_connected_it_ends_at_once(house: House, served: Running) -> None:
    """The fixture waits for the end for less than the grace."""
    assert asked(served, head(house, "GET", JOBS)).startswith(b"HTTP/1.1 200")
    served.stop()


def test_a_connection_that_is_kept_alive_is_told_and_not_hung_up_on(house: House, served: Running) -> None:
    """Though nothing is under way: its next request may have been sent already. Then nobody is connected any more."""
    with served.connection() as idle:
        idle.sendall(head(house, "GET", JOBS))
        assert answered(idle).startswith(b"HTTP/1.1 200")
        served.stop()
        begun(served, house)
        idle.sendall(head(house, "GET", JOBS))
        assert is_told(received(idle))


def test_a_connection_that_nobody_uses_is_closed_in_the_end(
    house: House, served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LINGER_SECONDS", 0.5)
    with served.connection() as idle:
        idle.sendall(head(house, "GET", JOBS))
        assert answered(idle).startswith(b"HTTP/1.1 200")
        served.stop()
        assert received(idle) == b""
