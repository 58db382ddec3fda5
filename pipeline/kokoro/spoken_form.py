"""Written English as it is said, where the rules of the eSpeak library read it badly."""

from __future__ import annotations

import re
from collections.abc import Callable

from pipeline.kokoro.said_addresses import said_addresses
from pipeline.kokoro.said_numbers import ordinal, said_numbers
from pipeline.text.text_splitter import STARTS_SENTENCE

_BEFORE_A_WORD = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missis",
    "Ms": "Miz",
    "Mt": "Mount",
    "Prof": "Professor",
    "Rev": "Reverend",
    "Gen": "General",
    "Sen": "Senator",
    "Gov": "Governor",
    "Lt": "Lieutenant",
    "Capt": "Captain",
    "Sgt": "Sergeant",
    "St": "Saint",
    "i.e": "that is",
    "e.g": "for example",
    "vs": "versus",
    "approx": "approximately",
    "cf": "compare",
}
_ANYWHERE = {
    "etc": "et cetera",
    "Ltd": "Limited",
    "Inc": "Incorporated",
    "Corp": "Corporation",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Jr": "Junior",
    "Sr": "Senior",
    "dept": "department",
    "Dept": "Department",
    "ext": "extension",
    "min": "minutes",
    "max": "maximum",
    "est": "established",
}
_BEFORE_A_NUMBER = {
    "No": "number",
    "Nr": "number",
    "Fig": "figure",
    "fig": "figure",
    "Vol": "volume",
    "vol": "volume",
    "pp": "pages",
    "p": "page",
    "Ch": "chapter",
    "ch": "chapter",
    "Sec": "section",
    "Eq": "equation",
}
_ROMAN = [
    "I",
    "II",
    "III",
    "IV",
    "V",
    "VI",
    "VII",
    "VIII",
    "IX",
    "X",
    "XI",
    "XII",
    "XIII",
    "XIV",
    "XV",
    "XVI",
    "XVII",
    "XVIII",
    "XIX",
    "XX",
    "XXI",
]
_COUNTED = "Chapter|Part|Volume|Act|Scene|Book|Section|Phase|Level|Type|War|Bowl|Title|Appendix|Apollo|Rocky"
_CROWNED = (
    "Henry|Louis|Charles|George|Edward|William|James|Elizabeth|Richard|Philip|Napoleon|Frederick|Catherine|Nicholas|Alexander|"
    "Paul|Benedict|Pius|Leo|Gregory|Innocent|Clement|Francis|Peter|Ivan|Ferdinand|Otto|Haakon|Harald|Juan Carlos|Alfonso|Ramses"
)
_NUMERAL = r"(?:X{0,2}(?:IX|IV|V?I{0,3}))\b(?<=[IVX])"


def _any(words: dict[str, str]) -> str:
    return "|".join(map(re.escape, words))


def _spelled(found: re.Match[str]) -> str:
    """Letters with full stops between them, one by one; with one behind where a sentence may end."""
    letters = found[0].replace(".", " ").split()
    return " ".join(letters) + ("" if found["end"] is None else ".")


def _crowned(found: re.Match[str]) -> str:
    return f"{found[1]} the {ordinal(_ROMAN.index(found[2]) + 1)}"


Said = str | Callable[[re.Match[str]], str]
_RULES: tuple[tuple[re.Pattern[str], Said], ...] = (
    (re.compile(r"\bPh\.?D\b\.?(?=(?P<end>\s*$)?)"), lambda found: "P H D" + ("." if found["end"] is not None else "")),
    (re.compile(r"\b([A-Z]\w+|\d+(?:st|nd|rd|th)) St\."), r"\1 Street"),
    (re.compile(r"\b([A-Z]\w+|\d+(?:st|nd|rd|th)) Dr\.(?=\s*$|,|\s+[a-z\d])"), r"\1 Drive"),
    (re.compile(rf"\b({_any(_BEFORE_A_NUMBER)})\.(?=\s*\d)"), lambda found: _BEFORE_A_NUMBER[found[1]]),
    (re.compile(rf"\b({_any(_BEFORE_A_WORD)})\.(?=,?\s+\w)"), lambda found: _BEFORE_A_WORD[found[1]]),
    (re.compile(rf"\b({_any(_ANYWHERE)})\.(?=\s+[A-Z]|\s*$)"), lambda found: _ANYWHERE[found[1]] + "."),
    (re.compile(rf"\b({_any(_ANYWHERE)})\.(?=\W)"), lambda found: _ANYWHERE[found[1]]),
    (re.compile(rf"\b(?:[A-Z]\.\s?)+[A-Z]\.(?=(?P<end>\s*$|\s+{STARTS_SENTENCE})?)"), _spelled),
    (re.compile(r"\b([A-Z])\.(?=\s+[A-Z])"), r"\1"),  # an initial, which ends no clause
    (re.compile(rf"\b({_CROWNED}) ({_NUMERAL})(?!\.?\w)"), _crowned),
    (re.compile(rf"\b({_COUNTED}) ({_NUMERAL})(?!\.?\w)"), lambda found: f"{found[1]} {_ROMAN.index(found[2]) + 1}"),
    (re.compile(r"(?<!\bMc)(?<=[a-z])(?=[A-Z])"), " "),  # YouTube
    (re.compile(r"(?<=\w)\s?&\s?(?=\w)"), " and "),
    (re.compile(r"\s+(?:--+|-)\s+"), " — "),
    (re.compile(r"[*_`~|<>\\^]+"), " "),  # what marks up a text
)


def spoken_form(text: str) -> str:
    """The same in words: addresses read out, abbreviations and initials without full stops, figures as one says them."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    text = said_numbers(said_addresses(text))
    for pattern, said in _RULES:
        text = pattern.sub(said, text)
    return " ".join(text.split())
