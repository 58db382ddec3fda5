"""What is told of what was not heard: in order, in plain words, and only where there is something to tell."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.findings import AudioTrack, Findings
from pipeline.quality.omissions import (
    MOST_GAPS,
    MOST_WARNINGS,
    caution_as_dict,
    clock_end,
    failed_chunk,
    findings_as_dict,
    findings_from_dict,
    gap_as_dict,
    gaps_of,
    is_incomplete,
    listed,
    longest,
    loss,
    told,
    track_as_dict,
    with_findings,
)
from pipeline.transcript import Caution, Gap, NotSent, Transcript

HOLE = Gap(0, 61_000, "hole", retryable=False)
DAMAGE = Gap(70_000, 70_500, "undecodable", retryable=False, lost=True, track=2)
FAILED = Gap(62_000, 65_000, "provider_busy", chunk=1, channel=0, reason="Too busy.")
CUT_OFF = Caution("truncated", 80_000, 80_000, "The file ends before its time.", lost=True)
LOUDER = Caution("cancelled_mix", 0, 5000, "The channels cancel each other; the louder one was heard.")

gaps = st.builds(
    Gap,
    start=st.integers(0, 10**9),
    end=st.integers(0, 10**9),
    code=st.sampled_from(["hole", "undecodable", "other"]),
    reason=st.text(),
    retryable=st.booleans(),
    track=st.none() | st.integers(1, 9),
    lost=st.booleans(),
)
cautions = st.builds(Caution, st.text(), st.integers(0, 10**9), st.integers(0, 10**9), st.text(), lost=st.booleans())


@given(st.lists(gaps), st.lists(cautions))
def test_a_job_keeps_what_was_found(found: list[Gap], warned: list[Caution]) -> None:
    findings = Findings(found, warned, (AudioTrack(1, "opus", 2),))
    again = findings_from_dict(findings_as_dict(findings))
    assert (again.gaps, again.warnings) == (found, warned)
    assert is_incomplete(again) == any(one.lost for one in (*found, *warned))


def test_a_job_of_before_has_found_nothing() -> None:
    assert findings_from_dict(None) == Findings() == findings_from_dict({})
    assert findings_as_dict(Findings()) == {}
    old = {"start": 1.0, "end": 2.0, "code": "provider_refused", "chunk": 1}
    assert gaps_of(Findings(), [old]) == [{**old, "reason": "This part could not be heard.", "retryable": True}]


def test_every_gap_has_its_reason_in_plain_words() -> None:
    assert gap_as_dict(HOLE) == {
        "start": 0.0,
        "end": 61.0,
        "code": "hole",
        "reason": "The recording has no sound here.",
        "retryable": False,
    }
    assert gap_as_dict(DAMAGE)["reason"] == "The sound here is damaged and could not be decoded."
    assert gap_as_dict(DAMAGE)["track"] == 2
    assert gap_as_dict(FAILED) | {"start": None, "end": None} == {
        "start": None, "end": None, "code": "provider_busy", "reason": "Too busy.", "retryable": True, "channel": 0, "chunk": 1,
    }  # fmt: skip
    assert caution_as_dict(CUT_OFF) == {
        "code": "truncated", "start": 80.0, "end": 80.0, "message": "The file ends before its time.",
    }  # fmt: skip


def test_a_failed_chunks_gap_says_what_its_row_says() -> None:
    span = {"own_start": 16_000, "own_end": 40_000, "channel": 1, "track": 2}
    error = {"code": "provider_busy", "message": "Too busy.", "retryable": True}
    assert failed_chunk(3, span, error) == Gap(1000, 2500, "provider_busy", 3, 1, reason="Too busy.", track=2)
    assert failed_chunk(0, {"own_start": 0, "own_end": 16}, None) == Gap(0, 1, "internal_error", 0)


def test_only_what_there_is_is_told() -> None:
    assert told(Transcript((), 5)) == {}
    assert set(told(Transcript((), 5, gaps=(HOLE,)))) == {"gaps"}
    assert set(told(Transcript((), 5, warnings=(LOUDER,)))) == {"warnings"}
    assert told(Transcript((), 5, warnings=(CUT_OFF,)))["incomplete"] is True


def test_the_gaps_of_recording_and_chunks_are_in_order() -> None:
    findings = Findings([HOLE, DAMAGE], [CUT_OFF])
    whole = with_findings(Transcript((), 80_000, gaps=(FAILED,)), findings, 16_000)
    assert whole.gaps == (HOLE, FAILED, DAMAGE)
    assert whole.warnings == (CUT_OFF,)
    assert (whole.decoded, whole.audio_ms, whole.duration) == (1000, 1000, 80_000)
    assert [gap["code"] for gap in gaps_of(findings, [gap_as_dict(FAILED)])] == ["hole", "provider_busy", "undecodable"]
    assert loss(whole) == "1 undecodable, 1 truncated; 0.5 s in all"
    assert loss(Transcript((), 5, gaps=(HOLE, FAILED))) == "", (
        "a retry may hear the one, and there is nothing in the other"
    )


def test_partial_is_what_a_retry_can_redo_and_incomplete_what_nobody_can() -> None:
    for missing, expected in ((HOLE, (False, False)), (DAMAGE, (False, True)), (FAILED, (True, False))):
        transcript = Transcript((), 80_000, gaps=(missing,))
        assert (transcript.partial, transcript.incomplete) == expected


def test_the_clock_goes_on_after_the_last_sound() -> None:
    assert clock_end(32_000, Findings()) == 2000
    assert clock_end(32_000, Findings([Gap(2000, 9000, "undecodable")])) == 9000


def test_a_track_is_told_as_far_as_the_file_tells_it() -> None:
    track = AudioTrack(2, "opus", 2, language="eng", title="Commentary")
    expected = {"number": 2, "codec": "opus", "channels": 2, "language": "eng", "title": "Commentary"}
    assert track_as_dict(track) == expected
    assert track_as_dict(AudioTrack(1, "aac", 0)) == {
        "number": 1,
        "codec": "aac",
        "channels": None,
        "language": None,
        "title": None,
    }


def test_of_more_than_can_be_listed_the_gravest_are_and_the_rest_is_summed_up() -> None:
    holes = [Gap(10_000 * n, 10_000 * n + 1000 + n % 7, "hole", retryable=False) for n in range(50_000)]
    damage = [Gap(10_000 * n + 5000, 10_000 * n + 5010, "undecodable", retryable=False, lost=True) for n in range(9)]
    found = Findings(sorted([*holes, *damage], key=lambda gap: gap.start), [CUT_OFF])
    told = listed(found)
    assert len(told.gaps) == MOST_GAPS - 1 and told.gaps == sorted(told.gaps, key=lambda gap: gap.start)
    assert set(damage) <= set(told.gaps), "what is lost comes first"
    assert told.warnings[0] == CUT_OFF and told.warnings[1].code == "more_gaps"
    assert "49510 more gaps" in told.warnings[1].message
    assert clock_end(0, told) == clock_end(0, found)
    assert listed(told) == told
    assert is_incomplete(told) and not is_incomplete(listed(Findings(holes)))
    assert findings_from_dict(findings_as_dict(found)).gaps == told.gaps
    assert len(with_findings(Transcript((), 10), found, 0).gaps) == MOST_GAPS - 1


def test_warnings_without_end_are_summed_up() -> None:
    many = [Caution("time_leap", n, n, "A leap.") for n in range(1000)]
    told = listed(Findings([], [*many, CUT_OFF])).warnings
    assert len(told) == MOST_WARNINGS and CUT_OFF in told
    assert told[-1].code == "more_warnings" and told[-1].message.startswith("Between here and there are 902 more")


def test_the_longest_stretches_are_listed_in_their_order() -> None:
    stretches = [NotSent(10_000 * n, 10_000 * n + 2000 + n, "silence") for n in range(2 * MOST_GAPS)]
    assert longest(stretches) == stretches[MOST_GAPS:]
