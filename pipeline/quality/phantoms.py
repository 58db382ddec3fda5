"""Phrases that recognisers are known to invent over music, ring tones and noise.

Whisper and its kin learned from subtitles, and where nobody speaks they write what stands in subtitles there: who made them,
thanks for watching, the name of a sound. Credits and names of sounds are nobody's words wherever they stand. The rest people do
say, at the end of a video: so it counts only where it is all that was heard in a chunk. The phrases are those that users of these
models report most often; "Thank you." and "Bye.", which head every such list, are too common to be held against anybody.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pipeline.text.word_match import normal
from pipeline.transcript import Segment

_CREDITS = re.compile(
    r".*(?:amara\.org|dimatorzok|castingwords)"
    r"|(?:sub|cap)ti(?:tl|on)(?:es|ed|s)? by\b|untertitel(?:ung)? (?:von|der|des|im)\b"
    r"|sous-titr(?:es|age) (?:r[ée]alis|fait|st'? ?501|soci[ée]t[ée] radio-canada)|ondertitel(?:s|ing) (?:ingediend|door)\b"
    r"|sottotitoli (?:creati|e revisione|a cura)\b|subt[ií]tulos (?:realizados|por)\b|legendas (?:pela|por)\b"
    r"|napisy (?:stworzone|wykonane)\b|субтитры (?:сделал|созда|подогнал|делал)|редактор субтитров|字幕(?:by|由|志愿者|製作)"
    r"|titulky (?:vytvoř|přeložil|preložil)|subtitr(?:area|are|at) (?:de|realizat)|felirat(?:ok|ozta|ot) (?:készít|a )"
    r"|under(?:tekster|texter) (?:av|från)\b|(?:danske )?tekst(?:er|ing|et) (?:av|af)\b|textning\b|υπότιτλοι (?:από|authorwave)"
    r"|한글\s?자막\b|자막\s?(?:제공|by)|altyaz[\u0131i]\b|çeviri ve altyaz\u0131|ترجمة نانسي|תרגום וכתוביות|phụ đề (?:bởi|được)"
)
_LONGEST_CREDIT = 100  # characters
_SOUND = re.compile(r"(?:[\[(*\uff08【][^\])*\uff09】]*[\])*\uff09】]|[♪♫♬♩🎵🎶\s.,!…-])+")  # also in Chinese brackets
_FAREWELLS = Path(__file__).with_name("farewells.toml")  # language: phrases
_PARTS = re.compile("[.,;!?…\n\u3001\u3002\uff01\uff0c\uff1f]+")  # also between Chinese clauses
_ALONGSIDE = frozenset(
    [
        "bye",
        "byebye",
        "thankyou",
        "thanks",
        "tschüss",
        "danke",
        "merci",
        "gracias",
        "grazie",
        "obrigado",
        "ciao",
        "пока",
        "спасибо",
    ]
)  # with a farewell; by themselves people say these
_LONGEST_FAREWELL = 120  # characters, with all marks


def phantoms(segments: Sequence[Segment]) -> list[bool]:
    """Of each of a chunk's segments, whether nobody can be believed to have said it."""
    nobody_s = [_nobody_s(segment.text) for segment in segments]
    known = [one or _farewell(segment.text) for one, segment in zip(nobody_s, segments, strict=True)]
    return known if all(known) else nobody_s


def _farewell(text: str) -> bool:
    """The phrase as it is known, or several of them, one after the other."""
    if len(text) > _LONGEST_FAREWELL:
        return False
    parts = [normal(part) for part in _PARTS.split(text) if part.strip()]
    known = [part in _farewells() for part in parts]
    together = all(one or part in _ALONGSIDE for one, part in zip(known, parts, strict=True))
    return normal(text) in _farewells() or (any(known) and together)


@functools.cache
def _farewells() -> frozenset[str]:
    by_language: dict[str, list[str]] = tomllib.loads(_FAREWELLS.read_text("utf-8"))
    return frozenset(normal(phrase) for phrases in by_language.values() for phrase in phrases)


def _nobody_s(text: str) -> bool:
    credit = len(text) <= _LONGEST_CREDIT and _CREDITS.match(text.casefold())
    return bool(credit or _SOUND.fullmatch(text))
