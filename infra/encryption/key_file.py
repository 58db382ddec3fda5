"""Where the keys come from: the setting, and beside a SQLite database a file that is made at the first start."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from infra.encryption.secret_box import is_key, new_key
from infra.settings import Settings
from pipeline.errors import InvalidRequest

log = logging.getLogger(__name__)

VARIABLE = "STENOPOOL_SECRETS_KEY"
FILE = "keys/secrets.key"  # not beside the database, which is copied more often than its key should be
OWNER_ONLY = 0o600
HOW = f"Make a key with `openssl rand -base64 32 | tr +/ -_` and set {VARIABLE} to it, the same for every process."
UNSET = f"Webhook secrets and the credentials of source URLs stand in the database in plain text. {HOW}"


def secret_keys(settings: Settings) -> tuple[str, ...]:
    """All keys, the newest first; empty where there are none. Raises InvalidRequest for what is no key.

    Beside SQLite the home's own key comes after those of the setting, and is made where there is none at all.
    """
    given = tuple(part for part in settings.secrets_key.replace(",", " ").split() if part)
    if not all(is_key(key) for key in given):
        raise InvalidRequest(f"{VARIABLE}: each key is 32 random bytes in URL-safe base64. {HOW}", param=VARIABLE)
    if not settings.database.startswith("sqlite"):
        return given
    path = settings.home / FILE
    if not given and not path.exists():
        make_key_file(path)
    return (*given, *_keys_in(path))


def make_key_file(path: Path) -> None:
    """A file with a new key that its owner alone can read; of several processes at once, one makes it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600 from the beginning
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{new_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)  # whole or not at all, and never over another one
            log.info("made the key that seals secrets: %s; a backup of the database needs it", path)
    finally:
        Path(name).unlink(missing_ok=True)


def _keys_in(path: Path) -> tuple[str, ...]:
    try:
        found = tuple(path.read_text("ascii").split())
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}", param=VARIABLE) from error
    if not all(is_key(key) for key in found):
        raise InvalidRequest(f"{path} holds something else than keys. {HOW}", param=VARIABLE)
    return found
