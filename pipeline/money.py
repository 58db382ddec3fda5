"""Sums of money at the edges: text and JSON numbers into integer micro-dollars, and back. Inside there is no other unit.

A binary float never takes part: 0.1 + 0.2 dollars must be 300,000 micro-dollars, and a sum typed by a person must be
booked as typed or refused.
"""

from __future__ import annotations

import re
from decimal import Decimal

from pipeline.errors import InvalidRequest

MICRO = 1_000_000  # micro-dollars in a dollar
PLACES = 6
MOST_USD = 1_000_000  # booked at once; more is a slip of the finger
_UNIT = Decimal(1).scaleb(-PLACES)
_RATIO = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_WRITTEN = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,20})?")


class AmountRefused(InvalidRequest):
    """This is no sum of money that can be booked."""

    code = "invalid_amount"


def micro_of(amount: str | int | Decimal, *, param: str = "amount_usd", signed: bool = False) -> int:
    """Micro-dollars of an amount in US dollars, exactly as written: positive, or anything but 0 where `signed`.

    Raises AmountRefused, naming `param`, for what is no plain number, has more than six places, or is above a million.
    """
    value = _decimal(amount, param)
    if value.copy_abs() > MOST_USD:  # abs() itself would overflow
        raise AmountRefused(f"{param}: at most {MOST_USD:,} USD at once.", param=param)
    booked = value.quantize(_UNIT)
    if booked != value:  # compared exactly, however many digits were sent
        raise AmountRefused(
            f"{param}: at most {PLACES} places after the point; a micro-dollar is the unit.", param=param
        )
    if booked == 0 or (booked < 0 and not signed):
        raise AmountRefused(f"{param}: must {'not be 0' if signed else 'be more than 0'}.", param=param)
    return int(booked.scaleb(PLACES))


def micro_or_zero(amount: str | int | Decimal | None, *, param: str = "amount_usd") -> int:
    """The same where 0, however it is written, is as good as no amount at all: 0 for both. Raises AmountRefused."""
    return 0 if amount is None or _decimal(amount, param) == 0 else micro_of(amount, param=param)


def ratio_of(text: str, *, param: str) -> Decimal:
    """An audio ratio as it is typed. Raises InvalidRequest for what is no plain number."""
    if not _RATIO.fullmatch(text):
        raise InvalidRequest(f"The ratio must be a plain number such as 1.5, not {text!r}.", param=param)
    return Decimal(text)


def _decimal(amount: str | int | Decimal, param: str) -> Decimal:
    if isinstance(amount, str) and not _WRITTEN.fullmatch(amount):
        raise AmountRefused(
            f"{param}: write an amount in US dollars as a plain number, such as 10 or 2.50.", param=param
        )
    value = Decimal(amount)
    if not value.is_finite():
        raise AmountRefused(f"{param}: must be a number.", param=param)
    return value


def usd(micro: int) -> float:
    """What a JSON document shows: the number in dollars that reads back as the same micro-dollars."""
    return micro / MICRO


def usd_text(micro: int) -> str:
    """Dollars for people and spreadsheets: exact, with two places at least. 1250 → "0.00125", 10,000,000 → "10.00"."""
    whole, rest = divmod(abs(micro), MICRO)
    places = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{whole}.{places}"
