"""Which language a text is written in, where it can be proven not to be English.

The voices that speak English get whatever may be English: a headline, a name, a greeting. So nothing is found out by a single word
or by names alone, and the proof is a strong one. Who knows the language says so, and nothing is guessed.
"""

from __future__ import annotations

import functools
import re
import threading

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from pipeline.text.script import language_by_letters

# Those in Latin letters that are told apart well, and that the voices of eSpeak NG speak.
_TOLD_APART = [
    "ca",
    "cs",
    "da",
    "de",
    "en",
    "es",
    "et",
    "fi",
    "fr",
    "hr",
    "hu",
    "id",
    "it",
    "lt",
    "lv",
    "nl",
    "no",
    "pl",
    "pt",
    "ro",
    "sk",
    "sl",
    "sv",
    "tr",
    "vi",
]
_ENOUGH = 2000  # characters, in which a language is known for certain
_PROOF = 0.001  # probability of English below which it is another language
# Words of English alone: with one in ten of these no library need be asked, or loaded.
_ENGLISH = frozenset(
    [
        "the",
        "and",
        "you",
        "that",
        "with",
        "this",
        "have",
        "what",
        "from",
        "they",
        "would",
        "there",
        "your",
        "which",
        "their",
        "been",
        "could",
        "about",
        "because",
        "when",
        "who",
        "why",
        "how",
    ]
)
_ENGLISH_SHARE = 0.1
_FEW = 3  # words; below that nothing is proven
_SPANISH = re.compile("[¿¡]")
_WORD = re.compile(r"[^\W\d_]+")
_LOCK = threading.Lock()


def written_language(text: str) -> str:
    """An ISO 639 code, "und" for letters that are not known here; nothing for what may be English."""
    if by_letters := language_by_letters(text):
        return by_letters
    text = text[:_ENOUGH]
    words = _WORD.findall(text if not text.isupper() else text.lower())
    few = len(words) < _FEW and not _SPANISH.search(text)
    if few or not any(word.islower() and len(word) > 1 for word in words):
        return ""  # a greeting, names, words that English has borrowed
    if sum(word.lower() in _ENGLISH for word in words) >= _ENGLISH_SHARE * len(words):
        return ""
    with _LOCK:
        chances = dict(_identifier().rank(" ".join(text.split())))
    likely = max(chances, key=chances.__getitem__)
    return str(likely) if likely != "en" and chances["en"] < _PROOF else ""


@functools.cache
def _identifier() -> LanguageIdentifier:
    """Takes half a second and 80 MB: only for whoever writes in another language."""
    known = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known.set_languages(_TOLD_APART)
    return known
