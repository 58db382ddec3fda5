"""Channels told together: nothing lost, everything labelled, in the order in which it was said."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.stitch.channels import ALONE, together
from pipeline.transcript import Gap, NotSent, Seams, Segment, TokenUsage, Transcript, Word


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    at, segments = 0, []
    for number in range(draw(st.integers(0, 6))):
        start = at + draw(st.integers(0, 900))
        at = start + draw(st.integers(0, 900))
        segments.append(Segment(f"s{number}", start, at, (Word(f"s{number}", start, at),)))
    return Transcript(
        tuple(segments), at + draw(st.integers(0, 500)), language=draw(st.sampled_from(["en", "de", None]))
    )


@given(st.lists(transcripts(), min_size=1, max_size=4))
def test_every_channel_is_in_it_as_it_was(channels: list[Transcript]) -> None:
    whole = together({(None, number): transcript for number, transcript in enumerate(channels)})
    for number, transcript in enumerate(channels):
        mine = [segment for segment in whole.segments if segment.channel == number]
        assert [(one.text, one.start, one.end) for one in mine] == [
            (one.text, one.start, one.end) for one in transcript.segments
        ]
    starts = [segment.start for segment in whole.segments]
    assert starts == sorted(starts)
    assert whole.duration == max(one.duration for one in channels)
    words = [word.start for word in whole.words]
    assert words == sorted(words) and len(words) == len(whole.segments)


def test_what_was_counted_is_added_up() -> None:
    one = Transcript(
        (), 1000, "de", model_used="m", gaps=(Gap(5, 9, "lost", 3),), seams=Seams(1, 2, 3), usage=TokenUsage(1, 2)
    )
    other = Transcript(
        (), 2000, "de", gaps=(Gap(1, 9, "lost", 0),), seams=Seams(4), usage=TokenUsage(0, 5, 7), languages=("de",)
    )
    whole = together({(None, 0): one, (None, 1): other})
    assert whole == Transcript(
        (),
        2000,
        "de",
        model_used="m",
        gaps=(Gap(1, 9, "lost", 0, 1), Gap(5, 9, "lost", 3, 0)),
        seams=Seams(5, 2, 3),
        languages=("de",),
        usage=TokenUsage(1, 7, 7),
    )
    assert together({(None, 0): one, (None, 1): Transcript((), 5)}).usage is None, "a channel that nobody counted"


def test_tracks_and_their_channels_are_told_together() -> None:
    said = Transcript(
        (Segment("hello", 10, 20),), 50, gaps=(Gap(30, 40, "lost", 0),), not_sent=(NotSent(5, 9, "silence"),)
    )
    later = Transcript((Segment("hello", 5, 20),), 60, not_sent=(NotSent(1, 2, "steady"),))
    whole = together({(1, None): said, (2, 0): said, (2, 1): later})
    assert [(one.start, one.track, one.channel) for one in whole.segments] == [(5, 2, 1), (10, 1, None), (10, 2, 0)]
    assert [(gap.track, gap.channel) for gap in whole.gaps] == [(1, None), (2, 0)]
    assert [one.start for one in whole.not_sent] == [1, 5, 5]
    assert whole.duration == 60
    assert together({ALONE: said}) is said
