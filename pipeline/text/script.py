"""Which language a text is in, as far as its letters tell by themselves."""

from __future__ import annotations

import unicodedata
from collections import Counter

_LANGUAGES = {
    "ARABIC": "ar",
    "ARMENIAN": "hy",
    "BENGALI": "bn",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "DEVANAGARI": "hi",
    "ETHIOPIC": "am",
    "GEORGIAN": "ka",
    "GREEK": "el",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "HANGUL": "ko",
    "HEBREW": "he",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
}
_KANA = {"HIRAGANA", "KATAKANA"}  # Japanese, however many ideographs stand between
_NEIGHBOURS = {
    "ru": ("uk", "іїєґ"),
    "ar": ("fa", "پچژگ"),
}  # who shares the script, and the letters that tell them apart
_UNKNOWN = "und"


def language_by_letters(text: str) -> str:
    """An ISO 639 code, "und" for letters that are not known here; nothing for a text mostly in Latin letters, or in none."""
    letters = text.casefold()
    scripts = Counter(unicodedata.name(letter, "?").partition(" ")[0] for letter in letters if letter.isalpha())
    if 2 * scripts["LATIN"] >= scripts.total():
        return ""
    if _KANA & set(scripts):
        return "ja"
    language = _LANGUAGES.get(scripts.most_common(1)[0][0], _UNKNOWN)
    neighbour, own = _NEIGHBOURS.get(language, ("", ""))
    return neighbour if any(letter in letters for letter in own) else language
