"""Any server that speaks the OpenAI audio API: OpenAI, Groq, one at home, another Stenopool.

Settings in `[providers.<name>]`, with `kind = "openai"`:

    base_url, api_key           at least one of them; the URL ends in /v1
    text_only = ["model", …]    models that answer text without times
    max_s, min_s                how long its chunks may be, in seconds
    timeout_s, retry_s          for one call with all its tries; for how long failed tries are repeated
    concurrency                 calls at the same time from one process
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from pipeline.audio.encode import encode
from pipeline.cut import CutProfile
from pipeline.errors import CatalogBroken, ProviderNonsense, SandboxFailed
from pipeline.openai_answers import heard
from pipeline.openai_server import Config, FormatRefused, Server, bounded
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.providers.base import Provider, Takes
from pipeline.transcript import SAMPLE_RATE, Heard, samples_to_ms

_SHORTEST = SAMPLE_RATE // 10  # samples; OpenAI refuses less
_SMALL = 30 * 2 * SAMPLE_RATE  # bytes sent as they are: an encoder takes longer to start
_LARGEST_ANSWER = 32 * 1024**2
CONTAINERS = frozenset(
    {"wav", "mp3", "flac", "ogg", "mp4", "matroska"}
)  # those of OpenAI's list, as `audio.sniff` calls them

Sound = tuple[str, bytes, str]  # a file's name, its bytes and its media type


class OpenAI:
    """Hears and speaks through one server."""

    local = False
    sample_rate = 24_000  # Hz, of OpenAI's pcm

    def __init__(self, server: Server) -> None:
        config = server.config
        self.name = config.name
        self.profile = CutProfile(max_s=config.max_s, min_s=min(config.min_s, config.max_s / 2))
        self._server = server
        self._plain = set(config.text_only)  # models that refuse verbose_json
        self.takes = Takes(CONTAINERS, max_bytes=config.max_bytes, max_s=config.max_s)

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        """Words and segments where the server tells them, else its text over the whole chunk."""
        samples = len(pcm) // 2
        if samples < _SHORTEST:
            return Heard(model_used=model)
        return self._any(_encoded(pcm[: 2 * samples]), samples_to_ms(samples), options, model)

    def hear_file(  # noqa: PLR0917  # as `hear`, with what a file is besides
        self, data: bytes, filename: str, media_type: str, duration_ms: int, options: TranscriptionOptions, model: str
    ) -> Heard:
        """A whole file as it is, `takes` permitting; `duration_ms` is how long it was measured to be. Raises ProviderError."""
        return self._any((filename, data, media_type), duration_ms, options, model)

    def _any(self, sound: Sound, duration: int, options: TranscriptionOptions, model: str) -> Heard:
        if model not in self._plain:
            try:
                return self._heard(sound, duration, options, model, plain=False)
            except FormatRefused:
                self._plain.add(model)
        return self._heard(sound, duration, options, model, plain=True)

    def speak(self, options: SpeechOptions, model: str) -> Iterator[bytes]:
        """Sound as it arrives; only what comes before the first block is tried again."""
        asked = {"model": model, "input": options.input, "voice": options.voice, "response_format": "pcm"}
        extra = {"instructions": options.instructions, "speed": options.speed if options.speed != 1 else None}
        body = asked | {name: value for name, value in extra.items() if value is not None}

        def begin(deadline: float) -> tuple[bytes, Iterator[bytes]]:
            blocks = self._blocks(body, deadline)
            return next(blocks, b""), blocks

        first, rest = self._server.persist(begin)
        odd = b""
        yield from (first,) if len(first) % 2 == 0 else ()
        odd = first if len(first) % 2 else b""
        for block in rest:
            whole = odd + block
            odd = whole[len(whole) // 2 * 2 :]
            yield whole[: len(whole) // 2 * 2]

    def _blocks(self, body: Mapping[str, Any], deadline: float) -> Iterator[bytes]:
        with self._server.answer("/audio/speech", deadline, json=body) as response:
            if response.headers.get("content-type", "").startswith(("text/", "application/json")):
                raise ProviderNonsense(provider=self.name)
            yield from response.iter_bytes()

    def _heard(self, sound: Sound, duration: int, options: TranscriptionOptions, model: str, *, plain: bool) -> Heard:
        translation = options.task == "translation"
        data: dict[str, Any] = {"model": model, "response_format": "json" if plain else "verbose_json"}
        if not plain and not translation:
            data["timestamp_granularities[]"] = ["word", "segment"]
        given = {"language": None if translation else options.language, "prompt": options.prompt}
        data |= {name: value for name, value in given.items() if value}
        if options.temperature:
            data["temperature"] = str(options.temperature)
        path = "/audio/translations" if translation else "/audio/transcriptions"

        def ask(deadline: float) -> Heard:
            with self._server.answer(path, deadline, data=data, files={"file": sound}) as response:
                body = b"".join(bounded(response, deadline, _LARGEST_ANSWER))
                used = response.headers.get("x-perf-model-used") or model  # another Stenopool tells who it was
            return heard(body, duration=duration, model=used, provider=self.name)

        return self._server.persist(ask)


def _encoded(pcm: bytes) -> tuple[str, bytes, str]:
    if len(pcm) > _SMALL:
        try:
            flac = b"".join(encode(iter([pcm]), sample_rate=SAMPLE_RATE, target="flac"))
        except SandboxFailed:
            pass
        else:
            # A pipe cannot be rewound: put in how many samples there are (the low 36 bits), which some readers insist on.
            count = int.from_bytes(flac[18:26], "big") | len(pcm) // 2
            return "audio.flac", flac[:18] + count.to_bytes(8, "big") + flac[26:], "audio/flac"
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(pcm)
    return "audio.wav", held.getvalue(), "audio/wav"


def open_provider(config: Mapping[str, Any], engine_processes: int) -> Provider:
    """Raises CatalogBroken for settings that make no sense."""
    try:
        checked = Config.model_validate(config)
    except ValidationError as error:
        raise CatalogBroken(f"a provider's {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
    if checked.url and (urlsplit(checked.url).scheme not in ("http", "https") or not urlsplit(checked.url).hostname):
        raise CatalogBroken(f"the base_url of the provider {checked.name!r} is no http:// or https:// address")
    server = Server(checked)
    opened = OpenAI(server)
    return Provider(transcriber=opened, speaker=opened, resources=(server,))
