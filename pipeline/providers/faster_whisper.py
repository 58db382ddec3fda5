"""Whisper on this machine, on its processor or a graphics card, by faster-whisper and CTranslate2.

Settings in `[providers.<name>]`, with `kind = "faster_whisper"`:

    model               a folder with a converted model, or a name such as "small", "large-v3-turbo" or "owner/repository";
                        without it the name in each route counts
    device              "auto", "cpu" or "cuda"
    compute_type        "int8", "int8_float16", "float16", "default" (as the weights are), …; unless set, "int8" on a processor,
                        where it is two to three times as fast, and "default" on a graphics card
    cpu_threads         threads of one model on the processor; 0: as CTranslate2 likes
    batch_size          windows of 30 s that are decoded together; 0: 8 for the device "cuda", else 1, because on a processor four
                        together take but 3 to 10 % less of its time, and everybody else waits for all four
    beam_size           5
    download_root       where downloaded models lie
    local_files_only    true: nothing is ever downloaded
    remote              true: chunks are handed to the io workers, which are threads of one process and so share one model;
                        false: to the cpu workers. Unless set, true for the device "cuda"
    processes           models at once, each in a process of its own
    load_s, pace        seconds to wait for the model (and its download), and for each second of sound

The model lives in an engine process (pipeline/engines), loaded once and shared by all who hear on this machine. So the API and the
workers never load the library; a crash or a lack of memory in it costs one turn and not the server; a call that hangs can be ended;
and the features, which are computed in Python, hold up nobody's event loop.

A chunk is one window, or as many as are decoded together, cut in silence; each turn decodes them (pipeline/whisper), and but one
where others wait, so that a short clip is heard between two windows of an archive. The answers are stitched. What of the recording
is not heard at all was decided when it was cut into chunks: of a window only digital silence is left out here.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.cut.cutter import Chunk, CutProfile, Span, cut
from pipeline.engines.engine_placement import Engines
from pipeline.engines.engine_protocol import Engine, EngineSpec
from pipeline.errors import CatalogBroken
from pipeline.options import TranscriptionOptions
from pipeline.providers.base import Provider
from pipeline.stitch.stitcher import Stitcher
from pipeline.transcript import SAMPLE_RATE, Heard, Word, samples_to_ms
from pipeline.whisper.config import INSTALL, Config
from pipeline.whisper.languages import ours, theirs
from pipeline.whisper.second_tries import believed
from pipeline.whisper.window import ASKED, WINDOW, Window
from pipeline.whisper.word_edges import laid_on_speech
from pipeline.whisper_filter import segments

EAR = "pipeline.whisper.ear:Ear"
# A window costs what 30 s do, however long it is: the fuller the better.
_WINDOW = CutProfile(max_s=30.0, min_s=18.0, gated=False)
_LIVE = CutProfile(max_s=20.0, min_s=8.0, first_s=10.0)
_SHORTEST = SAMPLE_RATE // 10  # samples
_ALIGNING = 0.4  # of what hearing the same sound costs
# The makers of distil-whisper trained it on English only; its vocabulary, by which the library goes, has all languages.
_ENGLISH = re.compile(r".*\.en|(faster-)?distil-(whisper-)?large-v\d(\.\d)?(-ct2)?", re.IGNORECASE)


class FasterWhisper:
    """Hears a hundred languages, and translates them into English."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self.name = config.name
        self.local = config.device != "cuda" if config.remote is None else not config.remote
        longest = min(240.0, _WINDOW.max_s * config.together)
        self.profile = CutProfile(max_s=longest, min_s=max(_WINDOW.min_s, longest / 2))
        self.live_profile = _LIVE
        self._config = config
        self._engine = engine

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        """Sentences with words. Raises UnsupportedLanguage, EngineLost, ProviderBusy, ProviderError, and what stops the work."""
        wanted = self._config.model or model
        used, samples = Path(wanted).name, len(pcm) // 2
        if samples < _SHORTEST:
            return Heard(model_used=used)
        windows = list(_windows(pcm[: 2 * samples]))
        heard = self._heard([window.pcm for window in windows if window.pcm], options, wanted)
        if options.task == "translation":
            heard = [Window("en", window.found) for window in heard]
        return _stitched(windows, heard, samples_to_ms(samples), used)

    def _heard(self, sounds: Sequence[bytes], options: TranscriptionOptions, wanted: str) -> list[Window]:
        asked = options.model_dump(mode="json", include=set(ASKED), exclude_defaults=True)
        timeout = self._config.load_s + self._config.pace * _WINDOW.max_s
        costs = [len(sound) / 2 / SAMPLE_RATE for sound in sounds]
        firsts = self._engine.each(
            "hear", sounds, wanted, asked, together=self._config.together, timeout=timeout, costs=costs
        )

        def again(sound: bytes, cost: float, language: str, temperature: float) -> Window:
            given = (sound, wanted, asked, language, temperature)
            return WINDOW.validate_python(self._engine.call("again", *given, timeout=timeout, cost=cost))

        heard = list(map(WINDOW.validate_python, firsts))
        if options.temperature:  # who asks for chance gets it as it falls
            return heard
        return [
            believed(first, partial(again, sound, cost))
            for first, sound, cost in zip(heard, sounds, costs, strict=True)
        ]

    def align(self, pcm: bytes, text: str, language: str | None, model: str) -> list[Word]:
        """When the pieces of the text are said; none where it cannot be told. Raises EngineLost, ProviderBusy, ProviderError."""
        if (seconds := len(pcm) / 2 / SAMPLE_RATE) > _WINDOW.max_s:
            return []
        pieces = self._engine.call(
            "align",
            pcm[: len(pcm) // 2 * 2],
            self._config.model or model,
            text,
            theirs(language),
            timeout=self._config.load_s + self._config.pace * _WINDOW.max_s,
            cost=seconds * _ALIGNING,
        )
        return [Word(piece, start, end) for piece, start, end in pieces]

    def warm(self) -> None:
        """Load the model of the settings, where they name one. Raises ProviderError."""
        if self._config.model:
            self._engine.call("warm", self._config.model, timeout=self._config.load_s)


def _windows(pcm: bytes) -> Iterator[Chunk]:
    """Pieces that Whisper can hear at once; digital silence has no sound. What is short enough stays as it is."""
    samples = len(pcm) // 2
    if samples <= _WINDOW.max_s * SAMPLE_RATE:
        yield Chunk(Span(0, 0, samples, 0, samples, "start", "end", samples, ((0, samples),), samples), pcm)
        return
    yield from cut([pcm], _WINDOW)


def _stitched(windows: Sequence[Chunk], answers: Iterable[Window], duration: int, model: str) -> Heard:
    stitcher, waiting = Stitcher(), iter(answers)
    for window in windows:
        answer = next(waiting) if window.pcm else Window("")
        heard = laid_on_speech(list(segments(answer.found, duration=samples_to_ms(len(window.pcm) // 2))), window.pcm)
        stitcher.add(window.span, Heard(tuple(heard), language=ours(answer.language) or None, model_used=model))
    told = stitcher.finish(duration=duration)
    return Heard(told.segments, language=told.language, model_used=model, languages=told.languages)


def hears(config: Mapping[str, Any], model: str) -> tuple[str, ...]:
    """English for models that tell by their name that they know nothing else; the others say it once they are loaded."""
    return ("en",) if _ENGLISH.fullmatch(Path(str(config.get("model") or model)).name) else ()


def check(config: Mapping[str, Any]) -> Config:
    """Raises CatalogBroken for settings that make no sense."""
    try:
        return Config.model_validate(config)
    except ValidationError as error:
        raise CatalogBroken(f"a provider's {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None


def pace(model: str) -> float | None:
    """Of the one that comes with us, on two processors."""
    return 0.15 if model == "whisper-base" else None


def trouble(config: Mapping[str, Any]) -> str:
    """What stands in the way on this machine and what to do, as far as that shows without loading anything; or nothing."""
    if importlib.util.find_spec("faster_whisper") is None:
        return INSTALL
    given = check(config)
    folder = Path(given.model)
    if folder.is_dir() and not (folder / "model.bin").is_file():
        return "`model` is a folder without a model.bin: convert the model with ct2-transformers-converter"
    if not folder.is_dir() and (folder.is_absolute() or given.model.startswith(".")):
        return "`model` is a folder that does not exist"
    return ""


def open_provider(config: Mapping[str, Any], engines: Engines) -> Provider:
    """Raises CatalogBroken for settings that make no sense."""
    checked = check(config)
    fetches = not checked.local_files_only and not Path(checked.model).is_absolute()
    spec = EngineSpec(checked.name, EAR, (checked.model_dump(mode="json"),), checked.processes, network=fetches)
    hearing = FasterWhisper(checked, engine := engines.open(spec))
    return Provider(transcriber=hearing, resources=(engine,), warm=hearing.warm, has_line=engine.has_line)
