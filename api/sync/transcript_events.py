"""A transcription as the events of OpenAI's stream (contract.md section 1.5): deltas, with diarized_json segments, an end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.requests.usage_object import tokens
from pipeline.formats.diarized_json import check_told, diarized
from pipeline.formats.json import languages, logprob
from pipeline.options import TranscriptionOptions
from pipeline.quality.omissions import quality, told
from pipeline.text.speaker_turns import label
from pipeline.transcript import Segment, TokenUsage, Transcript
from pipeline.word_spacing import space_between

Event = dict[str, Any]


class TranscriptEvents:
    """Hand it the segments as they become certain, in order. All deltas together are the text of the last event."""

    def __init__(self, options: TranscriptionOptions) -> None:
        self._options = options
        self._told = 0  # segments, with who speaks
        self._open = False  # whether who speaks is not known before the end
        self._last = ""

    def segments(self, fresh: Sequence[Segment]) -> Iterator[Event]:
        """What to say of them."""
        for segment in fresh:
            self._open = self._open or not self._options.diarized or label(segment) is None
            if self._open:
                yield from self._delta(segment.text)
                continue
            shown = diarized(self._told, segment)
            yield from ({**delta, "segment_id": shown["id"]} for delta in self._delta(segment.text))
            yield shown
            self._told += 1

    def _delta(self, spoken: str) -> Iterator[Event]:
        if text := spoken.strip():
            yield {"type": "transcript.text.delta", "delta": space_between(self._last, text) + text}
            self._last = text[-1]  # its script decides whether a space comes next

    def late(self, transcript: Transcript) -> Iterator[Event]:
        """The segments whose speakers are known only now, after all text."""
        if self._options.diarized:
            check_told(transcript)
            fresh = transcript.segments[self._told :]
            yield from (diarized(number, segment) for number, segment in enumerate(fresh, start=self._told))

    def end(self, transcript: Transcript, booked: TokenUsage | None = None) -> Event:
        """The last event. Its `usage` is of one kind only, tokens: those that are `booked`, else a provider's count, or none.

        Raises UnsupportedValue when speakers were to be told apart and nobody did.
        """
        if self._options.diarized:
            check_told(transcript)
        event: Event = {
            "type": "transcript.text.done",
            "text": transcript.text,
            **languages(transcript),
            **(quality(transcript) if self._options.diarized else {}),
            **told(transcript),
        }
        if transcript.logprobs and "logprobs" in self._options.include:
            event["logprobs"] = [logprob(one) for one in transcript.logprobs]
        used = booked or transcript.usage
        return event | ({"usage": tokens(used)} if used else {})
