"""CSV for spreadsheets: RFC 4180, UTF-8, and no cell that a spreadsheet would run as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

# A text that begins like this is a formula to a spreadsheet; names and notes come from strangers.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
QUOTE = "'"  # what a spreadsheet shows as text whatever follows


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """The rows as text, each line ended by CRLF. Numbers are written as they are, None as nothing."""
    held = io.StringIO()
    csv.writer(held).writerows([_cell(value) for value in row] for row in rows)
    return held.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.replace("\0", "").encode("utf-8", errors="replace").decode()
    return QUOTE + text if text.lstrip(" ").startswith(_FORMULA) else text
