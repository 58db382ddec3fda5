"""What a database is told to be that a newer Stenopool has migrated; apart, so that a command that opens none loads no driver."""

from __future__ import annotations

from pipeline.errors import StenopoolError


class NewerSchema(StenopoolError):
    """A newer version of Stenopool has migrated the database."""

    code = "newer_schema"
