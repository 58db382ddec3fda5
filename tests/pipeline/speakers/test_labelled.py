"""A recording's voices become names and letters, whatever it was cut into; and where they cannot, it says so."""

import base64
import io
import wave
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InvalidRequest, SpeakersUnknown
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import say
from pipeline.speakers.diarizer import Diarizer
from pipeline.speakers.labelled import NOT_HEARD, UNKNOWN, Part, labelled, letters
from pipeline.transcript import SAMPLE_RATE, Segment, Transcript, Voiceprints, Word
from tests.support.few_voices import FewVoices, diarizer, span_of, spoken

Turns = list[tuple[int, float]]
OVERLAP = 3 * SAMPLE_RATE // 2  # samples of a forced seam, on each side
TALK: Turns = [(3, 5), (0, 1), (1, 4.2), (3, 6.1), (0, 0.6), (2, 7), (1, 5)]
AUTO = TranscriptionOptions(model="any", speakers="auto")
DIARIZED = TranscriptionOptions(model="any", response_format="diarized_json")


def said(turns: Turns, place: tuple[int | None, int | None] = (None, None), edge: int = 50) -> Transcript:
    """A word every 400 ms of speech, so far from where another one speaks, called by whose it is; segments know nothing of
    speakers."""
    words, at = [], 0
    for who, seconds in turns:
        end = at + round(1000 * seconds)
        if who:
            words += [Word(f"of{who}", start, start + 300) for start in range(at + edge, end - 300 - edge, 400)]
        at = end
    segments = [words[first : first + 9] for first in range(0, len(words), 9)]
    return Transcript(
        tuple(
            Segment(
                " ".join(w.text for w in some),
                some[0].start,
                some[-1].end,
                tuple(some),
                track=place[0],
                channel=place[1],
            )
            for some in segments
        ),
        at,
    )


def parts(turns: Turns, voices: Diarizer, pieces: int = 1, **more: int) -> list[Part]:
    """Cut after every so many turns."""
    found, begin, size = list[Part](), 0, -(-len(turns) // pieces)
    for some in (turns[at : at + size] for at in range(0, len(turns), size)):
        span = span_of(*some, begin=begin, **more)
        found.append((span, voices.voiceprints(spoken(*some), span)))
        begin = span.own_end
    return found


def who_said(transcript: Transcript) -> dict[str, set[str | None]]:
    """By the words of each voice, the labels they have."""
    found: dict[str, set[str | None]] = {}
    for segment in transcript.segments:
        for word in segment.words:
            found.setdefault(word.text, set()).add(segment.speaker)
    return found


def called(name: str, sound: bytes) -> dict[str, list[str]]:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(sound)
    return {
        "known_speaker_names": [name],
        "known_speaker_references": ["data:audio/wav;base64," + base64.b64encode(memory.getvalue()).decode()],
    }


@pytest.mark.parametrize("options", [AUTO, DIARIZED, TranscriptionOptions(model="any", speakers=3)])
@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_letters_are_given_in_the_order_in_which_voices_are_first_heard(
    options: TranscriptionOptions, pieces: int
) -> None:
    voices = diarizer()
    told = labelled(said(TALK), parts(TALK, voices, pieces), options, voices)
    assert who_said(told) == {"of3": {"A"}, "of1": {"B"}, "of2": {"C"}}
    assert told.speakers is not None and told.speakers.found == 3 and told.speakers.confidence > 0.5
    assert not told.warnings
    assert told.text == said(TALK).text and told.words == said(TALK).words


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.3, 28.5), max_size=12, unique=True))
def test_no_label_changes_because_a_chunk_ends(cuts: list[float]) -> None:
    """Wherever that is, in the middle of what somebody says as well."""
    voices, found = diarizer(), list[Part]()
    whole, sound = span_of(*TALK), spoken(*TALK)
    edges = [0, *(round(cut * SAMPLE_RATE) for cut in sorted(cuts)), whole.own_end]
    for start, end in pairwise(edges):
        first, last = max(0, start - OVERLAP), min(whole.own_end, end + OVERLAP)
        inside = tuple((max(a, first), min(b, last)) for a, b in whole.speech_map if a < last and b > first)
        span = replace(whole, audio_start=first, audio_end=last, own_start=start, own_end=end, speech_map=inside)
        found.append((span, voices.voiceprints(sound[2 * first : 2 * last], span)))
    told = labelled(said(TALK, edge=500), found, AUTO, voices)
    assert who_said(told) == {"of3": {"A"}, "of1": {"B"}, "of2": {"C"}}


def test_a_letter_that_is_somebodys_name_is_nobody_elses() -> None:
    voices = diarizer()
    options = AUTO.model_copy(update={"known_speaker_names": ("A",)})
    told = labelled(said(TALK), parts(TALK, voices), options, voices)
    assert who_said(told) == {"of3": {"B"}, "of1": {"C"}, "of2": {"D"}}


def test_unasked_nothing_is_done() -> None:
    engine = FewVoices()
    plain = said(TALK)
    for options in (TranscriptionOptions(model="any"), AUTO.model_copy(update={"task": "translation"})):
        assert labelled(plain, [], options, diarizer(engine)) is plain
    assert engine.asked == []


def test_one_voice_is_a_and_nobody_is_nobody() -> None:
    voices = diarizer()
    alone: Turns = [(2, 9)]
    told = labelled(said(alone), parts(alone, voices), DIARIZED, voices)
    assert who_said(told) == {"of2": {"A"}}
    nobody = Transcript((), 5000)
    assert labelled(nobody, [], DIARIZED, voices) == nobody


def test_voices_are_told_apart_within_each_channel() -> None:
    voices = diarizer()
    sides: dict[int, Turns] = {0: [(1, 6), (2, 6), (1, 6)], 1: [(3, 9)]}
    segments = [one for channel, turns in sides.items() for one in said(turns, (None, channel)).segments]
    whole = Transcript(tuple(sorted(segments, key=lambda one: one.start)), 18_000)
    given = [part for channel, turns in sides.items() for part in parts(turns, voices, channel=channel)]
    told = labelled(whole, given, AUTO.model_copy(update={"channels": "separate"}), voices)
    assert who_said(told) == {"of1": {"channel_0:A"}, "of2": {"channel_0:B"}, "of3": {None}}
    assert told.speakers is not None and told.speakers.found == 3
    starts = [segment.start for segment in told.segments]
    assert starts == sorted(starts)


@pytest.mark.parametrize("broken", ["measure", "compare", "missing"])
def test_what_cannot_be_told_apart_is_delivered_with_a_warning(broken: str) -> None:
    engine = FewVoices()
    voices = diarizer(engine)
    heard = [(span, None if broken == "measure" else prints) for span, prints in parts(TALK, voices, 2)]
    engine.broken.add(broken)
    here = None if broken == "missing" else voices
    told = labelled(said(TALK), heard, AUTO, here)
    assert replace(told, warnings=()) == said(TALK)
    assert [one.code for one in told.warnings] == [UNKNOWN]
    with pytest.raises(SpeakersUnknown):
        labelled(said(TALK), heard, DIARIZED, here)


def test_a_part_of_which_the_voices_are_unknown_has_the_nearest_labels() -> None:
    voices = diarizer()
    first, second = parts([(1, 6), (0, 1), (2, 6), (0, 1)], voices, 2)
    told = labelled(said([(1, 6), (0, 1), (2, 6), (0, 1)]), [first, (second[0], None)], DIARIZED, voices)
    assert who_said(told) == {"of1": {"A"}, "of2": {"A"}}
    assert [one.code for one in told.warnings] == [UNKNOWN]


def test_a_provider_that_has_told_them_apart_in_one_piece_has_the_last_word() -> None:
    theirs = Transcript(tuple(replace(one, speaker="Ann") for one in said(TALK).segments), 30_000)
    assert labelled(theirs, [], DIARIZED, diarizer()) is theirs


def test_a_providers_letters_of_several_parts_are_made_to_hold_for_all() -> None:
    voices = diarizer()
    turns: Turns = [(1, 5), (0, 1), (2, 5), (0, 1), (2, 5), (0, 1), (1, 5), (0, 1)]
    plain = [Segment(f"of{who}", at * 6000, at * 6000 + 5000, speaker=name) for at, (who, name) in enumerate(
        [(1, "1:A"), (2, "1:B"), (2, "2:A"), (1, "Ann")])]  # fmt: skip
    told = labelled(Transcript(tuple(plain), 24_000), parts(turns, voices, 2), DIARIZED, voices)
    assert [segment.speaker for segment in told.segments] == ["A", "B", "B", "Ann"]
    unknown = labelled(Transcript(tuple(plain), 24_000), [], DIARIZED, None)
    assert [segment.speaker for segment in unknown.segments] == ["1:A", "1:B", "2:A", "Ann"], "as it was"


def test_letters_go_on_behind_z() -> None:
    assert [letters(number) for number in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        "A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA",
    ]  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize("sound", [bytes(2 * 3 * SAMPLE_RATE), b""])
def test_a_reference_without_speech_is_refused(sound: bytes) -> None:
    voices = diarizer()
    options = DIARIZED.model_validate({**DIARIZED.model_dump(), **called("Ann", sound)})
    with pytest.raises(InvalidRequest, match="Ann") as refused:
        labelled(said(TALK), parts(TALK, voices), options, voices)
    assert refused.value.param == "known_speaker_references"


@pytest.mark.processes
def test_a_name_that_nobody_fits_is_told() -> None:
    voices = diarizer()
    options = DIARIZED.model_validate({**DIARIZED.model_dump(), **called("Ann", say(["river"] * 6))})
    told = labelled(said(TALK), parts(TALK, voices), options, voices)
    assert who_said(told) == {"of3": {"A"}, "of1": {"B"}, "of2": {"C"}}
    (warning,) = told.warnings
    assert warning.code == NOT_HEARD and "'Ann'" in warning.message
    named = DIARIZED.model_copy(update={"known_speaker_names": ("Bob",)})
    assert [one.code for one in labelled(said(TALK), parts(TALK, voices), named, voices).warnings] == [NOT_HEARD]


def test_prints_are_what_is_kept_and_nothing_of_the_sound() -> None:
    span = span_of((1, 3.0))
    prints = diarizer().voiceprints(spoken((1, 3.0)), span)
    assert len(prints.places) == 3 and isinstance(prints, Voiceprints)
    assert len(base64.b64decode(prints.vectors)) == 3 * 2 * 64
