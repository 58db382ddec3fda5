"""One language for a whole recording: what its first chunks agree on is asked for in all later ones.

A detector that hears a chunk alone is often wrong where there is little speech. So the first chunks with enough of it vote; when
they agree the recording keeps that language, when they do not it stays open. Callers who expect several say so (`languages`), and
nothing is pinned then.
"""

from __future__ import annotations

from pipeline.cut.cutter import Span
from pipeline.options import TranscriptionOptions
from pipeline.transcript import SAMPLE_RATE, Heard

VOTERS = 3
_ENOUGH = 5 * SAMPLE_RATE  # samples of speech without which a chunk has no vote


def may_vote(span: Span) -> bool:
    """Whether there is enough speech in it to tell a language."""
    return span.speech_samples >= _ENOUGH and not span.in_doubt


def wants_pin(options: TranscriptionOptions) -> bool:
    """Whether the caller left the language to us."""
    return options.language is None and not options.languages and options.task == "transcription"


def pinned(options: TranscriptionOptions, voters: list[Heard]) -> TranscriptionOptions:
    """With the language that the first VOTERS chunks with a vote agree on, once all have answered."""
    names = {heard.language for heard in voters[:VOTERS] if heard.segments}
    if len(voters) < VOTERS or len(names) != 1 or None in names:
        return options
    return pinned_to(names.pop(), options)


def pinned_to(language: str | None, options: TranscriptionOptions) -> TranscriptionOptions:
    """With a language that was heard, not asked for: nothing is refused for it."""
    return options.model_copy(update={"language": language, "pinned": True}) if language else options
