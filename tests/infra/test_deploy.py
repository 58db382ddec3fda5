"""compose.yaml and the Dockerfile: parsed, and held against the commands, settings and files that there really are."""

import configparser
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest
import typer
import yaml

from cli import main
from cli.roles import GRACE_SECONDS
from infra.encryption.secret_box import is_key
from infra.settings import PREFIX, Settings
from tests.support.repository import ROOT

ROLES = {"api", "worker-cpu", "worker-io", "scheduler"}
MORE = {"more-cpu", "more-io"}  # of the profile `scaling`, through its PgBouncer
POOLER = "pgbouncer"
SERVERS = {"postgres", "redis", "s3"}
AWS = {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
WANTED = re.compile(r"\$\{(\w+):\?[^}]+\}")  # Compose refuses to start without it, and says what to do


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return loaded["services"]


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, arguments), continued lines joined, comments left out."""
    text = (ROOT / "infra" / "docker" / "Dockerfile").read_text("utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def parses(words: list[str]) -> bool:
    """Whether the `stenopool` command takes these words, without running it."""
    menu = typer.Context(typer.main.get_command(main.app))
    name, command, rest = menu.command.resolve_command(menu, words)
    command.make_context(name, rest)
    return True


def grace_of(command: list[str]) -> int:
    """What it says, or has without saying."""
    return int(command[command.index("--grace") + 1]) if "--grace" in command else GRACE_SECONDS


def test_all_services_are_there(services: dict[str, Any]) -> None:
    assert set(services) == ROLES | MORE | {POOLER} | SERVERS
    assert {name for name, service in services.items() if service.get("profiles")} == MORE | {POOLER}


def test_commands_are_commands(services: dict[str, Any]) -> None:
    for name in ROLES | MORE:
        assert parses(services[name]["command"]), name


def test_variables_are_settings(services: dict[str, Any]) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields} | AWS
    for name in ROLES | MORE:
        environment = services[name]["environment"]
        assert set(environment) <= known
        values = {key: WANTED.sub("a-password", value) for key, value in environment.items()}
        settings = Settings.from_env(values)
        assert settings.redis_url and settings.database_url.startswith("postgresql://")
        assert settings.storage_url.startswith("s3://")


def test_no_secret_stands_in_the_file(services: dict[str, Any]) -> None:
    """Nor a default for one: what is secret is wanted of whoever starts it."""
    secret = re.compile("PASSWORD|SECRET|KEY|TOKEN|DATABASE_URL")
    given = {
        f"{name}: {key}": str(value)
        for name, service in services.items()
        for key, value in service.get("environment", {}).items()
        if secret.search(key)
    }
    assert len(given) >= 8
    assert [place for place, value in given.items() if not WANTED.search(value)] == []
    assert not re.search(r"\$\{\w+:?-", (ROOT / "compose.yaml").read_text("utf-8"))


@pytest.mark.processes
def test_the_secrets_are_made_once_and_are_all_that_is_wanted(tmp_path: Path) -> None:
    script = tmp_path / "infra" / "docker" / "make-secrets"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "infra" / "docker" / "make-secrets", script)
    (tmp_path / ".env").write_text("S3_SECRET_KEY=kept\n")
    texts = []
    for _ in range(2):
        subprocess.run(["sh", script], check=True, capture_output=True, umask=0)
        texts.append((tmp_path / ".env").read_text())
    assert texts[0] == texts[1]
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    made = dict(line.split("=", 1) for line in texts[0].splitlines())
    assert set(made) == set(WANTED.findall((ROOT / "compose.yaml").read_text("utf-8")))
    assert made["S3_SECRET_KEY"] == "kept"
    assert is_key(made["STENOPOOL_SECRETS_KEY"])
    assert re.fullmatch("GK[0-9a-f]{24}", made["S3_ACCESS_KEY"])
    assert all(re.fullmatch("[0-9a-f]{64}", made[name]) for name in ("POSTGRES_PASSWORD", "GARAGE_RPC_SECRET"))


def test_roles_wait_for_healthy_servers_and_stop_gracefully(services: dict[str, Any]) -> None:
    for name in ROLES | MORE:
        role = services[name]
        needed = SERVERS - {"postgres"} | {POOLER} if name in MORE else SERVERS
        assert role["depends_on"] == {server: {"condition": "service_healthy"} for server in needed}, name
        assert role["read_only"] and [place.partition(":")[0] for place in role["tmpfs"]] == ["/tmp"]
        assert int(role["stop_grace_period"].removesuffix("s")) > grace_of(role["command"]) + 10
        assert role["user"].split(":")[0] != "0"
    assert all(services[name]["healthcheck"]["test"][0] == "CMD" for name in services)


def test_health_checks_of_roles_are_commands(services: dict[str, Any]) -> None:
    for name in (ROLES | MORE) - {"api"}:
        program, *words = services[name]["healthcheck"]["test"][1:]
        assert program == "stenopool"
        assert parses(words)
        assert words[-1] == "--check"
        assert words[:-1] == services[name]["command"][: len(words) - 1]
    check = services["api"]["healthcheck"]["test"][-1]
    port = services["api"]["command"][services["api"]["command"].index("--port") + 1]
    assert f"127.0.0.1:{port}/readyz" in check
    compile(check, "health check", "exec")


def test_only_the_api_is_published_and_only_here(services: dict[str, Any]) -> None:
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "api": ["127.0.0.1:8000:8000"]
    }


def test_more_workers_are_the_same_ones_behind_a_pooler(services: dict[str, Any]) -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "infra" / "docker" / "pgbouncer.ini", "utf-8")
    pooler, database = config["pgbouncer"], database_of(services["worker-cpu"])
    assert pooler["pool_mode"] == "transaction"
    assert (
        f"host={database.hostname} port={database.port} dbname={database.path[1:]}" == config["databases"]["stenopool"]
    )
    for name in MORE:
        given = dict(services[name]["environment"])
        through = database_of(services[name])
        assert (through.hostname, through.port) == (POOLER, int(pooler["listen_port"]))
        direct = dict(services["worker-cpu"]["environment"])
        assert direct.pop("STENOPOOL_DATABASE_URL") != given.pop("STENOPOOL_DATABASE_URL") and given == direct


def database_of(service: dict[str, Any]) -> SplitResult:
    return urlsplit(WANTED.sub("a-password", service["environment"]["STENOPOOL_DATABASE_URL"]))


def test_redis_never_drops_a_message(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    given = dict(zip(command[1::2], command[2::2], strict=True))
    assert given["--maxmemory-policy"] == "noeviction"
    assert given["--appendonly"] == "yes"


def test_the_bucket_is_made_and_the_key_is_the_same(services: dict[str, Any]) -> None:
    server, role = services["s3"]["environment"], services["api"]["environment"]
    assert role["STENOPOOL_STORAGE_URL"] == f"s3://{server['GARAGE_DEFAULT_BUCKET']}"
    assert role["AWS_ACCESS_KEY_ID"] == server["GARAGE_DEFAULT_ACCESS_KEY"]
    assert role["AWS_SECRET_ACCESS_KEY"] == server["GARAGE_DEFAULT_SECRET_KEY"]
    config = tomllib.loads((ROOT / "infra" / "docker" / "garage.toml").read_text("utf-8"))
    assert config["s3_api"]["s3_region"] == role["AWS_REGION"]
    assert role["AWS_ENDPOINT_URL"].endswith(config["s3_api"]["api_bind_addr"].rpartition(":")[2])


def test_mounted_files_and_named_volumes_exist(services: dict[str, Any]) -> None:
    volumes = set(yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["volumes"])
    for service in services.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith(".") else source in volumes


def test_the_image_runs_as_nobody_special_and_brings_what_is_needed(services: dict[str, Any]) -> None:
    steps = dockerfile()
    assert [arguments for name, arguments in steps if name == "USER"][-1] == "stenopool"
    assert f"--uid {services['api']['user'].split(':')[0]} " in " ".join(arguments for _, arguments in steps)
    installed = " ".join(arguments for name, arguments in steps if name == "RUN")
    assert "bubblewrap" in installed
    assert "--constraint constraints.txt" in installed
    version = re.search(r"python:(\d+)\.(\d+)", dict(reversed(steps))["FROM"])
    assert version and (3, 11) <= tuple(map(int, version.groups())) <= (3, 13)


def test_the_image_copies_what_exists_and_the_context_holds_it() -> None:
    context = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for name, arguments in dockerfile():
        if name == "COPY" and not arguments.startswith("--from"):
            for source in shlex.split(arguments)[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in context


def test_the_image_starts_with_a_command() -> None:
    last = dict(dockerfile())
    assert yaml.safe_load(last["ENTRYPOINT"]) == ["stenopool"]
    assert parses(yaml.safe_load(last["CMD"]))


@pytest.mark.processes
def test_an_audit_without_a_network_says_so_and_ends(tmp_path: Path) -> None:
    environ = {**os.environ, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    command = ["make", "audit", f"PYTHON={sys.executable}", f"AUDIT={tmp_path}"]
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert ran.returncode != 0
    assert "it needs a network" in ran.stderr
    assert "nothing was checked" in ran.stderr


def test_the_audit_is_no_part_of_ci() -> None:
    assert "make audit" not in (ROOT / ".ci" / "run").read_text("utf-8")
