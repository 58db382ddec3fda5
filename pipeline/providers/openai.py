"""Any server that speaks the OpenAI audio API: OpenAI, Groq, one at home, another Stenopool.

Settings in `[providers.<name>]`, with `kind = "openai"`:

    base_url                    ends in /v1
    api_key, api_key_env        the key, or the name of the environment variable that holds it
    needs = ["api_key", …]      the provider takes part only when one of these is given

What its models can, as patterns (`*` stands for anything) of the names they have there:

    text_only                   answer text without times
    diarizes                    tell who speaks
    logprobs, keywords          take include[]=logprobs; take keywords[] and languages[]
    containers                  what files may be sent: of wav, mp3, flac, ogg, mp4, matroska

    max_s, min_s                how long chunks may be, in seconds
    diarize_max_s               the same for models that diarize: the names they give begin anew in each chunk
    max_bytes                   of a file; what a server refuses as too large is cut in two, and remembered

    connect_s                   to open a connection
    answer_s, answer_ratio      for an answer: so many seconds, and so many more per second of sound
    timeout_s                   for one call with all its tries
    tries, retry_s              how often, and within which time, a failed call is repeated
    concurrency                 calls at the same time from one process
    circuit_failures, circuit_seconds   after so many failed calls in a row it is left alone for so long

A parameter that a model refuses although it could be expected to take it is left out from then on, if it is one of those without
which there is an answer all the same; `speed` is then made here. A 404 or a 410 says that the model, or the endpoint, is gone.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from pipeline.audio.time_stretch import stretched
from pipeline.cut.cutter import CutProfile
from pipeline.engines.engine_placement import Engines
from pipeline.errors import CatalogBroken, ModelGone, ProviderError, ProviderRefused, UnsupportedValue
from pipeline.http_client.multipart_body import form
from pipeline.openai_api.audio_payload import Sound, as_file, quietest
from pipeline.openai_api.client import Config, Reply, Server, bounded
from pipeline.openai_api.error_mapping import ParameterRefused, TooLarge
from pipeline.openai_api.merge_halves import joined
from pipeline.openai_api.request import Abilities, fields
from pipeline.openai_api.response import heard
from pipeline.openai_api.speech import samples
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.providers.base import FileRefused, Provider, Takes, Voice
from pipeline.resilience.deadline import Deadline
from pipeline.transcript import SAMPLE_RATE, Heard, samples_to_ms

_SHORTEST = SAMPLE_RATE // 10  # samples; OpenAI refuses less
_SHORTEST_TO_CUT = 4 * SAMPLE_RATE  # samples
_DEEPEST = 5  # times that a chunk is halved: beyond a thirty-second part, size is not what is wrong
_LARGEST_ANSWER = 32 * 1024**2
_LEAST = 100_000  # bytes; no server's limit is less
_LARGEST_SPEECH = 1024**3
_CHARACTERS = 50  # spoken in a second at least, before the first sound comes
_UNREADABLE = (400, 413, 415, 422)
_UNEXPLAINED = (400, 406, 422)  # with these a server refuses a format, too
_OF_SPEECH = ("instructions", "speed")  # what speech may be asked for besides
_MODEL = re.compile(r"[\w.:/@+-]{1,200}", re.ASCII)


class OpenAI:
    """Hears and speaks through one server."""

    local = False
    sample_rate = 24_000  # Hz, of OpenAI's pcm

    def __init__(self, server: Server) -> None:
        config = server.config
        self.name = config.name
        self.profile = _profile(config.max_s, config.min_s)
        longest = max(config.max_s, config.diarize_max_s)
        self.takes = Takes(frozenset(config.containers), max_bytes=config.max_bytes, max_s=longest)
        self.in_greenlets = server.in_greenlets
        self._server, self._config = server, config
        self._abilities: dict[str, Abilities] = {}
        self._wav_only: set[str] = set()  # models that do not speak bare samples
        self._unspoken: dict[str, frozenset[str]] = {}  # by model, which of _OF_SPEECH it does not know

    def profile_for(self, options: TranscriptionOptions, model: str) -> CutProfile:
        """Names of speakers hold for one chunk only, so such chunks are long; text without times is timed best in short ones."""
        abilities = self._of(model)
        if abilities.diarizes:
            return _profile(self._config.diarize_max_s, self._config.diarize_max_s / 2)
        if abilities.plain and options.shows_times:
            return _profile(min(30.0, self._config.max_s), 15.0)
        return self.profile

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        """Words and segments where the server tells them, else its text over the whole chunk."""
        return self._halved(pcm[: len(pcm) // 2 * 2], options, model, depth=0)

    def hear_file(  # noqa: PLR0917  # as `hear`, with what a file is besides
        self, data: bytes, filename: str, media_type: str, duration_ms: int, options: TranscriptionOptions, model: str
    ) -> Heard:
        """A whole file as it is; `duration_ms` is how long it was measured to be. Raises ProviderError, FileRefused."""
        try:
            return self._understood((filename, data, media_type), duration_ms, options, model)
        except ModelGone:
            raise
        except ProviderRefused as error:
            if isinstance(error, TooLarge):
                self._remember(error, (filename, data, media_type))
            if error.details.get("status") in _UNREADABLE:
                raise FileRefused(**error.details) from None
            raise

    def speak(self, options: SpeechOptions, model: str) -> Voice:
        """Sound as it arrives; only what comes before the first block is tried again, without what the model does not know."""
        while True:
            shape, unknown = "wav" if model in self._wav_only else "pcm", self._unspoken.get(model, frozenset())
            try:
                return self._spoken(options, model, shape, unknown)
            except ParameterRefused as error:
                parameter = str(error.details["parameter"])
                if parameter == "response_format" and shape == "pcm":
                    self._wav_only.add(model)
                elif parameter in _OF_SPEECH and parameter not in unknown:
                    self._unspoken[model] = unknown | {parameter}
                else:
                    raise

    def _spoken(self, options: SpeechOptions, model: str, shape: str, unknown: frozenset[str]) -> Voice:
        asked = {"model": model, "input": options.input, "voice": options.voice, "response_format": shape}
        extra = {"instructions": options.instructions, "speed": options.speed if options.speed != 1 else None}
        body = asked | {name: value for name, value in extra.items() if value is not None and name not in unknown}
        speed = options.speed if "speed" in unknown else 1.0  # is left to us

        def begin(deadline: Deadline) -> _Sounding:
            return _Sounding(self._server, body, deadline, speed)

        return self._server.persist(begin, self._config.answer_s + len(options.input) / _CHARACTERS)

    def _halved(self, pcm: bytes, options: TranscriptionOptions, model: str, *, depth: int) -> Heard:
        """In as few pieces as the server's limits allow."""
        if len(pcm) // 2 < _SHORTEST:
            return Heard(model_used=model)
        sound = as_file(pcm, containers=self._config.containers, most=self.takes.max_bytes)
        final = depth == _DEEPEST or len(pcm) // 2 < _SHORTEST_TO_CUT
        if sound:
            try:
                return self._guessed(sound, samples_to_ms(len(pcm) // 2), options, model)
            except TooLarge as error:
                if final:
                    raise
                if self._remember(error, sound):
                    return self._halved(pcm, options, model, depth=depth + 1)
        elif final:
            raise TooLarge(provider=self.name)
        return self._in_two(pcm, options, model, depth=depth + 1)

    def _in_two(self, pcm: bytes, options: TranscriptionOptions, model: str, *, depth: int) -> Heard:
        at = quietest(pcm)
        halves = (pcm[: 2 * at], pcm[2 * at :])
        parts = [self._halved(half, options, model, depth=depth) for half in halves]
        duration = samples_to_ms(len(pcm) // 2)
        return joined(parts, at=samples_to_ms(at), duration=duration, known=options.known_speaker_names)

    def _remember(self, error: TooLarge, sound: Sound) -> bool:
        """Half of it is the most from now on. False where that is no help: seconds are the reason, or it is small already."""
        most = len(sound[1]) // 2
        if error.details.get("limit") != "bytes" or most < _LEAST:
            return False
        self.takes = replace(self.takes, max_bytes=min(self.takes.max_bytes, most))
        return True

    def _understood(self, sound: Sound, duration: int, options: TranscriptionOptions, model: str) -> Heard:
        """Asked again without what the model turns out not to take."""
        abilities = self._of(model)
        while True:
            left_out, plain = frozenset(abilities.refused), abilities.plain  # others may learn the same meanwhile
            try:
                answer = self._heard(sound, duration, options, model, abilities)
            except ParameterRefused as error:
                parameter = str(error.details["parameter"])
                if parameter in left_out or (parameter == "response_format" and plain):
                    raise
                abilities.refused.add(parameter)
            else:
                abilities.timed = abilities.timed or not abilities.plain
                return answer

    def _guessed(self, sound: Sound, duration: int, options: TranscriptionOptions, model: str) -> Heard:
        """As `_understood`. A model that has never answered with times may have refused just these, without saying so."""
        abilities = self._of(model)
        plain = abilities.plain
        try:
            return self._understood(sound, duration, options, model)
        except ProviderRefused as error:
            unexplained = error.details.get("status") in _UNEXPLAINED and not isinstance(error, TooLarge | ModelGone)
            if not unexplained or plain or abilities.diarizes or abilities.timed:
                raise
            with suppress(ProviderError, UnsupportedValue):
                answer = self._heard(sound, duration, options, model, abilities.without("response_format"))
                abilities.refused.add("response_format")
                return answer
            raise

    def _heard(
        self, sound: Sound, duration: int, options: TranscriptionOptions, model: str, abilities: Abilities
    ) -> Heard:
        path = "/audio/translations" if options.task == "translation" else "/audio/transcriptions"
        data = fields(options, model, duration, abilities)

        def ask(deadline: Deadline) -> Heard:
            with self._server.answer(path, deadline, *form(data, *sound)) as response:
                body = b"".join(bounded(response, deadline, _LARGEST_ANSWER))
                used = _model_used(response, model)
            return heard(body, duration=duration, model=used, provider=self.name)

        return self._server.persist(ask, self._config.answer_s + self._config.answer_ratio * duration / 1000)

    def _of(self, model: str) -> Abilities:
        if model not in self._abilities:
            self._abilities.setdefault(model, Abilities(self._config, model))
        return self._abilities[model]


class _Sounding(Voice):
    """One answer with speech; made when its first block is there."""

    def __init__(self, server: Server, body: Mapping[str, Any], deadline: Deadline, speed: float) -> None:
        self.model_used = str(body["model"])
        self._config, self._deadline = server.config, deadline
        self._waited = 0.0
        self._blocks = self._at_speed(self._received(server, body), speed)
        self._first: bytes | None = next(self._blocks, b"")
        deadline.within = None  # how long the rest may take depends on who listens

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        if first:
            return first
        began = time.monotonic()
        self._deadline.again(min(self._config.answer_s, self._config.timeout_s - self._waited))
        block = next(self._blocks)
        self._waited += time.monotonic() - began
        return block

    def close(self) -> None:
        """Hang up."""
        self._blocks.close()

    @staticmethod
    def _at_speed(blocks: Generator[bytes], speed: float) -> Generator[bytes]:
        with closing(blocks):
            yield from blocks if speed == 1 else stretched(blocks, 1 / speed, OpenAI.sample_rate)

    def _received(self, server: Server, body: Mapping[str, Any]) -> Generator[bytes]:
        with server.answer(
            "/audio/speech", self._deadline, (json.dumps(body).encode(),), "application/json"
        ) as response:
            self.model_used = _model_used(response, self.model_used)
            kind = response.headers.get("content-type", "")
            raw = bounded(response, self._deadline, _LARGEST_SPEECH)
            yield from samples(raw, kind, sample_rate=OpenAI.sample_rate, provider=server.config.name)


def _profile(max_s: float, min_s: float) -> CutProfile:
    return CutProfile(max_s=max_s, min_s=min(min_s, max_s / 2))


def _model_used(response: Reply, model: str) -> str:
    """Another Stenopool tells who it was."""
    told = response.headers.get("x-perf-model-used", "")
    return told if _MODEL.fullmatch(told) else model


def open_provider(config: Mapping[str, Any], engines: Engines) -> Provider:
    """Raises CatalogBroken for settings that make no sense."""
    server = Server(_checked(config))
    opened = OpenAI(server)
    return Provider(transcriber=opened, speaker=opened, resources=(server,))


def check(config: Mapping[str, Any]) -> None:
    """Raises CatalogBroken for settings that nobody could work with, without opening anything."""
    checked = _checked(config)
    if not checked.url:
        raise CatalogBroken(f"the provider {checked.name!r} has no base_url")
    if checked.api_key_env and not checked.api_key:
        raise CatalogBroken(f"the provider {checked.name!r} has its key in {checked.api_key_env}, which is not set")


def _checked(config: Mapping[str, Any]) -> Config:
    try:
        checked = Config.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CatalogBroken(
            f"the provider {config.get('name', 'openai')!r} is wrong at {place}: {first['msg']}"
        ) from None
    if checked.url and not _usable(checked.url):
        raise CatalogBroken(f"the base_url of the provider {checked.name!r} is no http:// or https:// address")
    return checked


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False
