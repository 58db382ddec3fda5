"""A transcript as a person has corrected it: what differs from the original, segment by segment, which itself never changes.

Segments keep their numbers and their times; one whose text is taken away stays, empty, until the transcript is written out. Words
that a correction leaves alone keep their times, others share the time of those in whose place they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import accumulate

from pydantic import TypeAdapter

from pipeline.errors import InvalidRequest
from pipeline.text.segment_words import found_places, word_places
from pipeline.transcript import Segment, Transcript, Word
from pipeline.word_spacing import joined


@dataclass(frozen=True, slots=True)
class Edits:
    """What differs: whole segments by their numbers, and other names for speakers."""

    segments: Mapping[int, Segment] = field(default_factory=dict)
    speakers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One correction: of a segment's text, of its word number `word` alone, of who says it. None: left as it is."""

    segment: int
    text: str | None = None
    word: int | None = None
    speaker: str | None = None


_EDITS = TypeAdapter(Edits)


def edits_to_json(edits: Edits) -> bytes:
    """The stored form."""
    return _EDITS.dump_json(edits, exclude_defaults=True)


def edits_from_json(data: bytes) -> Edits:
    """Raises pydantic.ValidationError on anything `edits_to_json` did not write."""
    return _EDITS.validate_json(data)


def edited(transcript: Transcript, edits: Edits) -> Transcript:
    """The original with its edits; segments have the same numbers. Tokens of the original's text say nothing of it any more."""
    segments = (edits.segments.get(number, one) for number, one in enumerate(transcript.segments))
    named = tuple(_named(one, edits.speakers) for one in segments)
    return replace(transcript, segments=named, logprobs=() if edits.segments else transcript.logprobs)


def without_blanks(transcript: Transcript) -> Transcript:
    """As it is written out: segments whose text was taken away are gone."""
    return replace(transcript, segments=tuple(one for one in transcript.segments if one.text.strip()))


def changed(
    transcript: Transcript, edits: Edits, changes: Iterable[Change], speakers: Mapping[str, str] | None = None
) -> Edits:
    """The edits of `transcript`, the original, with more of them; `speakers` gives names, as they are shown now, others.

    Raises InvalidRequest for a segment or a word that is not there.
    """
    segments = dict(edits.segments)
    for change in changes:
        if not 0 <= change.segment < len(transcript.segments):
            raise InvalidRequest(f"There is no segment {change.segment}.", param="changes")
        before = segments.get(change.segment) or transcript.segments[change.segment]
        segments[change.segment] = _changed(before, change)
    return Edits(segments, _renamed(transcript, segments, edits.speakers, speakers or {}))


def _named(segment: Segment, names: Mapping[str, str]) -> Segment:
    if segment.speaker is None or segment.speaker not in names:
        return segment
    return replace(segment, speaker=names[segment.speaker])


def _renamed(
    transcript: Transcript, segments: Mapping[int, Segment], known: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str]:
    names = dict(known)
    if wanted:
        speakers = {one.speaker for one in (*transcript.segments, *segments.values()) if one.speaker}
        names |= {one: wanted[shown] for one in speakers if (shown := known.get(one, one)) in wanted}
    return names


def _changed(segment: Segment, change: Change) -> Segment:
    if change.speaker is not None:
        segment = replace(segment, speaker=change.speaker or None, speaker_confidence=None)
    if change.text is None:
        return segment
    if change.word is None:
        text, words = change.text.strip(), _realigned(segment, change.text)
    else:
        text, words = _with_word(segment, change.word, change.text.strip())
    return replace(segment, text=text, words=words, tokens=(), suspect=())


def _with_word(segment: Segment, number: int, text: str) -> tuple[str, tuple[Word, ...]]:
    """The segment's text and words with another one in the place of this. Marks behind it stay, whether they are given again or
    not."""
    if not 0 <= number < len(segment.words):
        raise InvalidRequest(f"The segment has no word {number}.", param="changes")
    places = found_places(segment.text, [word.text.strip() for word in segment.words])
    if places:
        stop = places[number + 1][0] if number + 1 < len(places) else len(segment.text)
        text = text.removesuffix(segment.text[places[number][1] : stop].strip())
    old, spelled = segment.words[number], [text[first:last] for first, last in word_places(text)]
    words = (*segment.words[:number], *_shared(spelled, old.start, old.end), *segment.words[number + 1 :])
    if not places:
        return joined(word.text.strip() for word in words), words
    first, last = places[number]
    whole = segment.text[:first] + text + segment.text[last:]
    return " ".join(whole.split()) if not text else whole.strip(), words


def _realigned(segment: Segment, text: str) -> tuple[Word, ...]:
    """The new text's words: what was there before keeps its time."""
    if not segment.words:
        return ()
    spelled, old = [text[first:last] for first, last in word_places(text)], segment.words
    matcher = SequenceMatcher(None, [_bare(word.text) for word in old], [_bare(one) for one in spelled], autojunk=False)
    return tuple(_aligned(segment, old, spelled, matcher))


def _aligned(
    segment: Segment, old: Sequence[Word], spelled: Sequence[str], matcher: SequenceMatcher[str]
) -> Iterator[Word]:
    for kind, first, last, begin, stop in matcher.get_opcodes():
        if kind == "equal":
            pairs = zip(old[first:last], spelled[begin:stop], strict=True)
            yield from (replace(word, text=one) for word, one in pairs)
        else:
            start = old[first].start if first < last else old[first - 1].end if first else segment.start
            end = old[last - 1].end if first < last else old[last].start if last < len(old) else segment.end
            yield from _shared(spelled[begin:stop], start, max(start, end))


def _shared(spelled: Sequence[str], start: int, end: int) -> Iterator[Word]:
    """Words that share a time by their length."""
    letters = [0, *accumulate(map(len, spelled))]
    times = [start + (end - start) * letter // max(letters[-1], 1) for letter in letters]
    return (Word(one, begin, stop) for one, begin, stop in zip(spelled, times, times[1:], strict=False))


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
