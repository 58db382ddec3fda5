"""Which fields a transcription request has: everything the caller asked for that the model takes, and nothing that it refuses."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from pipeline.openai_api.client import Config
from pipeline.options import TranscriptionOptions

Fields = dict[str, str | list[str]]
_STRATEGY_NEEDED = 30_000  # ms; a diarizing model refuses longer sound without a chunking strategy


class Abilities:
    """What one model of a server can: by the settings, and by what it has refused so far."""

    def __init__(self, config: Config, model: str) -> None:
        self.refused: set[str] = set()
        self.timed = False  # it has answered with times before
        self._diarizes = _matches(config.diarizes, model)
        self._text_only = _matches(config.text_only, model)
        self._hints = _matches(config.keywords, model)
        self._logprobs = _matches(config.logprobs, model)

    def without(self, parameter: str) -> Abilities:
        """The same model, as if it had refused this one, too."""
        view = copy.copy(self)
        view.refused = {*self.refused, parameter}
        return view

    @property
    def diarizes(self) -> bool:
        """Whether it tells who speaks; it then takes neither a prompt nor anything about words."""
        return self._diarizes and "response_format" not in self.refused

    @property
    def plain(self) -> bool:
        """Whether it answers with text without times."""
        return not self.diarizes and (self._text_only or "response_format" in self.refused)

    def takes(self, parameter: str) -> bool:
        """Whether one of the parameters that only some models know can be sent."""
        return parameter not in self.refused and _ABLE.get(parameter, _always)(self)


def _always(_: Abilities) -> bool:
    return True


_ABLE: Mapping[str, Callable[[Abilities], bool]] = {
    "timestamp_granularities": lambda its: not its.plain and not its.diarizes,
    "include": lambda its: its._logprobs and not its._diarizes,
    "keywords": lambda its: its._hints,
    "languages": lambda its: its._hints,
    "language": lambda its: not its.takes("languages"),
    "chunking_strategy": lambda its: its._diarizes or its._text_only,
    "prompt": lambda its: not its._diarizes,
    "known_speaker_names": lambda its: its.diarizes,
}


def fields(options: TranscriptionOptions, model: str, duration: int, abilities: Abilities) -> Fields:
    """The form's fields but the file; `duration` of the sound in ms. Lists and objects are written as the SDKs write them."""
    shape = "diarized_json" if abilities.diarizes else "json" if abilities.plain else "verbose_json"
    data: Fields = {"model": model, "response_format": shape}
    if options.temperature and abilities.takes("temperature"):
        data["temperature"] = str(options.temperature)
    prompt = _prompt(options, abilities)
    if prompt and abilities.takes("prompt"):
        data["prompt"] = prompt
    return data if options.task == "translation" else data | _transcription(options, duration, abilities)


def _transcription(options: TranscriptionOptions, duration: int, abilities: Abilities) -> Fields:
    """What translations do not have."""
    data: Fields = {}
    languages = (options.language,) if options.language else options.languages
    if len(languages) == 1 and abilities.takes("language"):
        data["language"] = languages[0]
    lists = {
        "timestamp_granularities": ("word", "segment"),
        "include": options.include,
        "languages": languages,
        "keywords": options.keywords,
        "known_speaker_names": options.known_speaker_names,
    }
    data |= {f"{name}[]": list(values) for name, values in lists.items() if values and abilities.takes(name)}
    references = options.known_speaker_references if abilities.takes("known_speaker_references") else ()
    if "known_speaker_names[]" in data and references:
        data["known_speaker_references[]"] = list(references)
    return data | (_strategy(options, duration, abilities) if abilities.takes("chunking_strategy") else {})


def _strategy(options: TranscriptionOptions, duration: int, abilities: Abilities) -> Fields:
    given = options.chunking_strategy
    if given is None and abilities.diarizes and duration > _STRATEGY_NEEDED:
        given = "auto"
    if given is None or given == "auto":
        return {"chunking_strategy": given} if given else {}
    return {f"chunking_strategy[{name}]": str(value) for name, value in given.model_dump().items()}


def _prompt(options: TranscriptionOptions, abilities: Abilities) -> str:
    """The caller's; where a model takes no keywords, a prompt that has them in it makes it spell them the same way."""
    hints = () if abilities.takes("keywords") else options.keywords
    return "\n".join(part for part in (options.prompt, ", ".join(hints)) if part)


def _matches(patterns: Iterable[str], model: str) -> bool:
    """By the whole name, or by what stands behind a `vendor/`."""
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in (model, posixpath.basename(model)))
