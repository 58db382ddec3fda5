"""Written English as it is said, where the rules of the eSpeak library read it badly."""

from __future__ import annotations

import re

_ABBREVIATIONS = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missis",
    "Ms": "Miz",
    "Mt": "Mount",
    "Prof": "Professor",
    "i.e": "that is",
    "vs": "versus",
}
_ABBREVIATED = re.compile(rf"\b({'|'.join(map(re.escape, _ABBREVIATIONS))})\.(?=,?\s+\w)")
_NUMBERED = re.compile(r"\b(?:No|Nr)\.(?=\s*\d)")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[\x00-\x1f\x7f]+"), " "),
    (re.compile(r"\b(?:https?|ftp)://(?:www\.)?", re.IGNORECASE), ""),
    (re.compile(r"(?<=\w)/(?=[\s.,;:!?]|$)"), ""),  # the slash that ends an address
    (re.compile(r"\b([A-Z])\.(?=\s+[A-Z])"), r"\1"),  # initials, which end no clause
    (re.compile(r"\bSt\.(?=\s+[A-Z])"), "St"),
    (re.compile(r"\$(\d[\d,]*)\.(\d\d)\b"), r"\1 dollars \2"),
    (re.compile(r"\$(\d[\d,]*(?:\.\d+)?)( (?:hundred|thousand|million|billion|trillion))?"), r"\1\2 dollars"),
    (re.compile(r"\s+(?:--+|-)\s+"), " — "),
)


def spoken_form(text: str) -> str:
    """The same in words: addresses without their scheme, abbreviations and initials without full stops, sums of dollars."""
    text = _ABBREVIATED.sub(lambda found: _ABBREVIATIONS[found[1]], _NUMBERED.sub("number", text))
    for pattern, said in _RULES:
        text = pattern.sub(said, text)
    return text.strip()
