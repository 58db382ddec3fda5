"""Sound to text and text to sound: the steps in reading order."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.audio.encode import encode
from pipeline.catalog.model import Route
from pipeline.concurrency.stopping import stopped_by
from pipeline.cut.channel_chunks import WHOLE, Sound
from pipeline.cut.cutter import Chunk, CutProfile, Span
from pipeline.cut.time_range import Part
from pipeline.errors import (
    InvalidRequest,
    JobCancelled,
    ProviderNonsense,
)
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_protocol import Speaker, Transcriber, Voice, is_live, is_particular
from pipeline.provider_registry import ProviderRegistry
from pipeline.quality.omissions import clock_end, with_findings
from pipeline.recognition.in_parts import heard_in_parts
from pipeline.recognition.language_pin import VOTERS, may_vote, pinned, wants_pin
from pipeline.recognition.retry_suspect import hear_well
from pipeline.recognition.word_times import with_words
from pipeline.recognition.words_beside import are_wanted, with_words_beside
from pipeline.resilience.route_watch import asking
from pipeline.routing.next_route import first_that_speaks, first_there
from pipeline.speakers.diarizer import with_voiceprints
from pipeline.speakers.labelled import labelled
from pipeline.speakers.reference_samples import check_references
from pipeline.stitch.channels import ALONE, Place, together
from pipeline.stitch.stitcher import Stitcher
from pipeline.text.speaker_labels import is_of_a_part, told_apart
from pipeline.text.text_splitter import passages
from pipeline.transcript import Heard, Segment, TokenUsage, Transcript, Voiceprints, samples_to_ms

Progress = Callable[[int, int], None]  # (ms transcribed, ms decoded so far)
Length = Callable[[int], None]  # (ms of sound that are about to be heard, all together)
# The segments that have become certain since the last call, and who heard most so far.
Listener = Callable[[Sequence[Segment], str], None]

SAMPLE_BYTES = 2
LONGEST_UTTERANCE = 4096  # characters: what every provider of speech takes in one request
_PATIENCE_S = 0.3  # after the first sound, for a header that tells the length: nobody hears that much


def transcribe(
    source: Path | bytes,
    options: TranscriptionOptions,
    registry: ProviderRegistry,
    *,
    on_progress: Progress | None = None,
    on_segments: Listener | None = None,
    on_length: Length | None = None,
    workers: int = 1,
    max_seconds: float | None = None,
    part: Part = WHOLE,
) -> Transcript:
    """The whole recording's text: decode, cut, hear (`workers` chunks at once), stitch. The sound is never held whole.

    What `on_segments` is handed, all calls together, has the texts of the transcript's segments, in order, each once; who says
    them only where that is known by then.
    `on_length` is called before anybody is asked; what it raises ends the work.
    `part`: nothing else is heard, and times stay those of the whole.
    Raises MediaTooLong when there is more than `max_seconds` of it, InvalidRequest when `part` begins behind its end, or there
    is no such track, UnsupportedLanguage when nobody hears the one asked for.
    """
    check_references(options, registry.diarizer)
    sound = _asked_of(source, options, part, max_seconds)
    told, samples, end = 0, 0, 0
    stitchers: dict[Place, Stitcher] = {}
    voices: list[tuple[Span, Voiceprints | None]] = []
    tell = _nameless(on_segments) if options.tells_apart and registry.diarizer else on_segments
    with closing(sound.chunks(cut_profile(options, registry, live=on_segments is not None))) as chunks:
        for span, heard in _hear_all(_announced(chunks, on_length), options, registry, workers):
            stitcher = stitchers.setdefault((span.track, span.channel), Stitcher())
            stitcher.add(span, heard)
            voices.append((span, heard.voiceprints))
            told += 0 if options.apart else _tell(tell, stitcher, told)
            samples, end = samples + span.owned, max(end, span.own_end)
            if on_progress:
                on_progress(samples_to_ms(samples), samples_to_ms(sound.samples))
    transcript = with_findings(_finished(stitchers, clock_end(end, sound.findings), options), sound.findings, samples)
    whole = labelled(transcript, voices, options, registry.diarizer)
    if told and tell and transcript.segments[told:]:
        tell(transcript.segments[told:], transcript.model_used)
    elif on_segments and whole.segments and not told:
        on_segments(whole.segments, transcript.model_used)
    return replace(whole, language=transcript.language or options.text_language)


def hear_chunk(chunk: Chunk, options: TranscriptionOptions, registry: ProviderRegistry) -> Heard:
    """What is said in one chunk, asked again where the answer looks wrong; no call for one that is not sent. Raises as `hear`."""
    if not chunk.span.is_sent:
        return Heard()
    heard = hear_well(chunk, options, lambda pcm, asked: hear(pcm, asked, registry))
    heard = told_apart(heard, chunk.span, options.known_speaker_names)
    heard = with_voiceprints(heard, chunk, options, registry.diarizer)
    return beside(heard, chunk, options, registry)


def beside(heard: Heard, chunk: Chunk, options: TranscriptionOptions, registry: ProviderRegistry) -> Heard:
    """With the words of a text without times beside its voices, where they are wanted and can be told."""
    align = registry.aligner() if are_wanted(heard, options) else None
    return with_words_beside(heard, chunk, align) if align else heard


def hear(chunk_pcm: bytes, options: TranscriptionOptions, registry: ProviderRegistry) -> Heard:
    """What is said in one chunk, by the first route that can tell. Raises the one ProviderError, or RoutesExhausted."""

    def ask(route: Route) -> Heard:
        asking(route.model)
        began = time.monotonic()
        heard = _heard_by(route, chunk_pcm, options, registry)
        used = heard.model_used or route.model
        registry.paces.note(used, samples_to_ms(len(chunk_pcm) // SAMPLE_BYTES), time.monotonic() - began)
        return replace(heard, model_used=used)

    catalog = registry.catalog
    return first_there(catalog.gone, options.task, lambda: catalog.routes_for(options), ask)


def _heard_by(route: Route, pcm: bytes, options: TranscriptionOptions, registry: ProviderRegistry) -> Heard:
    """In parts as long as it takes them; with the words of a text that it cannot time, where somebody reads them."""
    transcriber = registry.transcriber(route)

    def hear_part(part: bytes) -> Heard:
        return timed(transcriber.hear(part, options, route.model), part, options, registry)

    return heard_in_parts(pcm, _profile(transcriber, options, route, live=False), hear_part)


def timed(heard: Heard, pcm: bytes, options: TranscriptionOptions, registry: ProviderRegistry) -> Heard:
    """With words, where they are read and can be told. Of a translation they cannot: it is not what is said."""
    known = heard.timed or any(segment.speaker for segment in heard.segments)
    wanted = options.shows_times and not known and options.task == "transcription"
    align = registry.aligner() if wanted else None
    return with_words(heard, pcm, align) if align else heard


def of_a_job(options: TranscriptionOptions, registry: ProviderRegistry) -> TranscriptionOptions:
    """The options of a text that is kept and read in any format later: words are wanted, where all can be had."""
    return options.model_copy(update={"word_times": registry.aligner() is not None})


def speak(options: SpeechOptions, registry: ProviderRegistry) -> Speech:
    """The text's sound in `options.response_format`. Returns when the first block is there: earlier failures raise here."""
    utterances = list(passages(options.input, longest=LONGEST_UTTERANCE))
    if not utterances:
        raise InvalidRequest("input text is required", param="input")

    def ask(route: Route, voiced: SpeechOptions) -> Speech:
        spoken = Spoken(route.model)
        return Speech(_spoken(utterances, voiced, registry.speaker(route), route, spoken), spoken)

    return first_that_speaks(options, registry.catalog, ask)


@dataclass
class Spoken:
    """What is known of a speech while it is made. `usage`: the provider's count of tokens, once it has told one."""

    model_used: str
    milliseconds: int = 0
    usage: TokenUsage | None = None


class Speech(Iterator[bytes]):
    """Encoded sound, block by block. `model_used` is known from the beginning. Close it when you stop early, from any thread."""

    def __init__(self, encoded: Iterator[bytes], spoken: Spoken) -> None:
        self._spoken = spoken
        self._encoded = encoded
        self._lock, self._closed = threading.Lock(), threading.Event()
        with stopped_by(self._check):
            self._blocks = itertools.chain([next(encoded, b"")], encoded)

    @property
    def model_used(self) -> str:
        """Who speaks."""
        return self._spoken.model_used

    @property
    def milliseconds(self) -> int:
        """How much has been spoken so far."""
        return self._spoken.milliseconds

    @property
    def usage(self) -> TokenUsage | None:
        """What the provider has counted, where it counts; whole after the last block."""
        return self._spoken.usage

    def __next__(self) -> bytes:
        with self._lock, stopped_by(self._check):
            return next(self._blocks)

    def close(self) -> None:
        """Stop, and let go of the encoder; a block that somebody waits for does not come any more."""
        self._closed.set()
        close = getattr(self._encoded, "close", None)
        if close:
            with self._lock:
                close()

    def _check(self) -> None:
        if self._closed.is_set():
            raise JobCancelled


def cut_profile(options: TranscriptionOptions, registry: ProviderRegistry, *, live: bool = False) -> CutProfile:
    """How to cut for the model's routes: no chunk is longer than any of them takes. `live`: somebody reads while it is heard."""
    profiles = [
        _profile(registry.transcriber(route), options, route, live) for route in registry.catalog.routes_for(options)
    ]
    return replace(min(profiles, key=lambda profile: profile.max_s), gated=options.gated)


def _profile(transcriber: Transcriber, options: TranscriptionOptions, route: Route, live: bool) -> CutProfile:
    if live and is_live(transcriber):
        return transcriber.live_profile
    return transcriber.profile_for(options, route.model) if is_particular(transcriber) else transcriber.profile


def routes_of(options: TranscriptionOptions | SpeechOptions, registry: ProviderRegistry) -> Sequence[Route]:
    """Who is asked, best first."""
    if isinstance(options, SpeechOptions):
        return registry.catalog.routes(options.model, "speech")
    return registry.catalog.routes_for(options)


def is_local(options: TranscriptionOptions | SpeechOptions, registry: ProviderRegistry) -> bool:
    """Whether the model's first route computes on this machine."""
    return _is_here(routes_of(options, registry)[0], options, registry)


def stands_in_line(options: TranscriptionOptions | SpeechOptions, registry: ProviderRegistry) -> bool:
    """Whether the model's first route computes on this machine with an engine for which its workers wait in a line."""
    return is_local(options, registry) and registry.has_line(routes_of(options, registry)[0])


def is_remote(options: TranscriptionOptions | SpeechOptions, registry: ProviderRegistry) -> bool:
    """Whether one of the model's routes leads to another machine."""
    return not all(_is_here(route, options, registry) for route in routes_of(options, registry))


def _is_here(route: Route, options: TranscriptionOptions | SpeechOptions, registry: ProviderRegistry) -> bool:
    provider = registry.speaker(route) if isinstance(options, SpeechOptions) else registry.transcriber(route)
    return provider.local


def _asked_of(source: Path | bytes, options: TranscriptionOptions, part: Part, max_seconds: float | None) -> Sound:
    """What the caller wants to have heard of the recording."""
    return Sound(
        source,
        part=part,
        separate=options.separate,
        track=options.audio_track,
        max_seconds=max_seconds,
        declared=options.raw,
    )


def _finished(stitchers: Mapping[Place, Stitcher], duration: int, options: TranscriptionOptions) -> Transcript:
    """One transcript of one recording, or of its tracks and channels."""
    task = "translate" if options.task == "translation" else "transcribe"
    each = stitchers or {ALONE: Stitcher()}
    return together({place: stitcher.finish(duration=duration, task=task) for place, stitcher in each.items()})


def _announced(chunks: Iterable[Chunk], on_length: Length | None) -> Iterator[Chunk]:
    samples = 0
    for chunk in chunks:
        samples += chunk.span.owned
        if on_length:
            on_length(samples_to_ms(samples))
        yield chunk


def _nameless(listener: Listener | None) -> Listener | None:
    """Told without the names that hold for one part only: those that hold for all are found in the end."""
    if listener is None:
        return None

    def tell(segments: Sequence[Segment], model: str) -> None:
        listener([replace(one, speaker=None) if is_of_a_part(one.speaker or "") else one for one in segments], model)

    return tell


def _tell(listener: Listener | None, stitcher: Stitcher, told: int) -> int:
    """Hand out what is certain by now; returns how many segments that were."""
    fresh = stitcher.settled[told:] if listener else ()
    if listener and fresh:
        listener(fresh, stitcher.model_used)
    return len(fresh)


def _hear_all(
    chunks: Iterable[Chunk], options: TranscriptionOptions, registry: ProviderRegistry, workers: int
) -> Iterator[tuple[Span, Heard]]:
    """Every chunk's answer in order. A few chunks are heard ahead, never more: memory does not grow with length."""
    asked, voters = options, list[Heard]()
    waiting: deque[tuple[Span, Future[Heard]]] = deque()
    threads = ThreadPoolExecutor(workers, thread_name_prefix="hear")
    patient = True
    try:
        for chunk in chunks:
            waiting.append((chunk.span, threads.submit(copy_context().run, hear_chunk, chunk, asked, registry)))
            while len(waiting) > 2 * workers or (waiting and waiting[0][1].done()):
                span, answer = waiting.popleft()
                heard = answer.result()
                if wants_pin(asked) and may_vote(span) and len(voters) < VOTERS:
                    voters.append(heard)
                    asked = pinned(options, voters)
                yield span, heard
        yield from ((span, answer.result()) for span, answer in waiting)
    except KeyboardInterrupt:
        patient = False  # the caller goes on to close the providers, which ends the engines at once; chunks take long
        raise
    finally:
        threads.shutdown(wait=patient, cancel_futures=True)


def _spoken(
    utterances: Sequence[str], options: SpeechOptions, speaker: Speaker, route: Route, spoken: Spoken
) -> Iterator[bytes]:
    """The encoded sound of all utterances, one after the other. Keeps `spoken` up to date."""

    def voiced() -> Iterator[bytes]:
        size = 0
        for utterance in utterances:
            voice = speaker.speak(options.model_copy(update={"input": utterance}), route.model)
            spoken.model_used = voice.model_used if isinstance(voice, Voice) else route.model
            for block in voice:
                size += len(block)
                spoken.milliseconds = size * 1000 // (SAMPLE_BYTES * speaker.sample_rate)
                yield block
            if isinstance(voice, Voice) and voice.usage is not None:
                spoken.usage = voice.usage if spoken.usage is None else spoken.usage + voice.usage

    # The encoder starts while the provider thinks, and is ready for its first block. What it writes before that, a container's
    # head, is kept back: whoever has got the first block knows that there is sound, and every earlier failure raises.
    encoded = encode(
        _present(voiced(), route), sample_rate=speaker.sample_rate, target=options.response_format, patience=_PATIENCE_S
    )
    head = bytearray()
    for block in encoded:
        head += block
        if spoken.milliseconds:
            break
    yield bytes(head)
    yield from encoded


def _present(sound: Iterator[bytes], route: Route) -> Iterator[bytes]:
    """The same, of which there must be some. A generator, so that an encoder that is left early can close the voice at once."""
    first = next(sound, b"")
    if not first:
        raise ProviderNonsense("The provider returned no sound", provider=route.provider)
    yield first
    yield from sound
