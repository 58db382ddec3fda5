"""Which names are taken, by patterns as rclone has them: `*` within a folder, `**` through folders, `/` first for the top."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from wcmatch import glob

from infra.buckets.selection import MEDIA
from pipeline.errors import InvalidRequest

TEMPORARY = (".part", ".tmp", ".crdownload", "~")
_FLAGS = glob.GLOBSTAR | glob.BRACE | glob.FORCEUNIX | glob.CASE


class Selection:
    """What `--include` and `--exclude` say. Without `include`, what is called like a recording; hidden and temporary names only
    where a pattern of `include` names them so."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """Raises InvalidRequest for a pattern that is none."""
        self._include = [_compiled(pattern) for pattern in include]
        self._exclude = [_compiled(pattern, hidden=True) for pattern in exclude]
        self._temporary = tuple(end for end in TEMPORARY if not any(one.rstrip("*").endswith(end) for one in include))

    def takes(self, name: str) -> bool:
        """Whether a file of this path below its source is one of those that are meant."""
        if self.leaves_out(name) or name.lower().endswith(self._temporary):
            return False
        if self._include:
            return _any(self._include, name)
        hidden = any(part.startswith(".") for part in name.split("/"))
        return not hidden and PurePosixPath(name).suffix.lower().removeprefix(".") in MEDIA

    def leaves_out(self, name: str) -> bool:
        """Whether it is excluded, also where it was named by itself."""
        return _any(self._exclude, name)


def _any(patterns: Iterable[re.Pattern[str]], name: str) -> bool:
    return any(pattern.match(name) for pattern in patterns)


def _compiled(pattern: str, *, hidden: bool = False) -> re.Pattern[str]:
    anchored, below = pattern.startswith("/"), pattern.strip("/")
    if not below:
        raise InvalidRequest(
            f"{pattern!r} is no pattern. Write one such as '*.mp3' or '/interviews/**'.", param="include"
        )
    inner = "/".join(part if part == "**" else part.replace("**", "*{,/**/}*") for part in below.split("/"))
    whole = inner + ("/**" if pattern.endswith("/") else "")
    flags = _FLAGS | (glob.DOTGLOB if hidden else 0)
    found, _ = glob.translate(whole if anchored else f"**/{whole}", flags=flags)
    return re.compile("|".join(f"(?:{_as_text(one)})" for one in found))


def _as_text(pattern: str | bytes) -> str:
    return pattern if isinstance(pattern, str) else pattern.decode()
