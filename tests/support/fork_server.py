"""`stenopool` for the shells of tests: one process imports it, and forks for each command, which else would import for a second."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from cli.main import COMMANDS, main
from infra.parent_death import tied_to_parent
from tests.support.waiting import wait_until

STREAMS = (0, 1, 2)
# What a shell runs: it hands on its words, its folder, its environment and its three streams, and ends as the command did.
PROGRAM = """#!{python} -ISE
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({path!r})
told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(link, [told[:1]], [0, 1, 2])
link.sendall(told[1:])
link.shutdown(socket.SHUT_WR)
code = link.recv(1)
sys.exit(code[0] if code else 70)
"""


@contextlib.contextmanager
def fork_server(folder: Path) -> Iterator[Path]:
    """A folder with the program `stenopool` in it, which works until the block ends."""
    path, programs = folder / "fork.sock", folder / "programs"
    programs.mkdir()
    program = programs / "stenopool"
    program.write_text(PROGRAM.format(python=sys.executable, path=str(path)))
    program.chmod(0o755)
    command = tied_to_parent([sys.executable, "-X", "utf8", "-m", "tests.support.fork_server", str(path)])
    with subprocess.Popen(command) as server:
        try:
            wait_until(lambda: path.exists() or server.poll() is not None)
            assert server.poll() is None
            yield programs
        finally:
            server.terminate()


def serve(path: str) -> NoReturn:
    """Fork for whoever asks."""
    for name in COMMANDS:
        importlib.import_module(f"cli.{name}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            link, _ = listener.accept()
            if os.fork() == 0:
                os._exit(_accompany(link))
            link.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _accompany(link: socket.socket) -> int:
    """The command in a process of its own, so that its end can be told however it ends."""
    begin, streams, _, _ = socket.recv_fds(link, 1, len(STREAMS))
    told = begin
    while part := link.recv(65536):
        told += part
    words, folder, environ = json.loads(told)
    child = os.fork()
    if child == 0:
        for stream, given in zip(STREAMS, streams, strict=True):
            os.dup2(given, stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        os._exit(_command(words))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    link.sendall(bytes([status if status >= 0 else 128 - status]))
    return 0


def _command(words: list[str]) -> int:
    try:
        main(words)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
