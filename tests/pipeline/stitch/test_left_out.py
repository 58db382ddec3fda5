"""What is told as not sent: from two seconds on, neighbours as one, on the recording's clock."""

from dataclasses import replace

import numpy as np

from pipeline.cut.cutter import CutProfile, cut
from pipeline.stitch.channels import together
from pipeline.stitch.left_out import not_sent
from pipeline.stitch.stitcher import stitch
from pipeline.transcript import SAMPLE_RATE, Gap, Heard, NotSent, Word, samples_to_ms
from tests.pipeline import sounds
from tests.pipeline.recordings import hear

S = SAMPLE_RATE


def test_neighbours_are_one_and_short_ones_are_not_told() -> None:
    stretches = [
        (0, S, "silence"),
        (S, 3 * S, "silence"),
        (3 * S, 4 * S, "steady"),
        (9 * S, 10 * S, "steady"),
        (20 * S, 22 * S, "silence"),
    ]
    assert list(not_sent(stretches, 21_999)) == [NotSent(0, 4000, "steady")]
    assert list(not_sent(stretches, 22_000)) == [NotSent(0, 4000, "steady"), NotSent(20_000, 22_000, "silence")]
    assert list(not_sent([], 1000)) == []


def test_no_word_lies_in_what_was_not_sent_and_the_rest_is_told() -> None:
    talk, words = sounds.oracle("natural", 20)
    lead, pause = sounds.white(50, 10), sounds.silence(47)
    whole = np.concatenate((lead, sounds.samples(talk), pause))
    said = [
        Word(word.text, samples_to_ms(word.start + len(lead)), samples_to_ms(word.end + len(lead))) for word in words
    ]
    parts = [(chunk.span, hear(said, chunk.span)) for chunk in cut([sounds.pcm(whole)], CutProfile())]
    transcript = stitch(parts, duration=samples_to_ms(len(whole)))
    assert [word.text for word in transcript.words] == [word.text for word in said]
    before, after = transcript.not_sent
    assert (before.start, before.reason) == (0, "steady") and 45_000 < before.end < said[0].start
    assert (after.end, after.reason) == (117_000, "silence") and said[-1].end < after.start < 74_000


def test_a_chunk_that_failed_is_a_gap_and_its_ends_are_not_sent() -> None:
    (chunk,) = cut(
        [sounds.pcm(np.concatenate((sounds.silence(9), sounds.samples(sounds.oracle("natural", 9)[0]))))], CutProfile()
    )
    transcript = stitch([(chunk.span, Gap(0, 18_000, "provider_failed", 0))], duration=18_000)
    assert [stretch.reason for stretch in transcript.not_sent] == ["silence"] and transcript.gaps


def test_each_channel_says_what_was_not_sent_of_it() -> None:
    (quiet,) = cut([sounds.pcm(sounds.silence(5))], CutProfile())
    channels = {
        (None, number): stitch([(replace(quiet.span, channel=number), Heard())], duration=5000) for number in (0, 1)
    }
    assert together(channels).not_sent == tuple(NotSent(0, 5000, "silence", channel) for channel in (0, 1))
