"""A proxy on loopback between a test's processes and a server: what is behind it can be away for a while."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class TcpProxy:
    """Hands bytes on to 127.0.0.1:`target`, or to the Unix socket of that path, until it is `cut`; then it hangs up on everybody,
    with RST, until it is `mended`. With `tls` it speaks TLS to its clients, and none to the server.
    """

    def __init__(self, target: int | str, tls: ssl.SSLContext | None = None) -> None:
        self._target, self._tls = target, tls
        self._delay = 0.0  # seconds before each piece that is handed on
        self._prompt = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._away = self._closed = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        self.refuse()
        self.drop()

    def refuse(self) -> None:
        """No new connections; what is open stays."""
        with self._lock:
            self._away = True

    def drop(self) -> None:
        """Hang up on everybody once."""
        with self._lock:
            for connection in self._open:
                _hang_up(connection)

    def slow(self, seconds: float) -> None:
        """Every piece waits so long before it is handed on; 0 is at once."""
        self._delay = seconds
        if seconds:
            self._prompt.clear()
        else:
            self._prompt.set()

    def mend(self) -> None:
        with self._lock:
            self._away = False
        self.slow(0)

    def close(self) -> None:
        self.cut()
        self._closed = True
        self._prompt.set()
        with suppress(OSError), socket.create_connection(self._listener.getsockname()):
            pass
        self._thread.join(60)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._closed:
                client.close()
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._greeted(plain) as client, self._connected() as server:
            with self._lock:
                self._open |= {client, server}
                if self._away:
                    _hang_up(client)
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _greeted(self, plain: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(plain, server_side=True) if self._tls else plain

    def _connected(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target))
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(self._target)
        except OSError:
            made.close()
            raise
        return made

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._delay:
                    self._prompt.wait(self._delay)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def tcp_proxy(target: int | str, tls: ssl.SSLContext | None = None) -> Iterator[TcpProxy]:
    proxy = TcpProxy(target, tls)
    try:
        yield proxy
    finally:
        proxy.close()
