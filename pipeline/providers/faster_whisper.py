"""Whisper on this machine, on its processor or a graphics card, by faster-whisper and CTranslate2.

Settings in `[providers.<name>]`, with `kind = "faster_whisper"`:

    model               a folder with a converted model, or a name such as "small", "large-v3-turbo" or "owner/repository";
                        without it the name in each route counts
    device              "auto", "cpu" or "cuda"
    compute_type        "int8", "int8_float16", "float16", "default" (as the weights are), …; unless set, "int8" on a processor,
                        where it is two to three times as fast, and "default" on a graphics card
    cpu_threads         threads of one model on the processor; 0: as CTranslate2 likes
    batch_size          windows of 30 s that are decoded together: 4 suits a processor, 8 to 16 a graphics card
    beam_size           5
    download_root       where downloaded models lie
    local_files_only    true: nothing is ever downloaded
    remote              true: chunks are handed to the io workers, which are threads of one process and so share one model;
                        false: to the cpu workers, each with a model of its own. Unless set, true for the device "cuda"
    processes           models at once in each of our processes
    load_s, pace        seconds to wait for the model (and its download), and for each second of sound

The model lives in an engine process (pipeline/engines), loaded at the first call and shared by all threads. CTranslate2 lets go of
the GIL, so that a thread would do, too. But this way the API and the workers never load the library; a crash or a lack of memory in
it costs one chunk and not the server; a call that hangs can be ended; and the features, which are computed in Python, hold up
nobody's event loop.

A chunk is cut in silence into windows, which are decoded in one batch without time tokens and with the times of words, then
stitched. With time tokens a batch would drop whatever follows the last one. Whisper's own voice detector is not used, and no text
is dropped because the model takes a window for silence: only windows that are provably silent or steady are not decoded.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.cut.cutter import Chunk, CutProfile, Span, cut
from pipeline.engines.process_pool import EnginePool
from pipeline.errors import CatalogBroken, ProviderError, ProviderRefused, ProviderUnavailable, UnsupportedLanguage
from pipeline.options import TranscriptionOptions
from pipeline.providers.base import Provider
from pipeline.stitch.stitcher import Stitcher
from pipeline.transcript import SAMPLE_RATE, Heard, samples_to_ms
from pipeline.whisper_filter import Found, FoundWord, is_doubtful, is_silence, more_likely, segments

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

INSTALL = "faster-whisper is not installed: pip install faster-whisper"

_WINDOW = CutProfile(max_s=30.0, min_s=10.0)
_SHORTEST = SAMPLE_RATE // 10  # samples
_SECOND_TRY = (0.2, 0.4, 0.6, 0.8, 1.0)  # temperatures, of Whisper's own fallback
_LONGEST_PROMPT, _LONGEST_HOTWORDS = 223, 111  # tokens: the model sees 223 before its text, the keywords among them
_OURS = {"jw": "jv"}  # Whisper's codes that are not ISO 639's
# The makers of distil-whisper trained it on English only; its vocabulary, by which the library goes, has all languages.
_ENGLISH = re.compile(r".*\.en|(faster-)?distil-(whisper-)?large-v\d(\.\d)?(-ct2)?", re.IGNORECASE)
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
_LOG = logging.getLogger(__name__)


class Config(BaseModel):
    """How the model is run."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    kind: str = "faster_whisper"
    name: str = "faster_whisper"
    needs: tuple[str, ...] = ()
    model: str = ""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: str = ""
    cpu_threads: int = Field(0, ge=0)
    batch_size: int = Field(4, ge=1, le=64)
    beam_size: int = Field(5, ge=1)
    download_root: str = ""
    local_files_only: bool = False
    remote: bool | None = None
    processes: int = Field(1, ge=1)
    load_s: float = Field(1800.0, gt=0)
    pace: float = Field(30.0, gt=0)


@dataclass(frozen=True)
class Answer:
    """What the engine says: the language, and each window's text. `offered` names the languages when it can not do that one."""

    language: str = ""
    windows: tuple[tuple[Found, ...], ...] = ()
    offered: tuple[str, ...] = ()


class FasterWhisper:
    """Hears a hundred languages, and translates them into English."""

    def __init__(self, config: Config, pool: EnginePool) -> None:
        self.name = config.name
        self.local = config.device != "cuda" if config.remote is None else not config.remote
        longest = min(240.0, 30.0 * config.batch_size)
        self.profile = CutProfile(max_s=longest, min_s=max(10.0, longest / 2))
        self._config = config
        self._pool = pool

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        """Sentences with words. Raises UnsupportedLanguage, EngineLost, ProviderBusy, ProviderError."""
        wanted = self._config.model or model
        used = Path(wanted).name
        samples = len(pcm) // 2
        if samples < _SHORTEST:
            return Heard(model_used=used)
        windows = list(_windows(pcm[: 2 * samples], gated=options.gated))
        sounds = [window.pcm for window in windows if window.pcm]
        timeout = self._config.load_s + self._config.pace * samples / SAMPLE_RATE
        answer: Answer = self._pool.call("hear", wanted, sounds, options, timeout=timeout, cost=samples / SAMPLE_RATE)
        if answer.offered:
            offered = ", ".join(_OURS.get(code, code) for code in answer.offered)
            raise UnsupportedLanguage(
                f"The model {used!r} does not hear this language, but: {offered}", param="language"
            )
        language = "en" if options.task == "translation" else _OURS.get(answer.language, answer.language)
        return _stitched(windows, answer.windows, samples_to_ms(samples), language, used)


def _windows(pcm: bytes, *, gated: bool) -> Iterator[Chunk]:
    """Pieces that Whisper can hear at once; silence and steady noise have no sound. What is short enough stays as it is."""
    samples = len(pcm) // 2
    if samples <= _WINDOW.max_s * SAMPLE_RATE:
        yield Chunk(Span(0, 0, samples, 0, samples, "start", "end", samples, ((0, samples),), samples), pcm)
        return
    yield from cut([pcm], replace(_WINDOW, gated=gated))


def _stitched(
    windows: Sequence[Chunk], answers: Sequence[Sequence[Found]], duration: int, language: str, model: str
) -> Heard:
    stitcher, waiting = Stitcher(), iter(answers)
    for window in windows:
        length = samples_to_ms(len(window.pcm) // 2)
        heard = tuple(segments(next(waiting), duration=length)) if window.pcm else ()
        stitcher.add(window.span, Heard(heard, language=language, model_used=model))
    transcript = stitcher.finish(duration=duration)
    return Heard(transcript.segments, language=language or None, model_used=model)


class Ear:
    """Lives in an engine process and holds the models that were asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._models: dict[str, WhisperModel] = {}

    def hear(self, wanted: str, sounds: Sequence[bytes], options: TranscriptionOptions) -> Answer:
        """The language and text of these windows. Raises ProviderError."""
        model = self._model(wanted)
        windows = [np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(32768) for sound in sounds]
        language = _THEIRS.get(options.language or "", options.language)
        if language and language not in model.supported_languages:
            return Answer(offered=tuple(model.supported_languages))
        try:
            _runtime().set_random_seed(0)  # the same answer for the same sound, at any temperature
            language = language or _language(model, windows, options.languages)
            task = Task(model, self._config, options, language)
            return Answer(language, tuple(tuple(found) for found in task.text_of(windows)))
        except (RuntimeError, ValueError, IndexError) as error:  # CUDA's lack of memory is a RuntimeError
            _LOG.warning("Whisper failed", exc_info=error)
            raise ProviderUnavailable("The model failed at this sound", provider=self._config.name) from None

    def _model(self, wanted: str) -> WhisperModel:
        if wanted not in self._models:
            try:
                from faster_whisper import WhisperModel  # noqa: PLC0415 - only an engine's process loads the library
            except ImportError:
                raise ProviderRefused(INSTALL, provider=self._config.name) from None
            self._models[wanted] = self._loaded(WhisperModel, wanted)
        return self._models[wanted]

    def _loaded(self, kind: type[WhisperModel], wanted: str) -> WhisperModel:
        config = self._config
        try:
            return kind(
                wanted,
                device=config.device,
                compute_type=config.compute_type or _quickest(config.device),
                cpu_threads=config.cpu_threads,
                download_root=config.download_root or None,
                local_files_only=config.local_files_only,
            )
        except Exception as error:  # noqa: BLE001 - the hub's and the runtime's errors have no common ancestor
            _LOG.warning("Whisper's model cannot be loaded", exc_info=error)
            raise _unloadable(error, config) from None


def _runtime() -> Any:
    import ctranslate2  # noqa: PLC0415 - comes with the vendor's library

    return ctranslate2


def _quickest(device: str) -> str:
    on_card = device == "cuda" or (device == "auto" and _runtime().get_cuda_device_count() > 0)
    return "default" if on_card else "int8"


def _unloadable(error: Exception, config: Config) -> ProviderError:
    """An OSError is the network's or the hub's; anything else is a setting that cannot work here."""
    if isinstance(error, OSError) and not config.local_files_only:
        advice = "The model is not there and could not be downloaded: check `model`, or download it beforehand"
        return ProviderUnavailable(advice, provider=config.name)
    if isinstance(error, OSError):
        advice = "The model is not on this machine: download it, or let `local_files_only` be false"
        return ProviderRefused(advice, provider=config.name)
    advice = "The model cannot be loaded: check `model`, `device` and `compute_type`; the log says why"
    return ProviderRefused(advice, provider=config.name)


def _language(model: WhisperModel, windows: Sequence[NDArray[np.float32]], among: Sequence[str]) -> str:
    """The likeliest in the first window; of the ones that may occur, if they are known."""
    if not windows or not model.model.is_multilingual:
        return "en"
    _, _, told = model.detect_language(windows[0])
    chances: dict[str, float] = dict(told)
    likely = [code for code in chances if _OURS.get(code, code) in among]
    return max(likely or chances, key=chances.__getitem__)


class Task:
    """One call's windows, decoded with one prompt in one language."""

    def __init__(self, model: WhisperModel, config: Config, options: TranscriptionOptions, language: str) -> None:
        self._model, self._config = model, config
        self._temperature = options.temperature
        encode = model.hf_tokenizer.encode
        hotwords = _beginning(", ".join(options.keywords), encode, _LONGEST_HOTWORDS)
        left = _LONGEST_PROMPT - (len(encode(hotwords, add_special_tokens=False).ids) + 1 if hotwords else 0)
        self._common: dict[str, Any] = {
            "language": language,
            "task": "translate" if options.task == "translation" else "transcribe",
            "initial_prompt": _end(options.prompt or "", encode, left) or None,
            "hotwords": hotwords or None,
            "beam_size": config.beam_size,
            "word_timestamps": True,
            "vad_filter": False,
        }

    def text_of(self, windows: Sequence[NDArray[np.float32]]) -> Iterator[Sequence[Found]]:
        """Each window's text; those that are not to be believed are decoded again."""
        if self._temperature:  # a batch knows no chance: its `temperature` changes nothing
            yield from (self._heard_alone(window, (self._temperature,)) for window in windows)
            return
        for window, found in zip(windows, self._heard_together(windows), strict=True):
            doubtful = is_doubtful(found) and not is_silence(found)
            believed = more_likely(found, self._heard_alone(window, _SECOND_TRY)) if doubtful else found
            yield believed

    def _heard_together(self, windows: Sequence[NDArray[np.float32]]) -> list[list[Found]]:
        if not windows:
            return []
        from faster_whisper import BatchedInferencePipeline  # noqa: PLC0415 - as above

        edges = [0, *accumulate(len(window) for window in windows)]
        clips = [
            {"start": start / SAMPLE_RATE + _TINY, "end": end / SAMPLE_RATE + _TINY} for start, end in pairwise(edges)
        ]
        told, _ = BatchedInferencePipeline(self._model).transcribe(
            np.concatenate(windows),
            clip_timestamps=clips,
            batch_size=self._config.batch_size,
            without_timestamps=True,
            **self._common,
        )
        found: list[list[Found]] = [[] for _ in windows]
        for segment in told:
            place = bisect_right([edge * 100 // SAMPLE_RATE for edge in edges[:-1]], segment.seek) - 1
            found[place].append(_found(segment, edges[place] / SAMPLE_RATE, self._model))
        return found

    def _heard_alone(self, window: NDArray[np.float32], temperatures: Sequence[float]) -> list[Found]:
        told, _ = self._model.transcribe(
            window, temperature=list(temperatures), condition_on_previous_text=False, **self._common
        )
        return [_found(segment, 0.0, self._model) for segment in told]


_TINY = 1e-5  # seconds: the library turns times into samples by cutting off


def _found(segment: Any, offset: float, model: WhisperModel) -> Found:
    end_of_text = model.hf_tokenizer.token_to_id("<|endoftext|>")
    tokens = [token for token in segment.tokens if token < end_of_text]  # neither times nor marks
    told = segment.words or ()
    words = (
        FoundWord(word.word, float(word.start) - offset, float(word.end) - offset, float(word.probability), tuple(own))
        for word, own in zip(told, _by_word(tokens, [word.word for word in told], model), strict=True)
    )
    return Found(
        text=segment.text,
        start=float(segment.start) - offset,
        end=float(segment.end) - offset,
        words=tuple(words),
        tokens=tuple(tokens),
        avg_logprob=float(segment.avg_logprob),
        compression_ratio=float(segment.compression_ratio),
        no_speech_prob=float(segment.no_speech_prob),
        temperature=float(segment.temperature or 0.0),
    )


def _by_word(tokens: Sequence[int], words: Sequence[str], model: WhisperModel) -> list[list[int]]:
    """The tokens of each word: a token belongs to the word in which the text up to it ends."""
    ends = list(accumulate(len(word) for word in words))
    owned: list[list[int]] = [[] for _ in words]
    for at, token in enumerate(tokens if words else ()):
        reached = len(model.hf_tokenizer.decode(tokens[: at + 1]))
        owned[min(bisect_left(ends, reached), len(words) - 1)].append(token)
    return owned


def _beginning(text: str, encode: Any, longest: int) -> str:
    told = encode(text, add_special_tokens=False)
    return text if len(told.ids) <= longest else text[: told.offsets[longest - 1][1]]


def _end(text: str, encode: Any, longest: int) -> str:
    told = encode(text, add_special_tokens=False)
    return text if len(told.ids) <= longest else text[told.offsets[-longest][0] :]


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


def open_provider(config: Mapping[str, Any], engine_processes: int) -> Provider:
    """Raises CatalogBroken for settings that make no sense."""
    checked = check(config)
    target = f"{__name__}:{Ear.__name__}"
    pool = EnginePool(checked.name, target, (checked,), processes=min(engine_processes, checked.processes))
    return Provider(transcriber=FasterWhisper(checked, pool), resources=(pool,))
