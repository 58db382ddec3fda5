"""The cutter: every sample owned once, no chunk too long, cuts in pauses where there are some, nothing spoken left out."""

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.cut.cutter import Chunk, CutProfile, Span, cut, span_as_dict, span_from_dict
from pipeline.oracle.speech import say
from pipeline.transcript import SAMPLE_RATE
from tests.pipeline import sounds

SHORT = CutProfile(max_s=10, min_s=4)
PROFILES = [CutProfile(), SHORT, CutProfile(29.5, 15), CutProfile(5, 5), CutProfile(300, 150)]


def chunks(sound: bytes, profile: CutProfile = SHORT, block: int = 65536) -> list[Chunk]:
    return list(cut(sounds.in_blocks(sound, block), profile))


def holds(found: Sequence[Chunk], sound: bytes, profile: CutProfile) -> None:
    """What is promised of any cut of any sound."""
    spans = [chunk.span for chunk in found]
    total = len(sound) // 2
    assert [span.index for span in spans] == list(range(len(spans)))
    assert spans[0].own_start == 0 and spans[-1].own_end == total
    assert spans[0].left_edge == "start" and spans[-1].right_edge == "end"
    for one, other in pairwise(spans):
        assert one.own_end == other.own_start
        assert one.right_edge == other.left_edge
        assert (one.right_edge == "silence") == (one.audio_end <= other.audio_start) or not one.is_sent
    for chunk in found:
        span = chunk.span
        assert 0 <= span.audio_start < span.audio_end <= total
        assert span.audio_end - span.audio_start <= profile.max_s * SAMPLE_RATE
        assert span.audio_start <= span.switch_point or span.left_edge == "silence"
        assert span.own_start < span.own_end
        assert all(span.audio_start <= start < end <= span.audio_end for start, end in span.speech_map)
        assert span.is_sent == bool(chunk.pcm)
        left_out = [(start, end) for start, end, _ in span.left_out]
        assert all(span.own_start <= start < end <= span.own_end for start, end in left_out)
        kept = (span.audio_start, span.audio_end) if span.is_sent else (span.own_start, span.own_start)
        assert _length(kept, (span.own_start, span.own_end)) == span.own_end - span.own_start - sum(
            end - start for start, end in left_out
        )
        if span.is_sent:
            assert chunk.pcm == sound[2 * span.audio_start : 2 * span.audio_end]
        if span.left_edge in {"soft", "hard"}:
            assert span.audio_start < span.own_start
        if span.right_edge in {"soft", "hard"}:
            assert span.audio_end > span.own_end
    if len(spans) > 1:
        assert spans[-1].own_end - spans[-1].own_start >= profile.min_s * SAMPLE_RATE // 4


def _length(one: tuple[int, int], other: tuple[int, int]) -> int:
    """How much two stretches share."""
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


pieces = st.one_of(
    st.builds(sounds.silence, st.floats(0, 8)),
    st.builds(sounds.white, st.floats(0, 8), st.sampled_from([1, 30, 3000])),
    st.builds(sounds.tone, st.floats(0, 8), st.sampled_from([80, 440, 3000]), st.sampled_from([10, 10000])),
    st.builds(
        lambda start, length: sounds.samples(sounds.oracle("natural", 30)[0])[start : start + length],
        st.integers(0, 300_000),
        st.integers(1, 120_000),
    ),
    st.builds(
        lambda start, length: sounds.samples(sounds.oracle("dense", 30)[0])[start : start + length],
        st.integers(0, 300_000),
        st.integers(1, 120_000),
    ),
)
collages = st.lists(pieces, min_size=1, max_size=8).map(lambda parts: sounds.pcm(np.concatenate(parts)))


@given(collages.filter(len), st.sampled_from(PROFILES), st.integers(1, 70_000))
@settings(max_examples=120, deadline=None)
@example(b"\0\0", SHORT, 1)
@example(b"\1\0" * 160_000, SHORT, 4096)
@example(b"\0\0" * 160_001, SHORT, 4097)
def test_every_sample_is_owned_once_and_the_result_does_not_depend_on_the_blocks(
    sound: bytes, profile: CutProfile, block: int
) -> None:
    found = chunks(sound, profile)
    holds(found, sound, profile)
    assert chunks(sound, profile, max(block, 1)) == found


@pytest.mark.parametrize("style", ["natural", "dense", "sparse"])
@pytest.mark.parametrize("profile", [CutProfile(), SHORT])
def test_every_word_is_whole_in_a_chunk_that_will_be_heard(style: str, profile: CutProfile) -> None:
    sound, words = sounds.oracle(style, 120)
    found = chunks(sound, profile)
    holds(found, sound, profile)
    heard = [chunk.span for chunk in found if chunk.span.is_sent]
    for word in words:
        assert any(span.audio_start <= word.start and word.end <= span.audio_end for span in heard), word


def test_natural_speech_is_cut_in_its_pauses() -> None:
    sound, words = sounds.oracle("natural", 240, seed=5)
    found = chunks(sound, CutProfile())
    assert {chunk.span.right_edge for chunk in found[:-1]} == {"silence"}
    for chunk in found:
        assert not any(word.start < chunk.span.own_end < word.end for word in words)


def test_speech_without_a_pause_is_cut_with_an_overlap() -> None:
    sound, _ = sounds.oracle("dense", 60)
    found = chunks(sound)
    assert len(found) > 5
    assert {chunk.span.right_edge for chunk in found[:-1]} == {"hard"}, "a vowel that is held softly is no pause"


def test_the_middle_of_the_known_pause_is_taken() -> None:
    """Bursts of speech with one pause of half a second in reach."""
    dense = sounds.samples(sounds.oracle("dense", 30)[0])
    sound = sounds.pcm(np.concatenate((dense[: 7 * SAMPLE_RATE], sounds.white(0.5, 10), dense[: 8 * SAMPLE_RATE])))
    first = chunks(sound)[0].span
    assert first.right_edge == "silence"
    assert first.own_end == pytest.approx(7.25 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)


@pytest.mark.parametrize(
    "numbers",
    [
        sounds.silence(35),
        sounds.silence(35) + 500,
        sounds.white(35, 2),
        sounds.white(35, 400),
        sounds.white(35, 8000),
        sounds.white(35, 30000),
        sounds.coloured(35, 1000, 0.5),
        sounds.tone(35, 440, 10000),
    ],
)
def test_without_speech_nothing_is_kept_to_be_sent(numbers: sounds.Samples) -> None:
    sound = sounds.pcm(numbers)
    found = chunks(sound)
    holds(found, sound, SHORT)
    assert not any(chunk.span.is_sent or chunk.pcm for chunk in found)
    reason = "steady" if sounds.samples(sound).std() > 2 else "silence"
    assert {chunk.span.left_out[0][2] for chunk in found[:-1]} == {reason}


@pytest.mark.parametrize(
    "numbers",
    [
        sounds.chords(60, 2.0, 12_000),
        sounds.chords(60, 0.5, 12_000),
        sounds.arpeggio(60, 0.125, 12_000),
        sounds.arpeggio(60, 0.5, 1500),
        sounds.drums(60, 0.5, 12_000),
        sounds.drums(60, 1.0, 1500),
        sounds.drums(60, 0.5, 9000) + sounds.chords(60, 1.0, 9000),
    ],
    ids=["slow chords", "chords", "fast arpeggio", "slow arpeggio", "drums", "slow drums", "a band"],
)
def test_music_that_keeps_the_beat_is_heard_in_doubt(numbers: sounds.Samples) -> None:
    found = chunks(sounds.pcm(numbers), CutProfile())
    assert all(chunk.span.is_sent and chunk.span.in_doubt for chunk in found)


@pytest.mark.parametrize("louder", [0.5, 1.0, 2.0])
def test_speech_over_music_is_heard(louder: float) -> None:
    talk = sounds.samples(sounds.oracle("natural", 40)[0])
    music = sounds.arpeggio(40, 0.125, 3000) + sounds.drums(40, 0.5, 4000)
    mixed = talk + music * (louder * talk.std() / music.std())
    found = chunks(sounds.pcm(mixed), CutProfile())
    assert all(chunk.span.is_sent for chunk in found)


def test_a_sentence_said_over_and_over_is_speech() -> None:
    sound = say(["river", "garden", "seven", "ocean", "castle"] * 30)
    assert all(chunk.span.is_sent for chunk in chunks(sound, CutProfile()))


def test_a_few_words_between_long_stretches_of_music_are_heard() -> None:
    sound, _ = sounds.oracle("natural", 9)
    whole = np.concatenate((sounds.drums(40, 0.5, 8000), sounds.samples(sound), sounds.drums(40, 0.5, 8000)))
    found = chunks(sounds.pcm(whole), CutProfile())
    heard = [chunk.span for chunk in found if chunk.span.is_sent]
    assert heard[0].audio_start <= 40.5 * SAMPLE_RATE
    assert heard[-1].audio_end >= 48.5 * SAMPLE_RATE


def test_loud_continuous_noise_is_cut_with_overlap() -> None:
    found = chunks(sounds.pcm(sounds.white(35, 8000)))
    assert {chunk.span.right_edge for chunk in found[:-1]} == {"hard"}


def test_silence_before_and_after_speech_is_not_sent() -> None:
    sound, words = sounds.oracle("natural", 10)
    speech = sounds.samples(sound)[words[0].start : words[-1].end]
    padded = np.concatenate((sounds.white(4, 5), speech, sounds.white(6, 5)))
    (chunk,) = chunks(sounds.pcm(padded), CutProfile())
    assert 0.2 < 4 - chunk.span.audio_start / SAMPLE_RATE <= 0.5
    assert 0.2 < chunk.span.audio_end / SAMPLE_RATE - (4 + len(speech) / SAMPLE_RATE) <= 0.6
    assert (chunk.span.own_start, chunk.span.own_end) == (0, len(padded))


def test_a_short_recording_is_one_chunk() -> None:
    sound, _ = sounds.oracle("natural", 9.9)
    assert [chunk.span.right_edge for chunk in chunks(sound)] == ["end"]


def test_no_sound_no_chunk() -> None:
    assert list(cut([], SHORT)) == list(cut([b"", b""], SHORT)) == []


def test_chunks_come_while_the_recording_is_still_being_read() -> None:
    sound, _ = sounds.oracle("natural", 120)
    taken = 0

    def blocks() -> Iterator[bytes]:
        nonlocal taken
        for block in sounds.in_blocks(sound, 32_000):
            taken += 1
            yield block

    first = next(cut(blocks(), CutProfile()))
    assert taken <= 40  # seconds: the longest chunk, the least that a last one has, and what is measured at once
    assert first.span.index == 0


def test_memory_does_not_grow_with_the_recording() -> None:
    def peak(seconds: int) -> int:
        minute = sounds.oracle("natural", 30)[0]
        tracemalloc.start()
        for _ in cut((minute[: 2 * SAMPLE_RATE] for _ in range(seconds)), SHORT):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(30)
    assert peak(400) < 1.1 * peak(60)


def test_a_span_survives_json() -> None:
    span = chunks(sounds.oracle("natural", 60)[0])[1].span
    assert span.speech_map
    assert span_from_dict(json.loads(json.dumps(span_as_dict(span)))) == span
    assert isinstance(span, Span)


def test_a_span_stored_by_an_earlier_version_is_read() -> None:
    (span,) = [chunk.span for chunk in chunks(sounds.pcm(sounds.white(3, 50)))]
    old = {name: value for name, value in span_as_dict(span).items() if name not in {"is_sent", "in_doubt", "left_out"}}
    assert not span_from_dict(old).is_sent
    assert span_from_dict({**old, "speech_samples": SAMPLE_RATE}).is_sent


@pytest.mark.parametrize(("max_s", "min_s"), [(0.5, 0.1), (10, 11), (10, -1)])
def test_a_profile_that_makes_no_sense_is_refused(max_s: float, min_s: float) -> None:
    with pytest.raises(AssertionError):
        CutProfile(max_s, min_s)
