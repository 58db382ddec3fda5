"""JSON from outside into values: counted before anything is made of it, and nothing in it that no database could keep.

Each of 4,000,000 empty lists in 8 MB becomes an object; making them holds up everybody in the process for seconds. A look at the
brackets and commas tells in milliseconds how many elements there would be.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from pipeline.errors import InvalidRequest

MOST_ELEMENTS = 10_000  # of all lists and objects together: the longest list that we take has a thousand
MOST_DIGITS = sys.get_int_max_str_digits()
SPOKEN = ("text", "input")  # people paste anything
DEEPEST = 32  # lists and objects within each other
# A string that does not end goes to the end of the text, so that there is one pass only.
_TOKEN = re.compile(rb'"(?:[^"\\]++|(?:\\.)++)*+"?|[\[\]{},]', re.DOTALL)
_SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")  # rare, and looked at closely then


class TooManyElements(InvalidRequest):
    """The JSON has too many elements, or they are nested too deeply."""

    code = "json_too_complex"


def parsed(content: bytes, *, number: Any = float) -> Any:
    """`content` as JSON; `number` makes fractions of their digits: Decimal where they are money.

    Raises TooManyElements; InvalidRequest for what is no JSON, and for a text with half a character or a NUL in it.
    """
    _count(content)
    try:
        value = json.loads(content.decode("utf-8-sig"), parse_float=number, parse_constant=_no_number)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest("This is not valid JSON.") from error
    except (ValueError, ArithmeticError) as error:  # the last: no Decimal has such an exponent
        raise InvalidRequest(f"A number in the JSON is not finite, or has more than {MOST_DIGITS} digits.") from error
    if _SUSPECT.search(content):
        _check_sayable(value)
    return value


def refuse_nul(text: str, param: str) -> None:
    """Raises InvalidRequest for the one character that PostgreSQL keeps in no text; what is only spoken is kept in no row."""
    if "\0" in text and param not in SPOKEN:
        raise InvalidRequest(f"{param}: a text may not contain the character NUL (U+0000). Leave it out.", param=param)


def _no_number(written: str) -> Any:
    raise ValueError(written)  # NaN, Infinity: no JSON, whatever Python says


def _count(content: bytes) -> None:
    """Commas and brackets within strings count only where there are too many with them."""
    opened = content.count(b"[") + content.count(b"{")
    if opened <= DEEPEST and opened + content.count(b",") <= MOST_ELEMENTS:
        return
    elements = depth = 0
    for found in _TOKEN.finditer(content):
        sign = content[found.start()]
        if sign == ord('"'):
            continue
        if sign in b"[{":
            depth += 1
        elif sign in b"]}":
            depth -= 1
        elements += sign not in b"]}"
        _check_bounds(elements, depth)


def _check_bounds(elements: int, depth: int) -> None:
    if elements > MOST_ELEMENTS:
        raise TooManyElements(f"The JSON has more than {MOST_ELEMENTS} elements in its lists and objects.")
    if depth > DEEPEST:
        raise TooManyElements(f"The JSON is nested more than {DEEPEST} levels deep.")


def _check_sayable(value: Any, place: str = "") -> None:
    """Raises InvalidRequest for NUL, and for half of a pair such as \\ud83d\\ude00: what is left where a text was cut by its
    UTF-16 units."""
    if isinstance(value, str):
        refuse_nul(value, place or "body")
        _refuse_half(value, place)
    elif isinstance(value, list):
        for one in value:
            _check_sayable(one, place)
    elif isinstance(value, dict):
        for name, one in value.items():
            _check_sayable(name, place)
            _check_sayable(one, f"{place}.{name[:64]}".lstrip("."))


def _refuse_half(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        told = "A text ends or begins with half a character: one \\ud800 … \\udfff without its partner."
        raise InvalidRequest(told, param=place or None) from error
