"""English text into the phonemes that the model has learned, by the rules and the dictionary of the eSpeak library.

The library gives IPA clause by clause and leaves the marks out; which one ends a clause, and so how the voice falls, is read off
the text that it has consumed. The model writes diphthongs and affricates with one letter each.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator

import espeakng_loader

from pipeline.errors import ProviderError
from pipeline.kokoro.spoken_form import spoken_form

_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000
_UTF8, _IPA = 1, 2
# The library has read one letter of the next clause when it says where it stands.
_CLAUSE_MARK = re.compile(r"([.,;:!?…—])[^\w]*\w?$")
_LANGUAGE_CHANGE = re.compile(r"\([a-z-]+\)")
_LETTERS = (
    ("ɜːɹ", "ɜɹ"),
    ("tʃ", "ʧ"),
    ("dʒ", "ʤ"),
    ("eɪ", "A"),
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("ɔɪ", "Y"),
    ("oʊ", "O"),
    ("əʊ", "Q"),
    ("ɚ", "əɹ"),
    ("ɜː", "ɜɹ"),
    ("ɾ", "T"),
    ("ɐ", "ə"),
    ("r", "ɹ"),
    ("ɹɹ", "ɹ"),
    ("ː", ""),
)


class Phonemizer:
    """Holds the library, which has one voice and one state for the whole process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._convert = self._library.espeak_TextToPhonemes
        self._convert.restype = ctypes.c_char_p
        self._convert.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int)
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DO_NOT_EXIT)
        if rate <= 0 or self._library.espeak_SetVoiceByName(b"en-us"):
            raise ProviderError(f"the eSpeak library could not be started ({rate})", provider="kokoro")

    def phonemes(self, text: str) -> str:
        """As American English; with the marks that end its clauses. Empty where nothing sounds."""
        ipa = _LANGUAGE_CHANGE.sub("", " ".join(self._clauses(spoken_form(text))))
        for theirs, ours in _LETTERS:
            ipa = ipa.replace(theirs, ours)
        return " ".join(ipa.split())

    def _clauses(self, text: str) -> Iterator[str]:
        raw = text.encode("utf-8", errors="replace")
        buffer = ctypes.create_string_buffer(raw)
        start = ctypes.addressof(buffer)
        place, before = ctypes.c_void_p(start), 0
        while place.value:
            said = (self._convert(ctypes.byref(place), _UTF8, _IPA) or b"").decode("utf-8", errors="replace")
            here = place.value - start if place.value else len(raw)
            mark = _CLAUSE_MARK.search(raw[before:here].decode("utf-8", errors="ignore"))
            before = here
            if said.strip():
                yield said.strip() + (mark[1] if mark else "")
