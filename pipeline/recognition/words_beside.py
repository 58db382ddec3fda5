"""Words of a text that came without times, told beside it: nobody reads them, they only show whose each word is.

So the recording is cut, and its text heard, as it is where nobody asks who speaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import islice

from pipeline.cut.cutter import Chunk
from pipeline.options import TranscriptionOptions
from pipeline.provider_protocol import Align
from pipeline.recognition.long_alignment import laid_over
from pipeline.stitch.timeline import on_recording
from pipeline.stitch.unjoined import unjoined
from pipeline.text.segment_words import SegmentWords
from pipeline.text.word_match import Spoken, normal
from pipeline.transcript import Heard, Segment, Word, samples_to_ms
from pipeline.word_spacing import joined


def are_wanted(heard: Heard, options: TranscriptionOptions) -> bool:
    """Whether it takes them to know who says what."""
    return options.tells_apart and not heard.timed and not any(one.speaker for one in heard.segments)


def with_words_beside(heard: Heard, chunk: Chunk, align: Align) -> Heard:
    """The answer for a chunk whose voices are known, with its words among these, on the recording's clock."""
    if heard.voiceprints is None:
        return heard
    text = joined(segment.text.strip() for segment in heard.segments)
    words = laid_over(text, chunk.pcm, heard.language, align)
    if not words:
        return heard
    first, last = samples_to_ms(chunk.span.audio_start), samples_to_ms(chunk.span.audio_end)
    whole = unjoined((Segment(text, words[0].start, words[-1].end, words),), chunk.span)
    placed = tuple(word for segment in on_recording(whole, first, last - first) for word in segment.words)
    return replace(heard, voiceprints=replace(heard.voiceprints, words=placed))


def placed(segments: Sequence[Segment], words: Sequence[Word]) -> Sequence[Segment]:
    """Segments without words, with these where they are the same; the others between their neighbours. Texts stay as they are."""
    if not words or any(segment.words for segment in segments):
        return segments
    tokens = [SegmentWords(segment, ()).tokens for segment in segments]
    times = iter(list(_times([token for some in tokens for token in some], words)))
    return [_timed(segment, list(islice(times, len(some)))) for segment, some in zip(segments, tokens, strict=True)]


def _times(tokens: Sequence[Spoken], words: Sequence[Word]) -> Iterator[Word]:
    """Each with the time of its word, never before the one before, nor behind the next one that is known."""
    mine, theirs = ([normal(one.text) for one in side] for side in (tokens, words))
    blocks = SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
    known = {a + at: words[b + at] for a, b, size in blocks for at in range(size)}
    limits, limit = list[int](), max(words[-1].end, tokens[-1].end) if tokens else 0
    for at in reversed(range(len(tokens))):
        limit = min(limit, known[at].start) if at in known else limit
        limits.append(limit)
    before = 0
    for at, (token, most) in enumerate(zip(tokens, reversed(limits), strict=True)):
        told = known.get(at, token)
        start = min(max(told.start, before), most)
        before = start
        yield Word(token.text, start, max(start, told.end if at in known else min(told.end, most)))


def _timed(segment: Segment, words: Sequence[Word]) -> Segment:
    if not words:
        return segment
    return segment.told(segment.text, words[0].start, max(word.end for word in words), tuple(words))
