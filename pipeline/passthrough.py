"""A recording handed to a provider as it came, byte for byte: no decoder is started, no sample is made of it.

That is possible when the model's first route takes such a file whole (its container, its bytes, its length), and when we know
by ourselves how long it sounds (`audio.measured` counts its frames: a header alone decides nothing), that it is plain (one track
of one format, every byte of it accounted for, so that nobody reads another recording in it than we do) and that its loudness
rises and falls as that of speech does. Everything else is decoded: what cannot be measured, or is not plain; what seems silent or
steady, or is too short to tell, so that the gate decides over its sound (pipeline.cut.gate); what is longer than the provider takes
in one call.

What comes back goes through the same stitcher as any chunk, so that times are inside the recording and run forward. Three answers
are not the last word:

* A provider that refuses the file gets it decoded. One that fails is followed by the model's next routes, which get the file as it
  is if they take it, and decoded sound if not.
* Where the provider reports another length than was counted, the sound is decoded after all, and that is counted.
* A text that looks made up (a loop, too fast for a mouth) is heard again the decoding way, chunk by chunk. Where nothing comes
  of that, or as doubtful a text and less of it, the first one stays, flagged: someone may have said it.

A provider that tells no times has its text laid over the places where somebody speaks. To find them for a format that shows times
the sound is decoded here, while the provider is not asked again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pipeline.audio.decode import decode
from pipeline.audio.duration.exact import container_of, measured, measured_ms
from pipeline.catalog.model import Route
from pipeline.concurrency.greenlet_io import run_in_thread
from pipeline.cut.cutter import Chunk, CutProfile, Span, cut
from pipeline.errors import (
    InvalidRequest,
    ModelGone,
    ProviderError,
    RoutesExhausted,
    SandboxFailed,
    StenopoolError,
    UnsupportedValue,
)
from pipeline.measurement.process_counters import provider_call
from pipeline.options import TranscriptionOptions
from pipeline.provider_protocol import FileRefused, HearsFiles, hears_files, is_particular
from pipeline.provider_registry import ProviderRegistry
from pipeline.recognition.words_beside import are_wanted
from pipeline.resilience.fallback import fallback_available
from pipeline.resilience.route_watch import asking
from pipeline.routing.next_route import first_that_can
from pipeline.run import Length, Listener, Progress, beside, timed
from pipeline.run import transcribe as transcribe_decoded
from pipeline.speakers.diarizer import with_voiceprints
from pipeline.speakers.labelled import labelled
from pipeline.stitch.stitcher import Stitcher
from pipeline.transcript import SAMPLES_PER_MS, Heard, Transcript, Voiceprints, samples_to_ms

_NAMES = {  # container: (a name's ending that providers know, media type); frames in MP4 have no headers that could prove them
    "wav": ("wav", "audio/wav"),
    "mp3": ("mp3", "audio/mpeg"),
    "flac": ("flac", "audio/flac"),
    "ogg": ("ogg", "audio/ogg"),
    "matroska": ("webm", "audio/webm"),
    "aac": ("aac", "audio/aac"),
}
_SMALL = 128 * 1024  # bytes; counting the frames of more takes its time
_AGREEMENT_MS = 1_100  # that a provider's figure may differ: some round up to whole seconds
_AGREEMENT = 0.02  # or this share of the length
_MADE_UP = frozenset(("repetition", "too_fast", "no_speech"))
_MOSTLY = 0.25  # of the characters


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file that may be handed on: its bytes, what it is, and how long it was measured to be."""

    data: bytes
    container: str
    ms: int

    @property
    def filename(self) -> str:
        """Never the caller's: providers go by the ending, and callers' endings lie."""
        return f"audio.{_NAMES[self.container][0]}"

    @property
    def media_type(self) -> str:
        return _NAMES[self.container][1]


def transcribe(
    data: bytes,
    options: TranscriptionOptions,
    registry: ProviderRegistry,
    *,
    on_progress: Progress | None = None,
    on_segments: Listener | None = None,
    on_length: Length | None = None,
    on_whole: Length | None = None,
    workers: int = 1,
    max_seconds: float | None = None,
) -> Transcript:
    """As `run.transcribe`, over bytes, which go to the provider untouched where that is possible.

    `on_whole` is told before `on_length` how much sound there is in all, where that can be counted beforehand.
    """

    def decoded(registry: ProviderRegistry, listener: Listener | None = on_segments) -> Transcript:
        return run_in_thread(
            partial(
                transcribe_decoded,
                data,
                options,
                registry,
                on_progress=on_progress,
                on_segments=listener,
                on_length=on_length,
                workers=workers,
                max_seconds=max_seconds,
            )
        )

    routes = registry.catalog.routes_for(options)
    parcel = packed(data, options, registry, routes[0])
    if on_length and (ms := parcel.ms if parcel else _measured_ms(data, options)) is not None:
        if on_whole:
            on_whole(ms)
        on_length(ms)  # what cannot be measured is told chunk by chunk, as it is decoded
    if parcel is None or (max_seconds is not None and parcel.ms > 1000 * max_seconds):
        return decoded(registry)
    heard, failed = handed_on(parcel, options, registry, routes)
    transcript = _written(parcel, heard, options, registry) if heard else None
    if transcript is None:
        return _after(failed, options, registry, decoded)
    if _made_up(transcript):
        unheard = partial(decoded, listener=None)
        transcript = _second_hearing(transcript, partial(_after, failed, options, registry, unheard))
    transcript = _with_speakers(transcript, parcel, heard or Heard(), options, registry)
    if on_segments and transcript.segments:
        on_segments(transcript.segments, transcript.model_used)
    if on_progress:
        on_progress(transcript.duration, transcript.duration)
    return transcript


def _measured_ms(data: bytes, options: TranscriptionOptions) -> int | None:
    """What is declared follows from its bytes; its header, which it has not, is not asked."""
    return options.raw.ms(len(data)) if options.raw else measured_ms(data)


def runs_in_greenlet(data: bytes, options: TranscriptionOptions, registry: ProviderRegistry) -> bool:
    """Whether `transcribe` may run in a greenlet (pipeline.concurrency), because it will do little but wait for the provider."""
    route = registry.catalog.routes_for(options)[0]
    if len(data) > _SMALL or (options.tells_apart and not route.diarizes):
        return False
    first = registry.transcriber(route)
    return not first.local and hears_files(first) and first.in_greenlets


def packed(data: bytes, options: TranscriptionOptions, registry: ProviderRegistry, route: Route) -> Parcel | None:
    """The file as something to hand to this route; None where it has to be decoded."""
    transcriber = registry.transcriber(route)
    if options.raw or options.separate or options.audio_track is not None:
        return None
    if transcriber.local or not hears_files(transcriber) or len(data) > transcriber.takes.max_bytes:
        return None
    container = container_of(data)
    if container is None or container.name not in transcriber.takes.containers or container.name not in _NAMES:
        return None
    extent = measured(data, container)
    if extent is None or not extent.plain or not extent.lively:
        return None
    parcel = Parcel(data, container.name, extent.ms)
    return parcel if _takes(registry, route, parcel, options) else None


def _takes(
    registry: ProviderRegistry, route: Route, parcel: Parcel, options: TranscriptionOptions
) -> HearsFiles | None:
    """Who takes this file for the route, if anybody does: no more at once than would be put into one chunk."""
    transcriber = registry.transcriber(route)
    if not hears_files(transcriber):
        return None
    takes = transcriber.takes
    chunk = transcriber.profile_for(options, route.model) if is_particular(transcriber) else transcriber.profile
    longest = min(takes.max_s, chunk.max_s)
    fits = parcel.container in takes.containers and len(parcel.data) <= takes.max_bytes and parcel.ms <= 1000 * longest
    return transcriber if fits else None


Failures = list[tuple[Route, StenopoolError]]


def handed_on(
    parcel: Parcel, options: TranscriptionOptions, registry: ProviderRegistry, routes: Sequence[Route]
) -> tuple[Heard | None, Failures]:
    """The first route's answer that is one, and whose failed before it. None where the next one wants decoded sound."""
    failed: Failures = []
    for route in routes:
        transcriber = _takes(registry, route, parcel, options)
        if transcriber is None:
            break
        asking(route.model)
        try:
            with fallback_available(route is not routes[-1]), provider_call(route.provider):
                heard = _heard(transcriber, parcel, options, route.model)
        except FileRefused:
            break
        except ModelGone:
            registry.catalog.gone.note(route, options.task)
        except (ProviderError, UnsupportedValue) as error:
            failed.append((route, error))
        else:
            return heard if heard.model_used else replace(heard, model_used=route.model), failed
    return None, failed


def _heard(transcriber: HearsFiles, parcel: Parcel, options: TranscriptionOptions, model: str) -> Heard:
    ask = partial(transcriber.hear_file, parcel.data, parcel.filename, parcel.media_type, parcel.ms, options, model)
    return ask() if transcriber.in_greenlets else run_in_thread(ask)


def _after(
    failed: Failures,
    options: TranscriptionOptions,
    registry: ProviderRegistry,
    decoded: Callable[[ProviderRegistry], Transcript],
) -> Transcript:
    """Decoded sound for the routes that are there and have not failed. Raises what they raise, together with what failed before."""
    errors, routes = dict(failed), registry.catalog.routes_for(options)

    def again(route: Route) -> Transcript:
        if route in errors:
            raise errors[route]
        return decoded(_only(registry, options, [route for route in routes if route not in errors]))

    try:
        return first_that_can([*errors, *[route for route in routes if route not in errors][:1]], again)
    except RoutesExhausted as error:
        told = {
            route.provider: {"provider": route.provider, "model": route.model, "code": failure.code}
            for route, failure in failed
        }
        later = [one for one in error.details.get("tried", ()) if one["provider"] not in told]
        raise type(error)(tried=[*told.values(), *later]) from error


def _only(registry: ProviderRegistry, options: TranscriptionOptions, routes: Sequence[Route]) -> ProviderRegistry:
    """The same providers, with these routes for the model that is asked for."""
    view, catalog = copy.copy(registry), registry.catalog
    model = catalog.model(options.model).model_copy(update={"routes": tuple(routes)})
    view.catalog = replace(catalog, models={**catalog.models, options.model: model})
    return view


def _written(parcel: Parcel, heard: Heard, options: TranscriptionOptions, registry: ProviderRegistry) -> Transcript:
    """The answer as a transcript: one chunk of the whole length."""
    span, ms = whole(parcel.ms * SAMPLES_PER_MS), parcel.ms
    if not heard.timed and options.shows_times and not any(segment.speaker for segment in heard.segments):
        span, ms, heard = run_in_thread(partial(_timed, parcel, span, heard, options, registry))
    elif not _agree(heard.duration, parcel.ms):
        span, ms = run_in_thread(partial(_listened, parcel, span))
    stitcher = Stitcher()
    stitcher.add(span, heard)
    task = "translate" if options.task == "translation" else "transcribe"
    transcript = stitcher.finish(duration=ms, task=task)
    return transcript if transcript.language else replace(transcript, language=options.text_language)


def whole(samples: int, speech: tuple[tuple[int, int], ...] = ()) -> Span:
    """A recording as one chunk; without better knowledge there may be speech everywhere in it."""
    found = speech or ((0, samples),)
    spoken = sum(end - start for start, end in found)
    return Span(0, 0, samples, 0, samples, "start", "end", spoken, found, samples)


def _agree(told: int | None, counted: int) -> bool:
    return told is None or abs(told - counted) <= max(_AGREEMENT_MS, _AGREEMENT * counted)


def _timed(
    parcel: Parcel, span: Span, heard: Heard, options: TranscriptionOptions, registry: ProviderRegistry
) -> tuple[Span, int, Heard]:
    """As `_listened`, and the answer with its words, where they can be told."""
    sound = bytearray()
    span, ms = _listened(parcel, span, sound)
    return span, ms, timed(heard, bytes(sound), options, registry) if sound else heard


def _listened(parcel: Parcel, span: Span, kept: bytearray | None = None) -> tuple[Span, int]:
    """Where somebody speaks, and the length in decoded ms; what was counted, where the sound cannot be decoded here.

    The samples are `kept` there, if that is wanted.
    """
    try:
        with decode(parcel.data) as decoding:
            blocks = decoding if kept is None else _keeping(decoding, kept)
            spans = [chunk.span for chunk in cut(blocks, CutProfile())]
    except (InvalidRequest, SandboxFailed):
        return span, parcel.ms
    speech = tuple(stretch for one in spans for stretch in one.speech_map)
    return whole(decoding.samples, speech), samples_to_ms(decoding.samples)


def _keeping(blocks: Iterable[bytes], kept: bytearray) -> Iterator[bytes]:
    for block in blocks:
        kept += block
        yield block


def _with_speakers(
    transcript: Transcript, parcel: Parcel, heard: Heard, options: TranscriptionOptions, registry: ProviderRegistry
) -> Transcript:
    """Whose voices those are, where they are to be told apart here: for that the sound is decoded beside."""
    if not options.tells_apart or any(segment.speaker for segment in transcript.segments):
        return transcript
    return run_in_thread(partial(_voiced, transcript, parcel, heard, options, registry))


def _voiced(
    transcript: Transcript, parcel: Parcel, heard: Heard, options: TranscriptionOptions, registry: ProviderRegistry
) -> Transcript:
    voices = list[tuple[Span, Voiceprints | None]]()
    if registry.diarizer is not None:
        sound = bytearray()
        with decode(parcel.data) as decoding:
            blocks = _keeping(decoding, sound) if are_wanted(heard, options) else decoding
            for chunk in cut(blocks, CutProfile()):
                told = with_voiceprints(Heard(), chunk, options, registry.diarizer)
                voices.append((chunk.span, told.voiceprints))
        if sound:
            voices = _with_words(voices, heard, bytes(sound), options, registry)
    return labelled(transcript, voices, options, registry.diarizer)


def _with_words(
    voices: Sequence[tuple[Span, Voiceprints | None]],
    heard: Heard,
    sound: bytes,
    options: TranscriptionOptions,
    registry: ProviderRegistry,
) -> list[tuple[Span, Voiceprints | None]]:
    """The words of a text without times, which is that of the whole sound, beside the first voices."""
    (span, prints), *others = voices
    told = beside(replace(heard, voiceprints=prints), Chunk(whole(len(sound) // 2), sound), options, registry)
    return [(span, told.voiceprints), *others]


def _second_hearing(first: Transcript, hear: Callable[[], Transcript]) -> Transcript:
    """What looks better; no words are lost because they looked made up."""
    try:
        second = hear()
    except (ProviderError, RoutesExhausted, UnsupportedValue):  # the first answer is there, and flagged
        return first
    if not second.model_used:  # nobody was asked again: the gate is certain that there is nothing to hear
        return second
    lost = not second.text or (_made_up(second) and len(second.text) < len(first.text))
    return first if lost else second


def _made_up(transcript: Transcript) -> bool:
    """Whether much of the text looks as if nobody had said it."""
    doubtful = sum(len(segment.text) for segment in transcript.segments if _MADE_UP & set(segment.suspect))
    return doubtful > _MOSTLY * max(1, len(transcript.text))
