"""Web and e-mail addresses as one reads them out."""

from __future__ import annotations

import re

_E_MAIL = re.compile(r"(?:mailto:)?\b([\w.+-]+)@((?:[\w-]+\.)+[a-zA-Z]{2,})\b")
_TOP = "com|org|net|edu|gov|mil|int|info|app|dev|ai|io|co|eu|uk|us|de|fr|ch|at|me|tv"
_WEB = re.compile(
    r"\b(?:(?:https?|ftp)://(?:www\.)?|www\.)([^\s<>\"'()]+)"
    rf"|\b((?:[A-Za-z0-9-]+\.)+(?:{_TOP})(?:/[^\s<>\"'()]*)?)(?![\w@])"
)
_ENDS_SENTENCE = re.compile(r"[/.,;:!?…]+$")
_MARKS = {
    ".": " dot ",
    "/": " slash ",
    "-": " dash ",
    "_": " underscore ",
    "?": " question mark ",
    "=": " equals ",
    "&": " and ",
    "#": " hash ",
    "%": " percent ",
    "~": " tilde ",
    "+": " plus ",
    ":": " colon ",
}
_MARK = re.compile("|".join(map(re.escape, _MARKS)))


def said_addresses(text: str) -> str:
    """Each mark of an address by its name; without the scheme and `www`, which nobody says."""
    return _WEB.sub(_web, _E_MAIL.sub(lambda found: f"{_named(found[1])} at {_named(found[2])}", text))


def _web(found: re.Match[str]) -> str:
    address = found[1] or found[2]
    end = _ENDS_SENTENCE.search(address)
    behind = end[0].lstrip("/") if end else ""
    return _named(address[: end.start()] if end else address) + behind


def _named(address: str) -> str:
    return " ".join(_MARK.sub(lambda found: _MARKS[found[0]], address).split())
