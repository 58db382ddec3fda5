"""Figures as one says them: sums of money, dates, times of the day, years, telephone numbers, measures.

A number by itself is left to the eSpeak library, which counts well but knows no years: 1984 is "19 84" here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTH = {name[:3]: name for name in _MONTHS} | {"Sept": "September"}
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_DAY = {name[:3]: name for name in _DAYS} | {"Tues": "Tuesday", "Thur": "Thursday", "Thurs": "Thursday"}
_TENS = "", "tens", "twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties"
_CURRENCIES = {
    "$": ("dollar", "dollars", "cents"),
    "£": ("pound", "pounds", "pence"),
    "€": ("euro", "euros", "cents"),
    "¥": ("yen", "yen", "sen"),
}
_SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion", "B": "billion"}
_UNITS = {
    "km/h": "kilometers per hour",
    "m/s": "meters per second",
    "mph": "miles per hour",
    "°C": "degrees Celsius",
    "°F": "degrees Fahrenheit",
    "°": "degrees",
    "km": "kilometers",
    "cm": "centimeters",
    "mm": "millimeters",
    "kg": "kilograms",
    "mg": "milligrams",
    "ml": "milliliters",
    "lbs": "pounds",
    "lb": "pounds",
    "oz": "ounces",
    "ft": "feet",
    "GHz": "gigahertz",
    "MHz": "megahertz",
    "kHz": "kilohertz",
    "Hz": "hertz",
    "kWh": "kilowatt hours",
    "kW": "kilowatts",
    "TB": "terabytes",
    "GB": "gigabytes",
    "MB": "megabytes",
    "KB": "kilobytes",
    "kB": "kilobytes",
}
_FRACTIONS = {
    "1/2": "one half",
    "1/3": "one third",
    "2/3": "two thirds",
    "1/4": "one quarter",
    "3/4": "three quarters",
    "24/7": "24 7",
}
_GLYPHS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
_ALREADY_SEVERAL = re.compile(r"\d(?:½|⅓|⅔|¼|¾)")

_ENDINGS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
_LAST_DAY, _DIGITS_OF_CENTS = 31, 2
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_SIGN = "[$£€¥]"


def _money(found: re.Match[str]) -> str:
    one, several, parts = _CURRENCIES[found["sign"]]
    amount, scale = found["amount"], found["scale"]
    if scale:
        return f"{amount} {_SCALES.get(scale, scale)} {several}"
    whole, _, rest = amount.partition(".")
    if len(rest) != _DIGITS_OF_CENTS:
        return f"{amount} {one if amount == '1' else several}"
    told = f"{whole} {one if whole == '1' else several}"
    if rest == "00":
        return told
    return f"{int(rest)} {parts}" if whole == "0" else f"{told} and {int(rest)} {parts}"


def ordinal(number: int) -> str:
    """1st, 2nd: of the numbers that days and kings have."""
    return f"{number}{_ENDINGS.get(number, 'th')}"


def _date(month: int, day: int, year: str, whole: str) -> str:
    fits = 0 < month <= len(_MONTHS) and 0 < day <= _LAST_DAY
    return f"{_MONTHS[month - 1]} {ordinal(day)}, {year}" if fits else whole


def _slashed(found: re.Match[str]) -> str:
    """Month first, as Americans write it, unless that cannot be."""
    one, other = int(found[1]), int(found[2])
    month, day = (one, other) if one <= len(_MONTHS) else (other, one)
    return _date(month, day, found[3], found[0])


def _clock(found: re.Match[str]) -> str:
    hour, minute, half = found[1], found[2], found[3]
    told = f"{int(hour)} oh {int(minute)}" if minute < "10" else f"{int(hour)} {minute}"
    if minute == "00":
        told = f"{int(hour)}" if half else f"{int(hour)} o'clock"
    return told


def _half(found: re.Match[str]) -> str:
    """Of the day; "A" by itself would be taken for the article."""
    half = "ay M" if found[1] in "aA" else "P M"
    return f" {half}" + ("" if found["end"] is None else ".")


def _year(found: re.Match[str]) -> str:
    century, rest = found[1], found[2]
    if rest == "00":
        return f"{century} hundred"
    return f"{century} oh {rest[1]}" if rest[0] == "0" else f"{century} {rest}"


def _decade(found: re.Match[str]) -> str:
    return f"{found[1]} {_TENS[int(found[2])]}"


def _digits(found: re.Match[str]) -> str:
    groups = re.findall(r"\d+", found[0])
    return ", ".join(" ".join(group) for group in groups)


def _mixed(found: re.Match[str]) -> str:
    return f"{found[0][0]} and {_GLYPHS[found[0][1]]}"


_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_ALREADY_SEVERAL, _mixed),
    (re.compile("[½⅓⅔¼¾]"), lambda found: _GLYPHS[found[0]]),
    (re.compile(r"\b(?:US|CA|AU|C|A)(?=\$\d)"), ""),
    (
        re.compile(
            rf"(?P<sign>{_SIGN})\s?(?P<amount>{_NUMBER})"
            r"(?:\s?(?P<scale>(?:k|K|m|M|bn|B)\b|hundred\b|thousand\b|million\b|billion\b|trillion\b))?"
        ),
        _money,
    ),
    (re.compile(rf"(?<![\w.,])(?P<amount>{_NUMBER})(?P<scale>)\s?(?P<sign>{_SIGN})"), _money),
    (
        re.compile(r"(?<![\w-])(?:\+?\d{1,3}[ -])?(?:\(\d{3}\)\s?|\d{3}[ -])?\d{3}-\d{4}(?![\w-])"),
        _digits,
    ),
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b"), lambda found: _date(int(found[2]), int(found[3]), found[1], found[0])),
    (re.compile(r"(?<![\d/])(\d\d?)/(\d\d?)/(\d{4})(?![\d/])"), _slashed),
    (
        re.compile(rf"\b({'|'.join(_DAY)})\b\.?(?=,?\s+(?:\d|{'|'.join(_MONTHS)}|{'|'.join(_MONTH)}))"),
        lambda found: _DAY[found[1]],
    ),
    (re.compile(rf"\b({'|'.join(_MONTH)})\b\.?(?=\s+\d)"), lambda found: _MONTH[found[1]]),
    (re.compile(rf"(?<=\d )({'|'.join(_MONTH)})\b(?:\.(?!\s+[A-Z]|\s*$))?"), lambda found: _MONTH[found[1]]),
    (
        re.compile(rf"\b({'|'.join(_MONTHS)}) ([12]?\d|3[01])\b(?!\d|[:./,-]\d)"),
        lambda found: f"{found[1]} {ordinal(int(found[2]))}",
    ),
    (re.compile(rf"\b([12]?\d|3[01]) ({'|'.join(_MONTHS)})\b"), lambda found: f"{ordinal(int(found[1]))} {found[2]}"),
    (re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)(?::00)?\b(?=(\s?[ap]\.?m\b)?)", re.IGNORECASE), _clock),
    (re.compile(r"(?<=\d)\s?([aApP])\.?[mM]\b\.?(?=(?P<end>\s+[A-Z]|\s*$)?)"), _half),
    (re.compile(r"(?<![\w.,/-])(1[1-9]|20)([1-9])0s\b"), _decade),
    (re.compile(r"(?<![\w.,/-])(1[1-9])00s\b"), r"\1 hundreds"),
    (re.compile(r"(?<![\w.,/-])(\d{1,4})\s?[-–]\s?(\d{1,4})(?![\w/-]|[.,]\d)"), r"\1 to \2"),
    (re.compile(r"(?<=\d) (?=(?:1/2|1/3|2/3|1/4|3/4)(?![\w/]))"), " and "),
    (
        re.compile(r"(?<![\w.,/-])(" + "|".join(map(re.escape, _FRACTIONS)) + r")(?![\w/]|[.,]\d)"),
        lambda found: _FRACTIONS[found[1]],
    ),
    (
        re.compile(r"(?<=\d)\s?(" + "|".join(map(re.escape, _UNITS)) + r")(?![\w/°])"),
        lambda found: f" {_UNITS[found[1]]}",
    ),
    (re.compile(r"(?<![\w.])[-−](?=\d)"), "minus "),
    (re.compile(r"(?<![\w.,/-])(1[1-9])(\d\d)(?![\w/-]|[.,]\d)"), _year),
    (re.compile(r"(?<![\w.,/-])(20)([1-9]\d)(?![\w/-]|[.,]\d)"), _year),
    (re.compile(r"#(?=\d)"), "number "),
)


def said_numbers(text: str) -> str:
    """The same text with its figures ready to be counted out."""
    for pattern, said in _RULES:
        text = pattern.sub(said, text)
    return text
