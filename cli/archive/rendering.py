"""Outputs written from transcripts that are kept, so that another format needs no second hearing."""

from __future__ import annotations

import errno
from hashlib import sha256
from pathlib import Path

from cli.archive.journal import Journal, Row
from cli.archive.naming import target, told
from cli.archive.plan import Plan
from cli.atomic_output import write_whole
from infra.requests.usage_object import transcript_usage
from pipeline import formats
from pipeline.errors import InvalidRequest, StenopoolError
from pipeline.formats.base import RenderOptions
from pipeline.transcript import Transcript, transcript_from_json, transcript_to_json

GRANULARITIES = ("word", "segment")
_BLOCK = 1024 * 1024  # bytes
_NOTHING_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class OutputExists(StenopoolError):
    """A file that this command did not write stands where an output would go."""

    code = "output_exists"


class OutputRefused(StenopoolError):
    """One output cannot be written."""

    code = "output_refused"


class NothingWritable(StenopoolError):
    """Nothing can be written any more: the disk is full, or may only be read."""

    code = "nothing_writable"


class Keeper:
    """The kept transcripts of one report, and the outputs made of them."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan, self._journal = plan, journal

    def kept(self, key: str) -> Transcript | None:
        """What was heard, where it was kept whole."""
        try:
            return transcript_from_json(self._place(key).read_bytes())
        except (OSError, ValueError):
            return None

    def is_kept(self, key: str) -> bool:
        """Whether `kept` would find it."""
        return self._place(key).exists()

    def keep(self, key: str, transcript: Transcript) -> None:
        """Keep it, whole or not at all. Raises OutputRefused, NothingWritable."""
        _write(self._place(key), transcript_to_json(transcript), self._plan.parts)

    def missing(self, row: Row) -> list[str]:
        """The formats whose outputs are not there, or were made of other bytes. Raises NameRefused."""
        ours = {form: path for form, path, _, key in self._journal.outputs(row.name) if key == row.key}
        return [form for form in self._plan.formats if not self._is_there(row, form, ours.get(form))]

    def in_the_way(self, row: Row) -> OutputExists | None:
        """Somebody else's file where an output would go. Raises NameRefused."""
        paths = (target(self._plan, row, form) for form in self._plan.formats)
        return next((_exists(path) for path in paths if self._is_foreign(path)), None)

    def write(self, row: Row, transcript: Transcript) -> None:
        """The outputs that are missing. Raises NameRefused, OutputExists, OutputRefused, NothingWritable."""
        assert row.key is not None
        parts = self._plan.parts if self._plan.layout != "adjacent" else None
        for form in self._plan.formats if self._plan.force else self.missing(row):
            path, document = target(self._plan, row, form), _written(transcript, form)
            if self._is_foreign(path) and not _holds(path, document):
                raise _exists(path)
            digest = sha256(document).hexdigest()
            self._journal.plan_output(row.name, form, told(self._plan, path), digest, row.key)
            _write(path, document, parts)

    def _is_foreign(self, path: Path) -> bool:
        return not self._plan.force and path.exists() and not self._journal.is_ours(told(self._plan, path))

    def _is_there(self, row: Row, form: str, written: str | None) -> bool:
        path = target(self._plan, row, form)
        return written == told(self._plan, path) and path.exists()

    def _place(self, key: str) -> Path:
        return self._plan.report / "transcripts" / key[:2] / f"{key}.json"


def _exists(path: Path) -> OutputExists:
    return OutputExists(f"{path} is there and was not written by this command. Move it away, or use --force.")


def _holds(path: Path, document: bytes) -> bool:
    try:
        return path.stat().st_size == len(document) and path.read_bytes() == document
    except OSError:
        return False


def _write(path: Path, document: bytes, parts: Path | None) -> None:
    try:
        write_whole(path, [document], parts=parts)
    except InvalidRequest as error:
        full = isinstance(error.__cause__, OSError) and error.__cause__.errno in _NOTHING_WRITABLE
        raise (NothingWritable if full else OutputRefused)(error.message) from error


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _written(transcript: Transcript, form: str) -> bytes:
    usage = {"usage": transcript_usage(transcript, form)}
    return formats.load(form).render(transcript, RenderOptions(granularities=GRANULARITIES, extra=usage)).encode()
