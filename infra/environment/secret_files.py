"""Secrets by file: wherever a variable is a secret, the same name with `_FILE` behind it may name a file that holds it.

An environment is inherited, dumped and logged; a file has an owner and a mode. Docker, Kubernetes and systemd all hand secrets
over that way.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import InvalidRequest

SUFFIX = "_FILE"
MOST_BYTES = 65_536  # a file beyond that is some other file


def secret_value(environ: Mapping[str, str], variable: str) -> str:
    """What the variable says, or the file that it names; empty where neither is there.

    Raises InvalidRequest for both at once, and for a file that cannot be read or holds no secret.
    """
    by_file = by_file_name(variable)
    given, named = environ.get(variable, ""), environ.get(by_file, "")
    if given and named:
        raise InvalidRequest(f"{variable} and {by_file} are both set: keep one of them.", param=variable)
    return _read(by_file, Path(named)) if named else given


def by_file_name(variable: str) -> str:
    """The variable that names a file instead."""
    return variable + SUFFIX


def is_by_file(environ: Mapping[str, str], variable: str) -> bool:
    """Whether a file is named for it."""
    return bool(environ.get(by_file_name(variable)))


def _read(variable: str, path: Path) -> str:
    """Without the white space around it: editors and `echo` end a file with a line feed."""
    try:
        with path.open("rb") as file:
            secret = file.read(MOST_BYTES + 1)
        found = "" if len(secret) > MOST_BYTES else secret.decode().strip()
    except OSError as error:
        told = f"{variable}: {path} cannot be read: {error.strerror or error}."
        raise InvalidRequest(told, param=variable) from error
    except UnicodeDecodeError:
        found = ""
    if not found or not found.isprintable():
        told = f"{variable}: {path} holds no secret: one line of text is wanted, of at most {MOST_BYTES} bytes."
        raise InvalidRequest(told, param=variable)
    return found
