"""One `stenopool up` for all tests that only use it as a client would."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.database.session import Database
from infra.keys.accounts import Accounts
from pipeline.catalog.toml_file import load_catalog
from tests.e2e.processes import Marked, marked
from tests.e2e.test_up import Up
from tests.support.accounts import rich
from tests.support.openai_upstream import upstream
from tests.support.ports import free_port

HERE = Path(__file__).parent
INSTALL = ["npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
ADMIN_KEY = "the administrator's own key"
PROVIDERS = """
[providers.oracle]
scripted = true
max_s = 4.0
min_s = 1.5

[providers.stub]
kind = "openai"
base_url = "{url}"
containers = ["wav"]
"""


@dataclass(frozen=True)
class Installation:
    """Where it listens, a key with its account, and the environment in which its clients' commands run."""

    url: str
    key: str
    environ: Mapping[str, str]
    account: str = ""


def catalog(upstream_url: str) -> str:
    """The shipped models, heard and spoken by the oracle; the gpt models by a server that answers as OpenAI's do."""
    lines = [PROVIDERS.format(url=upstream_url)]
    for name, model in load_catalog(None, embedded_engines="auto").models.items():
        provider = "stub" if name.startswith("gpt") and "transcription" in model.tasks else "oracle"
        diarizes = ", diarizes = true" if "diarize" in name else ""
        lines += [f'[models."{name}"]', f'routes = [{{ provider = "{provider}", model = "{name}"{diarizes} }}]']
    return "\n".join(lines)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Running, with an account and its key."""
    folder = tmp_path_factory.mktemp("installation")
    path = folder / "catalog.toml"
    opened = {"STENOPOOL_ADMIN_KEY": ADMIN_KEY, "STENOPOOL_OUTBOUND_ALLOW": "127.0.0.0/8"}
    with upstream() as stub, marked(folder, STENOPOOL_CATALOG=str(path), **opened) as place:
        path.write_text(catalog(stub.url))
        key, account = _key(place)
        up = Up(place, folder, free_port())
        told = {"OPENAI_BASE_URL": f"{up.url}/v1", "OPENAI_API_KEY": key}
        yield Installation(up.url, key, {**place.environ, **told}, account)
        assert up.stop(15) == 0


def _key(place: Marked) -> tuple[str, str]:
    """With its account."""
    with contextlib.closing(Database(f"sqlite:///{place.environ['STENOPOOL_HOME']}/stenopool.db")) as database:
        database.migrate()
        account = rich(database, "clients")
        return Accounts(database).create_key(account)[0], account


@pytest.fixture(scope="session")
def node_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clients for Node and the scripts that use them; without node and npm a skip, which fails in CI."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "client.mjs", "others.mjs", "after.mjs"):
        shutil.copy(HERE / "node" / name, folder)
    installed = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, timeout=300)
    assert installed.returncode == 0, installed.stderr
    return folder
