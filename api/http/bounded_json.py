"""JSON of bounded bytes and of bounded elements: eight megabytes of `[]` take seconds to build, and longer to look through."""

from __future__ import annotations

import json
import re
from typing import Any

MOST_ELEMENTS = 20_000  # of lists and objects, and those themselves: some ms
_TEXT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)  # one without an end takes all the rest
TOO_MANY = f"The JSON has more than {MOST_ELEMENTS} elements."


class TooManyElements(ValueError):
    """It is not looked at."""


def load(content: str | bytes | bytearray, *, number: Any = float) -> Any:
    """What the JSON says; `number` makes fractions of their digits. Raises TooManyElements, ValueError, RecursionError and
    ArithmeticError, the last where `number` is Decimal and none has such an exponent."""
    text = content if isinstance(content, str) else content.decode(json.detect_encoding(content), "surrogatepass")
    if _elements(text) > MOST_ELEMENTS and _elements(_TEXT.sub("", text)) > MOST_ELEMENTS:
        raise TooManyElements(TOO_MANY)
    return json.loads(text, parse_float=number)


def _elements(text: str) -> int:
    """At most so many are in it: each begins a list or an object, or follows a comma."""
    return text.count("[") + text.count("{") + text.count(",")
