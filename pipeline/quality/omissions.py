"""What a transcript leaves out: each stretch with its reason in plain words, as a job keeps it and as JSON tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import TypeAdapter

from pipeline.audio.findings import AudioTrack, Findings
from pipeline.errors import StenopoolError
from pipeline.transcript import Caution, Gap, NotSent, Transcript, samples_to_ms

Plain = dict[str, Any]
MOST_GAPS, MOST_WARNINGS = 500, 100  # that are listed one by one

_REASONS = {
    "hole": "The recording has no sound here.",
    "undecodable": "The sound here is damaged and could not be decoded.",
}
_UNKNOWN = "This part could not be heard."
_Told = TypeVar("_Told", Gap, Caution)
_FINDINGS = TypeAdapter(Findings)


def with_findings(transcript: Transcript, findings: Findings, samples: int) -> Transcript:
    """The same, of whose recording this was found out while `samples` of it were decoded and heard."""
    findings = listed(findings)
    return replace(
        transcript,
        gaps=tuple(sorted((*transcript.gaps, *findings.gaps), key=_place)),
        warnings=(*transcript.warnings, *findings.warnings),
        decoded=samples_to_ms(samples),
    )


def listed(findings: Findings) -> Findings:
    """The same as far as it can be listed, for a job's row and each answer hold all of it: of very many gaps and warnings the
    gravest and, where the clock ends with a gap, that one. The rest is summed up in a warning.
    """
    end = max(range(len(findings.gaps)), key=lambda at: findings.gaps[at].end, default=0)
    gaps, left = _gravest(findings.gaps, MOST_GAPS, end)
    seconds = sum(gap.end - gap.start for gap in left) / 1000
    warnings = [*findings.warnings, *_summed("more_gaps", left, f"{len(left)} more gaps of {seconds:g} s together")]
    warnings, others = _gravest(warnings, MOST_WARNINGS)
    warnings += _summed("more_warnings", others, f"{len(others)} more warnings")
    return Findings(gaps, warnings, findings.tracks)


def clock_end(samples: int, findings: Findings) -> int:
    """Where the clock of a recording ends, in ms, whose last sample stands there: what could not be heard may follow it."""
    return max((samples_to_ms(samples), *(gap.end for gap in findings.gaps)))


def failed_chunk(index: int, span: Mapping[str, Any], error: Mapping[str, Any] | None) -> Gap:
    """The gap that a chunk leaves which nobody could hear; `span` and `error` as its row keeps them."""
    told = error or {}
    return Gap(
        samples_to_ms(int(span["own_start"])),
        samples_to_ms(int(span["own_end"])),
        str(told.get("code") or StenopoolError.code),
        index,
        span.get("channel"),
        reason=str(told.get("message") or ""),
        track=span.get("track"),
    )


def gap_as_dict(gap: Gap) -> Plain:
    """Times in seconds; track, channel and chunk where they say something."""
    return {
        "start": gap.start / 1000,
        "end": gap.end / 1000,
        "code": gap.code,
        "reason": gap.reason or _REASONS.get(gap.code, _UNKNOWN),
        "retryable": gap.retryable,
    } | _where(track=gap.track, channel=gap.channel, chunk=gap.chunk)


def caution_as_dict(caution: Caution) -> Plain:
    """Times in seconds."""
    return {
        "code": caution.code,
        "start": caution.start / 1000,
        "end": caution.end / 1000,
        "message": caution.message,
    }


def not_sent_as_dict(stretch: NotSent) -> Plain:
    """Times in seconds; track and channel where they say something."""
    told: Plain = {"start": stretch.start / 1000, "end": stretch.end / 1000, "reason": stretch.reason}
    return told | _where(track=stretch.track, channel=stretch.channel)


def _where(**places: int | None) -> Plain:
    return {name: place for name, place in places.items() if place is not None}


def track_as_dict(track: AudioTrack) -> Plain:
    """What the file says of it; null where it says nothing."""
    return {
        "number": track.number,
        "codec": track.codec,
        "channels": track.channels or None,
        "language": track.language or None,
        "title": track.title or None,
    }


def told(transcript: Transcript) -> Plain:
    """The members `gaps`, `warnings` and `incomplete` of a JSON body, each only where there is something to tell."""
    members = {
        "gaps": [gap_as_dict(gap) for gap in transcript.gaps],
        "warnings": [caution_as_dict(caution) for caution in transcript.warnings],
        "incomplete": transcript.incomplete,
    }
    return {name: value for name, value in members.items() if value}


def speakers_as_dict(transcript: Transcript) -> Plain:
    """The member `speakers` of what is said of a transcript's quality, where they were told apart here."""
    told = transcript.speakers
    return {} if told is None else {"speakers": {"found": told.found, "confidence": told.confidence}}


def quality(transcript: Transcript) -> Plain:
    """The member `quality` of a JSON body, where there is something to tell."""
    found = speakers_as_dict(transcript)
    return {"quality": found} if found else {}


def loss(transcript: Transcript) -> str:
    """What is missing for good, in a line for a log; empty where nothing is."""
    lost = [gap for gap in transcript.gaps if gap.lost]
    codes = [found.code for found in lost] + [caution.code for caution in transcript.warnings if caution.lost]
    seconds = sum(gap.end - gap.start for gap in lost) / 1000
    told = ", ".join(f"{count} {code}" for code, count in Counter(codes).items())
    return f"{told}; {seconds:g} s in all" if told else ""


def findings_as_dict(findings: Findings) -> Plain:
    """Gaps and warnings as a job keeps them, in ms; its tracks are told with its input."""
    kept: Plain = _FINDINGS.dump_python(replace(listed(findings), tracks=()), mode="json", exclude_defaults=True)
    return kept


def findings_from_dict(kept: Mapping[str, Any] | None) -> Findings:
    """The inverse of `findings_as_dict`; a job of before has none."""
    return _FINDINGS.validate_python(kept or {})


def gaps_of(findings: Findings, failed: Iterable[Plain]) -> list[Plain]:
    """A job's gaps in order: those of its recording, and its failed chunks', which are plain already."""
    gaps = [gap_as_dict(gap) for gap in findings.gaps]
    gaps += [{**gap, "reason": gap.get("reason", _UNKNOWN), "retryable": gap.get("retryable", True)} for gap in failed]
    return sorted(gaps, key=lambda gap: (gap["start"], gap.get("track") or 0, gap.get("channel") or 0))


def is_incomplete(findings: Findings) -> bool:
    """Whether sound that was there is missing for good."""
    return any(gap.lost for gap in findings.gaps) or any(caution.lost for caution in findings.warnings)


def _gravest(found: Sequence[_Told], most: int, first: int | None = None) -> tuple[list[_Told], list[_Told]]:
    """Those where sound is lost, then the longest, as many as may be; and the rest. `first` stays in any case."""
    if len(found) <= most:
        return list(found), []
    places = range(len(found))
    order = sorted(places, key=lambda at: (at != first, not found[at].lost, found[at].start - found[at].end, at))
    kept = set(order[: most - 1])  # and what sums up the rest
    return [found[at] for at in places if at in kept], [found[at] for at in places if at not in kept]


def _summed(code: str, rest: Sequence[Gap] | Sequence[Caution], what: str) -> list[Caution]:
    if not rest:
        return []
    told = f"Between here and there are {what}, too many to be listed."
    start, end = min(one.start for one in rest), max(one.end for one in rest)
    return [Caution(code, start, end, told, lost=any(one.lost for one in rest))]


def longest(stretches: Sequence[NotSent]) -> list[NotSent]:
    """As many as can be listed, in their order."""
    order = sorted(range(len(stretches)), key=lambda at: (stretches[at].start - stretches[at].end, at))
    return [stretches[at] for at in sorted(order[:MOST_GAPS])]


def _place(gap: Gap) -> tuple[int, int, int]:
    return gap.start, gap.track or 0, gap.channel or 0
