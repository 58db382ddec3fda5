"""Settings: a value, read once from the environment, passed down, never imported."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from infra.buckets.allow_list import Grant, read_grants
from infra.environment.bucket_name import WANTED, is_bucket_name
from infra.environment.engine_socket import engine_socket
from infra.environment.redis_url import is_redis_url
from infra.environment.secret_files import by_file_name, secret_value
from infra.environment.unknown_settings import meant, unknown_names
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.toml_file import key_variables, load_catalog
from pipeline.errors import InvalidRequest, StenopoolError
from pipeline.weights.description import shipped_weights
from pipeline.weights.folder import WeightsFolder

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PREFIX = "STENOPOOL_"
OF_CLIENTS = (PREFIX + "BASE_URL", PREFIX + "API_KEY")  # what commands read that ask a running installation
PUBLIC_ADDRESS = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?")
SHORTEST_ADMIN_KEY = 16  # characters


def default_home() -> Path:
    """The data folder of people who configured none: XDG's data home."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "stenopool"


def default_models() -> Path:
    """The folder of weights of people who configured none: in XDG's cache home, shared by all installations of the user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "stenopool" / "models"


class Settings(BaseModel):
    """Everything an operator can set; each field is read from STENOPOOL_<FIELD IN UPPER CASE>.

    A field with `repr=False` is a secret: never shown, and read from the file that STENOPOOL_<FIELD>_FILE names as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Field(default_factory=default_home)
    database_url: str = Field("", repr=False)  # may hold a password; empty: SQLite in `home`
    database_pool: int = Field(32, ge=4, le=1000)  # connections of one process to PostgreSQL, at most
    redis_url: str = Field("", repr=False)  # likewise; empty: the private Redis that `up` starts
    storage_url: str = ""  # empty: file://<home>/storage
    buckets: tuple[Grant, ...] = ()  # which account may read and write where, besides our own storage
    storage_public_url: str = ""  # where clients reach the S3 of `storage_url`; empty: parts come through us
    catalog: Path | None = None
    admin_key: str | None = Field(None, repr=False)
    key_pepper: str = Field("", repr=False)  # keys the stored hashes; several by commas, the newest first
    secrets_key: str = Field("", repr=False)  # seals secrets in rows; several by commas, the newest first
    embedded_engines: Literal["auto", "off"] = "auto"
    engines: Literal["shared", "own"] = "shared"  # one engine for all processes of the machine, or each has its own
    speech: Literal["kokoro", "espeak"] = "kokoro"  # which embedded voice stands in first, where both are there
    openai_api_key: str = Field("", repr=False)
    openai_base_url: str = ""  # empty: OpenAI's own
    groq_api_key: str = Field("", repr=False)
    gemini_api_key: str = Field("", repr=False)
    faster_whisper_model: str = ""  # a folder, or a name such as large-v3; empty: not used
    models: Path = Field(default_factory=default_models)  # where weights are installed
    offline: bool = False  # no weights are fetched from any network
    public_url: str = (
        ""  # where clients reach this server, with a path before /v1 where there is one; empty: URLs are paths
    )
    outbound_allow: tuple[Network, ...] = ()
    outbound_http: bool = True  # http:// targets besides https://
    asr_account: str = ""  # who pays for /asr and /detect-language without a key; empty: these want one
    trusted_proxies: tuple[Network, ...] = ()  # whose X-Forwarded-For is believed

    lease_seconds: float = Field(6.0, gt=0)  # a worker silent for this long is thought dead
    sweep_seconds: float = Field(1.0, gt=0)
    max_attempts: int = Field(3, ge=1)
    request_hold_seconds: float = Field(900.0, gt=0)  # what an unanswered request holds goes back after so long
    webhook_time_scale: float = Field(1.0, gt=0)  # multiplies the delays between webhook attempts

    max_upload_bytes: int = Field(5 * 1024**3, gt=0)
    max_audio_seconds: int = Field(24 * 3600, gt=0)
    job_timeout_seconds: int = Field(24 * 3600, gt=0)
    retention_seconds: int = Field(30 * 24 * 3600, ge=0)
    media_retention_seconds: int = Field(24 * 3600, ge=0)  # of the uploaded sound after its job has ended
    browser_copies: bool = True  # of recordings that browsers do not play
    record_retention_seconds: int = Field(365 * 24 * 3600, ge=24 * 3600)  # of rows, after what they tell of is gone
    ledger_retention_seconds: int = Field(0, ge=0)  # of entries of settled work before they are summed up; 0: for ever
    read_timeout_seconds: float = Field(30.0, gt=0)  # a client that sends nothing for this long is cut off

    cpu_processes: int = Field(default_factory=lambda: max(1, os.cpu_count() or 1), ge=1)
    io_threads: int = Field(32, ge=1)
    log_level: str = "INFO"
    _environ: Mapping[str, str] = PrivateAttr(default_factory=dict)  # for the keys of servers that the catalog adds

    @field_validator("outbound_allow", "trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return tuple(part for part in value.replace(",", " ").split() if part) if isinstance(value, str) else value

    @field_validator("buckets", mode="before")
    @classmethod
    def _grants(cls, value: Any) -> Any:
        try:
            return read_grants(value)
        except ValueError as error:
            raise PydanticCustomError("buckets", "{reason}", {"reason": str(error)}) from error

    @field_validator("redis_url")
    @classmethod
    def _redis_address(cls, value: str) -> str:
        if value and not is_redis_url(value):
            told = "it is a URL such as redis://127.0.0.1:6379/0, rediss://… or unix:///run/redis.sock"
            raise PydanticCustomError("redis_url", f"{told}; in a password write / as %2F, # as %23, % as %25")
        return value

    @field_validator("storage_url")
    @classmethod
    def _possible_bucket(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "s3" and not is_bucket_name(parts.netloc):
            raise PydanticCustomError("storage_url", f"no bucket can be called so: {WANTED}")
        return value

    @field_validator("storage_public_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise PydanticCustomError("storage_public_url", "it is a URL such as https://s3.example.org")
        return value.rstrip("/")

    @field_validator("public_url")
    @classmethod
    def _own_address(cls, value: str) -> str:
        if value and not PUBLIC_ADDRESS.fullmatch(value):
            raise PydanticCustomError(
                "public_url", "it is a URL such as https://speech.example.org or https://example.org/speech"
            )
        return value.rstrip("/").removesuffix("/v1")

    @property
    def public_path(self) -> str:
        """What stands before our own paths in `public_url`: /speech; mostly nothing."""
        return urlsplit(self.public_url).path

    @field_validator("admin_key")
    @classmethod
    def _long_enough(cls, value: str | None) -> str | None:
        fits = value is None or (len(value) >= SHORTEST_ADMIN_KEY and value.isascii() and value.isprintable())
        if not fits:
            told = f"it needs {SHORTEST_ADMIN_KEY} characters or more, all of them printable ASCII"
            raise PydanticCustomError("admin_key", f"{told}; `openssl rand -base64 32` makes one")
        return value

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{quote(str(self.home / 'stenopool.db'))}"

    @property
    def storage(self) -> str:
        """The storage URL in force: file:///folder or s3://bucket/prefix."""
        return self.storage_url or (self.home / "storage").absolute().as_uri()

    @property
    def peppers(self) -> tuple[str, ...]:
        """What the hashes of API keys are keyed by, the newest first."""
        return tuple(part for part in self.key_pepper.replace(",", " ").split() if part)

    @property
    def stock_providers(self) -> dict[str, dict[str, str]]:
        """What the environment says about the catalog's remote providers; only what is given. Raises CatalogBroken,
        InvalidRequest for a secret's file that cannot be read."""
        openai = {"api_key": self.openai_api_key, "base_url": self.openai_base_url}
        given = {
            "openai": openai,
            "groq": {"api_key": self.groq_api_key},
            "gemini": {"api_key": self.gemini_api_key},
            "faster-whisper": {"model": self.faster_whisper_model, "local_files_only": "true" if self.offline else ""},
            **{name: {"model": str(folder)} for name, folder in self.weights.serving.items()},
        }
        for name, variable in key_variables(self.catalog).items():
            given.setdefault(name, {})["api_key"] = secret_value(self._environ, variable)
        return {name: {key: value for key, value in table.items() if value} for name, table in given.items()}

    def load_catalog(self) -> Catalog:
        """The catalog in force. Raises CatalogBroken, InvalidRequest as `stock_providers` does."""
        return load_catalog(
            self.catalog,
            embedded_engines=self.embedded_engines,
            stock=self.stock_providers,
            speech=self.speech,
            voices=str(self.weights.speakers or ""),
        )

    @property
    def cpu_pool(self) -> int:
        """Processes of a cpu worker: as many as somebody has set; else one more than there are cores, because one may do nothing
        but wait for its turn at an engine."""
        return self.cpu_processes + ("cpu_processes" not in self.model_fields_set)

    @property
    def engine_socket(self) -> Path | None:
        """Where the machine's engines are, if they are shared."""
        return engine_socket(self.home) if self.engines == "shared" else None

    @property
    def weights(self) -> WeightsFolder:
        """What is installed on this machine for local engines; looked up at each question."""
        return WeightsFolder(self.models.absolute(), shipped_weights())

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read STENOPOOL_* variables. Raises InvalidRequest that names the variable which is wrong, or misspelt."""
        given = {name: environ.get(PREFIX + name.upper(), "") for name in cls.model_fields}
        given |= {
            variable.removeprefix(PREFIX).lower(): secret_value(environ, variable) for variable in secret_variables()
        }
        try:
            settings = cls.model_validate({name: value for name, value in given.items() if value})
        except ValidationError as error:
            first = error.errors()[0]
            variable = PREFIX + str(first["loc"][0]).upper()
            raise InvalidRequest(f"{variable}: {first['msg']}", param=variable) from error
        settings._environ = dict(environ)
        for name in settings.unknown:
            if near := meant(name, settings.known):
                raise InvalidRequest(
                    f"{name}: there is no such setting. {near} is meant? Correct or unset it.", param=name
                )
        return settings

    @property
    def known(self) -> frozenset[str]:
        """Every variable that means something, those that the catalog names among them."""
        secrets = list(secret_variables())
        with contextlib.suppress(StenopoolError):  # whoever loads the catalog tells what is wrong with it
            secrets += key_variables(self.catalog).values()
        fields = (PREFIX + name.upper() for name in type(self).model_fields)
        return frozenset((*fields, *secrets, *map(by_file_name, secrets), *OF_CLIENTS))

    @property
    def unknown(self) -> list[str]:
        """Variables of the environment that look like settings and are none."""
        mine = [name for name in self._environ if name.startswith(PREFIX)]
        if all(name.removeprefix(PREFIX).lower() in type(self).model_fields for name in mine):
            return []  # as mostly, and no catalog is read to know it
        return unknown_names(mine, PREFIX, self.known)


def secret_variables() -> tuple[str, ...]:
    """The variables that are secrets; those that the catalog's tables name by `api_key_env` are, besides."""
    return tuple(PREFIX + name.upper() for name, field in Settings.model_fields.items() if not field.repr)
