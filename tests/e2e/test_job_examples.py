"""Every example of docs/jobs-and-webhooks.md, and those of other documents that are marked so, run as it is printed, by the
program that it is for."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.api.conftest import recording
from tests.e2e.conftest import Installation
from tests.e2e.test_examples import need
from tests.support.repository import ROOT

DOCUMENT = (ROOT / "docs" / "jobs-and-webhooks.md").read_text("utf-8")
ELSEWHERE = "<!-- executed by tests/cli/test_docs.py -->"
HERE = "<!-- executed by tests/e2e/test_job_examples.py -->"
BLOCKS = re.findall(r"([^\n]*)\n```(sh|python|js)\n(.*?)```", DOCUMENT, re.DOTALL)
OTHERS = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("bulk.md", "openai-clients.md"))
MARKED = re.findall(rf"{HERE}\n```(sh)\n(.*?)```", OTHERS, re.DOTALL)
EXAMPLES = [*((language, code) for mark, language, code in BLOCKS if mark == HERE), *MARKED]
WITHOUT_COMMAND = ("-X PATCH", "/webhook_endpoints", "/deliveries/")
SOUND, SAID = recording(3.0, seed=4)
HOOK = "https://example.org/hooks"


@dataclass(frozen=True)
class Desk:
    """A folder with what the examples read, and the variables that they know."""

    folder: Path
    environ: Mapping[str, str]


@pytest.fixture(scope="module")
def desk(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    for name in ("interview.m4a", "call.wav", "talk.mp3"):
        (folder / name).write_bytes(SOUND)
    (folder / "call.raw").write_bytes(b"\xff" * 16_000)
    known = {"STENOPOOL_BASE_URL": installation.url, "STENOPOOL_API_KEY": installation.key}
    path = os.pathsep.join([str(Path(sys.executable).parent), installation.environ.get("PATH", os.defpath)])
    yield Desk(folder, {**installation.environ, **known, "PATH": path, **known_ids(installation)})
    forget_endpoints(installation)


def known_ids(installation: Installation) -> dict[str, str]:
    """A job that has ended, what was sent of it, a recording that is kept, an endpoint."""
    key = {"Authorization": f"Bearer {installation.key}"}
    with httpx2.Client(base_url=installation.url, headers=key, timeout=120) as client:
        asked = {"model": "whisper-1", "webhook[url]": HOOK}
        made = client.post("/v1/audio/jobs", data=asked, files={"file": ("interview.m4a", SOUND)})
        assert made.status_code == 202, made.text
        job = made.json()
        while job["status"] in ("queued", "processing"):
            job = client.get(f"/v1/audio/jobs/{job['id']}", params={"wait": 50}).json()
        kept = client.post("/v1/files", data={"purpose": "user_data"}, files={"file": ("interview.m4a", SOUND)})
        sent, *_ = client.get(f"/v1/audio/jobs/{job['id']}/deliveries").json()["data"]
        wanted = {"name": "mine", "url": HOOK, "event_types": ["audio.job.completed"]}
        endpoint = client.post("/v1/webhook_endpoints", json=wanted)
    assert (job["status"], kept.status_code, endpoint.status_code) == ("completed", 200, 200), job
    return {"ID": job["id"], "DELIVERY": sent["id"], "FILE": kept.json()["id"], "ENDPOINT": endpoint.json()["id"]}


def forget_endpoints(installation: Installation) -> None:
    """Nothing more is sent to them of what others do with this installation."""
    key = {"Authorization": f"Bearer {installation.key}"}
    with httpx2.Client(base_url=installation.url, headers=key, timeout=120) as client:
        for one in client.get("/v1/webhook_endpoints", params={"limit": 100}).json()["data"]:
            if one["url"] == HOOK:
                assert client.delete(f"/v1/webhook_endpoints/{one['id']}").is_success


def command(language: str, code: str, folder: Path) -> list[str]:
    if language == "python":
        return [sys.executable, "-c", code]
    if language == "sh":
        need("curl")
        return ["sh", "-ec", code]
    need("node")
    (folder / "example.mjs").write_text(code)
    return ["node", "example.mjs"]


@pytest.mark.parametrize(("language", "code"), EXAMPLES, ids=[f"{lang}-{n}" for n, (lang, _) in enumerate(EXAMPLES)])
def test_as_printed(language: str, code: str, desk: Desk) -> None:
    words = command(language, code, desk.folder)
    ran = subprocess.run(words, env=dict(desk.environ), cwd=desk.folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    if language != "sh":
        assert "1\n00:00:0" in ran.stdout
        assert SAID[0] in ran.stdout


def test_a_download_is_named_after_its_recording(desk: Desk) -> None:
    need("curl")
    code = """curl --fail-with-body -sOJ "$STENOPOOL_BASE_URL/v1/audio/jobs/$ID/transcript?format=vtt" \\
     -H "Authorization: Bearer $STENOPOOL_API_KEY" """
    folder = desk.folder / "downloads"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subprocess.run(["sh", "-ec", code], env=dict(desk.environ), cwd=folder, check=True, timeout=300)
    assert [path.name for path in folder.iterdir()] == ["interview.vtt"]


def test_every_example_is_executed_and_each_of_curls_has_its_command_beside_it() -> None:
    assert [code for mark, _, code in BLOCKS if mark not in (HERE, ELSEWHERE)] == []
    assert [language for language, _ in EXAMPLES].count("sh") >= 9
    assert {"python", "js"} <= {language for language, _ in EXAMPLES}
    assert len(MARKED) == OTHERS.count(HERE) == 2
    shells = [code for _, language, code in BLOCKS if language == "sh"]
    alone = [code for code in shells if ("curl " in code) != ("stenopool " in code)]
    assert [code for code in alone if not any(part in code for part in WITHOUT_COMMAND)] == []
