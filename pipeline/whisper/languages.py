"""In which language a window is heard: the one that is told, else the likeliest, unless the recording's own is about as likely."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.options import TranscriptionOptions

_OURS = {"jw": "jv"}  # Whisper's codes that are not ISO 639's
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
_SURE = 0.8  # likelihood of another language than the recording's; a window of music is in any language by half


def ours(code: str) -> str:
    """Whisper's code as ISO 639 has it."""
    return _OURS.get(code, code)


def theirs(code: str | None) -> str | None:
    """An ISO 639 code as Whisper has it."""
    return None if code is None else _THEIRS.get(code, code)


class LanguageChoice:
    """What a caller has told of the languages. Codes are Whisper's."""

    def __init__(self, options: TranscriptionOptions, *, multilingual: bool) -> None:
        asked = theirs(options.language)
        self._likely = asked if options.pinned else None
        self._among = frozenset(_THEIRS.get(code, code) for code in options.languages)
        self.told = asked if asked and not options.pinned else None if multilingual else "en"

    @property
    def expected(self) -> str:
        """What it will be, most of the time."""
        return self.told or self._likely or "en"

    def best(self, likely: Sequence[tuple[str, float]]) -> str:
        """Of languages with their likelihoods, the likeliest first."""
        among = [(code, chance) for code, chance in likely if code in self._among] or list(likely)
        code, chance = among[0]
        return code if chance >= _SURE or not self._likely else self._likely
