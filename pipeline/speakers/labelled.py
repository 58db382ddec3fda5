"""The transcript of a recording whose voices are all known: each segment gets the name or the letter of who says it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count as counting
from itertools import filterfalse

from pipeline.cut.cutter import Span
from pipeline.errors import InvalidRequest, ProviderError, SpeakersUnknown
from pipeline.options import TranscriptionOptions
from pipeline.recognition.words_beside import placed
from pipeline.speakers.diarizer import Course, Diarizer
from pipeline.speakers.excerpts import joined, stretches_of
from pipeline.speakers.reference_samples import samples
from pipeline.speakers.word_speakers import Spoken, Timeline, given
from pipeline.stitch.channels import Place
from pipeline.text.speaker_labels import is_of_a_part
from pipeline.text.speaker_turns import label
from pipeline.transcript import Caution, Segment, SpeakersFound, Transcript, Voiceprints, Word
from pipeline.weights.voices import INSTALL

CAUTIONS = UNKNOWN, NOT_HEARD = "speakers_unknown", "speaker_not_heard"
_FAILED = (
    "The model that knows voices has failed: the log says why, and `stenopool models verify` whether it is damaged."
)
_LOG = logging.getLogger(__name__)

Part = tuple[Span, Voiceprints | None]
Voice = tuple[Place, int | None]  # a speaker's number, where he was heard


def labelled(
    transcript: Transcript, parts: Sequence[Part], options: TranscriptionOptions, diarizer: Diarizer | None
) -> Transcript:
    """The same with speakers, where they were asked for. What a provider has told apart in one piece stays as it is.

    Where it cannot be done a warning says so. Raises SpeakersUnknown instead where speakers are what was asked for, InvalidRequest
    for a reference that is none, and what stops the work.
    """
    if not options.tells_apart or not transcript.segments or _is_told(transcript):
        return transcript
    if diarizer is None and options.speakers is None and _is_named(transcript):
        return transcript
    try:
        if diarizer is None:
            raise SpeakersUnknown(f"The model that knows voices is not installed here: `{INSTALL}`")
        return _labelled(transcript, parts, options, diarizer)
    except InvalidRequest:
        raise
    except ProviderError as error:
        if options.diarized and not _is_named(transcript):
            raise error if isinstance(error, SpeakersUnknown) else SpeakersUnknown(error.message) from error
        _LOG.warning("the speakers are not told apart: %s", error.message)
        return _warned(transcript, UNKNOWN, f"The speakers were not told apart. {error.message}")


def _is_named(transcript: Transcript) -> bool:
    return any(label(segment) for segment in transcript.segments)


def _is_told(transcript: Transcript) -> bool:
    """Whether somebody else has told the speakers apart, with names that hold for the whole recording."""
    named = [segment.speaker for segment in transcript.segments if segment.speaker]
    return bool(named) and not any(map(is_of_a_part, named))


def _labelled(
    transcript: Transcript, parts: Sequence[Part], options: TranscriptionOptions, diarizer: Diarizer
) -> Transcript:
    prints = [one for span, one in parts if span.is_sent and one is not None]
    unknown = [span for span, one in parts if span.is_sent and one is None and stretches_of(span)]
    if not prints and unknown:
        raise SpeakersUnknown(_FAILED)
    known = samples(options, diarizer)
    count = options.speakers if isinstance(options.speakers, int) else None
    courses = {
        place: diarizer.course(
            [one for _, one in mine if one is not None],
            joined(stretch for span, _ in mine for stretch in stretches_of(span)),
            count=count,
            samples=known,
        )
        for place, mine in _by_place(parts).items()
    }
    words = {place: [word for _, one in mine if one for word in one.words] for place, mine in _by_place(parts).items()}
    told = _told(transcript, courses, words, options.known_speaker_names)
    missed = [name for name in options.known_speaker_names if name not in {one.speaker for one in told.segments}]
    for name in missed:
        told = _warned(told, NOT_HEARD, f"No voice of this recording was found to be that of {name!r}.")
    if unknown:
        told = _warned(
            told, UNKNOWN, "In a part of the recording the voices are not known: its labels are the nearest ones."
        )
    return told


def _by_place(parts: Sequence[Part]) -> Mapping[Place, list[Part]]:
    places: dict[Place, list[Part]] = {}
    for part in parts:
        places.setdefault((part[0].track, part[0].channel), []).append(part)
    return places


def _told(
    transcript: Transcript, courses: Mapping[Place, Course], words: Mapping[Place, list[Word]], names: Sequence[str]
) -> Transcript:
    spoken: list[tuple[Segment, Voice]] = []
    for place, course in courses.items():
        mine = [segment for segment in transcript.segments if (segment.track, segment.channel) == place]
        spoken += [(one, (place, who)) for one, who in _spoken(placed(mine, words[place]), Timeline(course.turns))]
    spoken.sort(key=lambda one: (one[0].start, one[1][0][0] or 0, one[1][0][1] or 0))
    called = _Labels([voice for _, voice in spoken], courses, names)
    segments = tuple(
        segment if segment.speaker and not is_of_a_part(segment.speaker) else replace(segment, speaker=called.of(voice))
        for segment, voice in spoken
    )
    found = {label(segment) for segment in segments}
    return replace(transcript, segments=segments, speakers=SpeakersFound(len(found), _confidence(segments)))


def _spoken(segments: Sequence[Segment], timeline: Timeline) -> list[Spoken]:
    """By the words, or, where a provider has told the speakers of each part apart, by what most of theirs is in that part."""
    if not any(segment.speaker for segment in segments):
        return given(segments, timeline)
    times: defaultdict[str | None, defaultdict[int | None, int]] = defaultdict(lambda: defaultdict(int))
    for segment in segments:
        times[segment.speaker][timeline.at(segment.start, segment.end)[0]] += segment.end - segment.start + 1
    return [
        (segment, max(mine, key=lambda one: mine[one])) for segment in segments for mine in (times[segment.speaker],)
    ]


def _confidence(segments: Sequence[Segment]) -> float:
    """Weighted by time."""
    sure = [(one.end - one.start + 1, one.speaker_confidence) for one in segments]
    known = [(time, confidence) for time, confidence in sure if confidence is not None]
    time = sum(time for time, _ in known)
    return round(sum(time * confidence for time, confidence in known) / time, 3) if time else 0.0


class _Labels:
    """What each voice is called: by the name that fits, else by letters in the order in which they are first heard."""

    def __init__(self, order: Sequence[Voice], courses: Mapping[Place, Course], names: Sequence[str]) -> None:
        self._called: dict[Voice, str | None] = {}
        voices = list(dict.fromkeys(order))
        for place in courses:
            here = [voice for voice in voices if voice[0] == place]
            named = {voice: names[at] for voice in here if (at := _sample(courses[place], voice[1])) >= 0}
            unnamed = [voice for voice in here if voice not in named]
            self._called |= named
            free = filterfalse(names.__contains__, map(letters, counting()))  # somebody may be called A
            self._called |= {voice: _of_place(place, next(free), len(here)) for voice in unnamed}

    def of(self, voice: Voice) -> str | None:
        """None for the only voice of a channel that is heard by itself: the channel says who it is."""
        return self._called[voice]


def _sample(course: Course, who: int | None) -> int:
    return -1 if who is None else course.names[who]


def _of_place(place: Place, letter: str, voices: int) -> str | None:
    where = label(Segment("", 0, 0, track=place[0], channel=place[1]))
    if where is None:
        return letter
    return f"{where}:{letter}" if voices > 1 else None


def letters(number: int) -> str:
    """A to Z, then AA, AB and so on."""
    more, last = divmod(number, 26)
    return (letters(more - 1) if more else "") + chr(ord("A") + last)


def _warned(transcript: Transcript, code: str, message: str) -> Transcript:
    return replace(transcript, warnings=(*transcript.warnings, Caution(code, 0, transcript.duration, message)))
