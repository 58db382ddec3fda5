"""Nothing lost, nothing twice, times that hold: whatever the chunks are and whatever a provider answers."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cut.cutter import Span
from pipeline.stitch.stitcher import Stitcher, stitch
from pipeline.stitch.timeline import runs_forward
from pipeline.transcript import Gap, Heard, Logprob, Segment, TokenUsage, Transcript, Word, samples_to_ms
from tests.pipeline.recordings import hear, spans, talk
from tests.support.word_error_rate import word_errors

MS = 16


def holds(transcript: Transcript) -> None:
    """The invariants in the docstring of pipeline.transcript, and no overlap."""
    latest = 0
    for segment in transcript.segments:
        assert segment.text
        assert 0 <= latest <= segment.start <= segment.end <= transcript.duration
        latest = segment.start
        for word in segment.words:
            assert segment.start <= latest <= word.start <= word.end <= segment.end
            latest = word.start
        ends = [word.end for word in segment.words[:-1]]
        assert all(end <= word.start for end, word in zip(ends, segment.words[1:], strict=True))
    assert runs_forward(transcript.segments)


def texts(transcript: Transcript) -> list[str]:
    return [word.text for word in transcript.words]


@given(st.randoms(use_true_random=False), st.integers(1, 60), st.sampled_from([1, 3, 500]))
@settings(max_examples=150, deadline=None)
def test_a_perfect_provider_loses_and_doubles_nothing(chance: random.Random, words: int, vocabulary: int) -> None:
    said = talk(chance, words, vocabulary)
    cut = spans(chance, said)
    duration = samples_to_ms(cut[-1].own_end)
    whole = stitch([(span, hear(said, span)) for span in cut], duration=duration)
    assert texts(whole) == [word.text for word in said]
    assert whole.text.split() == [word.text for word in said]
    assert all(abs(word.start - truth.start) <= 1 for word, truth in zip(whole.words, said, strict=True))
    assert all(word.end <= truth.end + 1 for word, truth in zip(whole.words, said, strict=True))
    holds(whole)


@given(st.randoms(use_true_random=False), st.integers(1, 60), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_tokens_are_told_once_where_two_chunks_heard_them(chance: random.Random, words: int, size: int) -> None:
    said = talk(chance, words, 500)
    cut = spans(chance, said)
    parts = [(span, with_tokens(hear(said, span), size)) for span in cut]
    whole = stitch(parts, duration=samples_to_ms(cut[-1].own_end))
    assert "".join(one.token for one in whole.logprobs).split() == [word.text for word in said]


def with_tokens(heard: Heard, size: int) -> Heard:
    """With a logprob for every piece of a word of at most `size` characters."""
    said = [f" {word.text}" for segment in heard.segments for word in segment.words]
    pieces = [word[at : at + size] for word in said for at in range(0, len(word), size)]
    return replace(heard, logprobs=tuple(Logprob(piece, -0.5) for piece in pieces))


@given(st.randoms(use_true_random=False), st.integers(1, 120))
@settings(max_examples=150, deadline=None)
def test_what_is_settled_never_changes(chance: random.Random, words: int) -> None:
    said = talk(chance, words, 20)
    cut = spans(chance, said)
    stitcher, settled = Stitcher(), []
    for span in cut:
        stitcher.add(span, hear(said, span))
        settled.append([segment.text for segment in stitcher.settled])
    final = [segment.text for segment in stitcher.finish(duration=samples_to_ms(cut[-1].own_end)).segments]
    assert all(before == final[: len(before)] for before in settled)
    assert settled[-1] == final
    assert [len(before) for before in settled] == sorted(len(before) for before in settled)


@given(st.randoms(use_true_random=False), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_a_provider_without_word_times_loses_no_segment(chance: random.Random, words: int) -> None:
    said = talk(chance, words, 500)
    cut = spans(chance, said, kinds=("silence",))
    parts = []
    for span in cut:
        heard = hear(said, span)
        parts.append((span, Heard(tuple(Segment(one.text, one.start, one.end) for one in heard.segments))))
    whole = stitch(parts, duration=samples_to_ms(cut[-1].own_end))
    assert whole.text.split() == [word.text for word in said]
    holds(whole)


def test_a_forced_seam_between_untimed_segments_costs_less_than_a_word() -> None:
    seams = errors = 0
    for seed in range(100):
        chance = random.Random(seed)
        truth = talk(chance, 60, 500)
        cut = spans(chance, truth, kinds=("hard",))
        parts = []
        for span in cut:
            heard = hear(truth, span)
            parts.append((span, Heard(tuple(Segment(one.text, one.start, one.end) for one in heard.segments))))
        whole = stitch(parts, duration=samples_to_ms(cut[-1].own_end))
        holds(whole)
        seams += len(cut) - 1
        errors += word_errors([word.text for word in truth], whole.text.split()).all
    assert errors < 0.3 * seams


@given(st.randoms(use_true_random=False), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_moving_the_sound_moves_the_words(chance: random.Random, words: int) -> None:
    said = talk(chance, words, 500)
    cut = spans(chance, said)
    later = 10_000
    moved = [
        Span(
            span.index,
            span.audio_start + later * MS,
            span.audio_end + later * MS,
            span.own_start + later * MS,
            span.own_end + later * MS,
            span.left_edge,
            span.right_edge,
            span.speech_samples,
            tuple((start + later * MS, end + later * MS) for start, end in span.speech_map),
            span.switch_point + later * MS,
        )
        for span in cut
    ]
    duration = samples_to_ms(cut[-1].own_end)
    here = stitch([(span, hear(said, span)) for span in cut], duration=duration)
    there = stitch(
        [(after, hear(said, before)) for before, after in zip(cut, moved, strict=True)], duration=duration + later
    )
    assert texts(there) == texts(here)
    assert [word.start - later for word in there.words] == [word.start for word in here.words]


@given(st.randoms(use_true_random=False), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_stitching_a_transcript_again_changes_nothing(chance: random.Random, words: int) -> None:
    said = talk(chance, words, 500)
    cut = spans(chance, said)
    duration = samples_to_ms(cut[-1].own_end)
    once = stitch([(span, hear(said, span)) for span in cut], duration=duration)
    end = cut[-1].own_end
    single = Span(0, 0, end, 0, end, "start", "end", end, ((0, end),), end)
    assert stitch([(single, Heard(once.segments))], duration=duration).segments == once.segments


anything = st.integers(-(2**40), 2**40) | st.integers(-2000, 40_000)
awkward = st.text(max_size=12) | st.sampled_from(["", " ", "\n\n", "-->", "a\x00b", "\ud800", "no", "no no", "日本語"])
garbage_words = st.builds(Word, awkward, anything, anything, st.none() | st.floats())
garbage = st.builds(
    Segment,
    awkward,
    anything,
    anything,
    st.lists(garbage_words, max_size=8).map(tuple),
    no_speech_prob=st.none() | st.floats(),
)


@given(st.randoms(use_true_random=False), st.data())
@settings(max_examples=200, deadline=None)
def test_any_nonsense_from_a_provider_makes_a_sound_transcript(chance: random.Random, data: st.DataObject) -> None:
    cut = spans(chance, talk(chance, 30, 5))
    answers = st.builds(Heard, st.lists(garbage, max_size=5).map(tuple)) | st.just(Gap(-5, 2**40, "provider_error", 0))
    parts = [(span, data.draw(answers)) for span in cut]
    whole = stitch(parts, duration=samples_to_ms(cut[-1].own_end))
    holds(whole)
    whole.text.encode()


@given(st.lists(garbage, max_size=5))
@settings(max_examples=100, deadline=None)
def test_no_word_of_nonsense_is_lost_without_a_seam(segments: list[Segment]) -> None:
    span = Span(0, 0, 480_000, 0, 480_000, "start", "end", 480_000, (), 480_000)
    whole = stitch([(span, Heard(tuple(segments)))], duration=30_000)
    given_words = sum(1 for one in segments for word in one.words if any(c.isalnum() for c in word.text))
    assert sum(1 for word in whole.words if any(c.isalnum() for c in word.text)) == given_words


def test_exact_offsets_do_not_drift() -> None:
    """120 chunks of 29.5 s: the class of error where a chunk's nominal length is used instead of its real one."""
    length = round(29.4951875 * 16_000)
    parts = []
    for index in range(120):
        start = index * length
        span = Span(
            index,
            start,
            start + length,
            start,
            start + length,
            "start" if index == 0 else "silence",
            "end" if index == 119 else "silence",
            length,
            (),
            start + length,
        )
        parts.append((span, Heard((Segment("tick", 1000, 1200, (Word("tick", 1000, 1200),)),))))
    whole = stitch(parts, duration=samples_to_ms(120 * length))
    assert whole.words[-1].start == samples_to_ms(119 * length) + 1000
    assert whole.seams.silence == 119


def chunk(index: int, start: int, end: int, left: str, right: str, *, reach: int = 0) -> Span:
    """A chunk that owns [start, end) ms and hears `reach` ms more on overlapping sides."""
    forced = ("soft", "hard")
    first = start - (reach if left in forced else 0)
    last = end + (reach if right in forced else 0)
    return Span(
        index,
        first * MS,
        last * MS,
        start * MS,
        end * MS,
        left,
        right,
        (end - start) * MS,
        ((first * MS, last * MS),),
        end * MS,
    )


def said(*words: tuple[str, int, int], text: str = "") -> Heard:
    found = tuple(Word(*word) for word in words)
    spelled = text or " ".join(word.text for word in found)
    return Heard((Segment(spelled, found[0].start, found[-1].end, found),))


def two(left: Heard | Gap, right: Heard | Gap, kind: str = "hard", reach: int = 1500) -> Transcript:
    spans_ = chunk(0, 0, 10_000, "start", kind, reach=reach), chunk(1, 10_000, 20_000, kind, "end", reach=reach)
    return stitch(zip(spans_, (left, right), strict=True), duration=20_000)


def test_repeated_words_across_a_forced_seam_are_counted_by_the_clock() -> None:
    left = said(("no", 8600, 8800), ("no", 9300, 9500), ("no", 10_000, 10_200), ("no", 10_700, 10_900))
    right = said(("no", 100, 300), ("no", 800, 1000), ("no", 1500, 1700), ("no", 2200, 2400), ("yes", 3000, 3200))
    assert texts(two(left, right)) == ["no", "no", "no", "no", "yes"]


def test_a_provider_whose_clock_is_late_is_still_matched() -> None:
    words = [("alpha", 8700), ("bravo", 9200), ("charlie", 9800), ("delta", 10_300), ("echo", 10_900)]
    left = said(*((text, start, start + 300) for text, start in words))
    late = 700
    right = said(*((text, start - 8500 + late, start - 8200 + late) for text, start in words), ("foxtrot", 3500, 3800))
    assert texts(two(left, right)) == ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]


def test_a_word_cut_at_the_edges_is_taken_from_the_side_that_heard_it_whole() -> None:
    left = said(("good", 9000, 9300), ("morning", 9700, 10_200), ("every", 10_900, 11_300), ("bo", 11_400, 11_500))
    right = said(("ning", 0, 200), ("morning", 1200, 1700), ("everybody", 2400, 3100), ("here", 3300, 3500))
    assert texts(two(left, right)) == ["good", "morning", "everybody", "here"]


def test_a_loop_at_a_chunk_s_end_gives_way_to_what_the_next_chunk_heard() -> None:
    loop = [("thank", 7000 + 500 * nth, 7200 + 500 * nth) for nth in range(9)]
    left = said(("well", 6000, 6400), *loop)
    right = said(("and", 200, 400), ("so", 900, 1200), ("we", 1700, 1900), ("begin", 2200, 2600))
    whole = two(left, right)
    assert texts(whole) == ["well", *["thank"] * 3, "and", "so", "we", "begin"]
    assert [segment.suspect for segment in whole.segments] == [(), ("repetition",), ()]


def test_no_text_is_compared_at_a_silence_seam() -> None:
    left, right = said(("bye", 9000, 9400), ("bye", 9500, 9900)), said(("bye", 0, 400), ("bye", 500, 900))
    assert texts(two(left, right, "silence")) == ["bye"] * 4


def test_a_silent_neighbour_takes_nothing_away() -> None:
    late = said(("end", 10_500, 10_900))
    assert texts(two(late, Heard())) == ["end"]
    early = said(("first", 500, 900))
    assert texts(two(Heard(), early)) == ["first"]


def test_a_failed_chunk_leaves_a_gap_and_its_neighbours_whole() -> None:
    gap = Gap(10_000, 20_000, "provider_error", 1)
    whole = two(said(("here", 10_600, 11_000)), gap)
    assert texts(whole) == ["here"]
    assert whole.gaps == (gap,)
    assert whole.seams.hard == 1


def test_punctuation_survives_a_seam_in_the_middle_of_a_segment() -> None:
    left = said(("Well", 8000, 8400), ("yes", 9000, 9400), ("sir", 10_200, 10_500), text="Well, yes, sir.")
    right = said(("yes", 500, 900), ("sir", 1700, 2000), ("Indeed", 2500, 3000), text="yes, sir. Indeed!")
    whole = two(left, right)
    assert whole.text == "Well, yes, sir. Indeed!"


def test_the_punctuation_at_a_seam_is_that_of_the_side_that_heard_on() -> None:
    left = said(("Well", 8000, 8400), ("yes", 9000, 9400), ("sir", 10_200, 10_500), text="Well, yes, sir.")
    right = said(("Yes", 500, 900), ("sir", 1700, 2000), ("and", 2500, 3000), text="Yes, sir, and")
    assert two(left, right).text == "Well, yes, sir, and"
    spelled = said(("Well,", 8000, 8400), ("yes,", 9000, 9400), ("sir.", 10_200, 10_500))
    again = said(("Yes,", 500, 900), ("sir", 1700, 2000), ("and", 2500, 3000))
    assert texts(two(spelled, again)) == ["Well,", "yes,", "sir", "and"]


def test_text_without_any_time_is_put_where_somebody_speaks() -> None:
    speech = ((2000 * MS, 4000 * MS), (7000 * MS, 9000 * MS))
    span = Span(0, 0, 10_000 * MS, 0, 10_000 * MS, "start", "end", 4000 * MS, speech, 10_000 * MS)
    whole = stitch([(span, Heard((Segment("One two three. Six ten four.", 0, 10_000),)))], duration=10_000)
    first, second = whole.segments
    assert (first.text, first.start) == ("One two three.", 2000)
    assert 3900 <= first.end <= 7100
    assert second.text == "Six ten four."
    assert second.end == 9000


def test_segments_so_far_can_be_read_while_more_is_coming() -> None:
    stitcher = Stitcher()
    stitcher.add(chunk(0, 0, 10_000, "start", "silence"), said(("one", 100, 400)))
    assert [segment.text for segment in stitcher.segments] == ["one"]
    stitcher.add(chunk(1, 10_000, 20_000, "silence", "end"), said(("two", 100, 400)))
    assert [segment.text for segment in stitcher.segments] == ["one", "two"]
    assert stitcher.finish(duration=20_000).segments == stitcher.segments


def test_language_and_model_are_what_most_of_the_speech_says() -> None:
    one = chunk(0, 0, 10_000, "start", "silence")
    other = chunk(1, 10_000, 20_000, "silence", "end")
    german = Heard(said(("ja", 0, 100)).segments, "de", "small")
    english = Heard(said(("yes", 0, 5000)).segments, "en", "small")
    whole = stitch([(one, german), (other, english)], duration=20_000)
    assert (whole.language, whole.model_used) == ("en", "small")
    assert stitch([(one, german)], duration=20_000, language="fr").language == "fr"


@pytest.mark.parametrize(
    ("text", "length", "reason"),
    [
        ("thank you " * 4, 6000, "repetition"),
        ("no " * 8, 6000, "repetition"),
        ("x" * 200, 1000, "too_fast"),
    ],
)
def test_what_nobody_says_is_flagged_and_kept(text: str, length: int, reason: str) -> None:
    whole = stitch(
        [(chunk(0, 0, 10_000, "start", "end"), Heard((Segment(text, 0, length),)))],
        duration=10_000,
    )
    assert reason in whole.segments[-1].suspect
    assert whole.text == text.strip()


def test_words_beyond_the_chunk_are_moved_into_it_and_flagged() -> None:
    whole = stitch([(chunk(0, 0, 10_000, "start", "end"), said(("ghost", 31_000, 32_000)))], duration=10_000)
    assert whole.words[0].end <= 10_000
    assert whole.segments[0].suspect == ("clock",)


def test_one_wild_time_does_not_drag_the_others_along() -> None:
    heard = said(("a", 100, 200), ("b", 9000, 9100), ("c", 500, 600), ("d", 900, 1000))
    whole = stitch([(chunk(0, 0, 10_000, "start", "end"), heard)], duration=10_000)
    assert [word.start for word in whole.words] == [100, 300, 500, 900]


def test_tokens_are_added_up_when_every_answer_counted_them() -> None:
    counted = replace(said(("one", 100, 400)), usage=TokenUsage(1, 20, 3), logprobs=(Logprob("one", -0.5),))
    uncounted = replace(counted, usage=None)
    silent = chunk(1, 10_000, 20_000, "silence", "end")
    whole = two(counted, counted, "silence")
    assert whole.usage == TokenUsage(2, 40, 6)
    assert [one.token for one in whole.logprobs] == ["one", "one"]
    assert two(counted, uncounted, "silence").usage is None
    assert two(uncounted, uncounted, "silence").usage is None
    quiet = replace(silent, speech_samples=0, is_sent=False)
    kept = stitch([(chunk(0, 0, 10_000, "start", "silence"), counted), (quiet, Heard())], duration=20_000)
    assert kept.usage == TokenUsage(1, 20, 3), "nobody was asked about the silent chunk"


def test_every_language_that_was_heard_is_named_when_there_are_several() -> None:
    english, german = replace(said(("yes", 0, 900)), language="en"), replace(said(("ja", 0, 500)), language="de")
    assert two(german, english, "silence").languages == ("de", "en")
    assert two(english, english, "silence").languages == ()
    both = replace(english, languages=("en", "fr"))
    assert two(both, german, "silence").languages == ("en", "fr", "de")


def test_a_text_without_times_becomes_phrases_and_never_words() -> None:
    text = "One two three, four five. " + "again and so on, " * 20
    laid = Heard((Segment(text, 0, 30_000),), timed=False)
    span = chunk(0, 0, 30_000, "start", "end")
    whole = stitch([(span, laid)], duration=30_000)
    assert whole.words == ()
    assert whole.text == text.strip()
    assert whole.segments[0].text == "One two three, four five."
    assert max(segment.end - segment.start for segment in whole.segments) <= 10_500
    holds(whole)


@pytest.mark.parametrize(
    ("left", "right", "text"),
    [
        ("你好。", "世界", "你好。世界"),
        ("สวัสดี", "ครับ", "สวัสดีครับ"),
        ("안녕", "세상", "안녕 세상"),
        ("日本", "Tokyo", "日本 Tokyo"),
        ("日本。", "Tokyo", "日本。Tokyo"),
        ("one", "two", "one two"),
    ],
)
def test_scripts_without_spaces_are_joined_without(left: str, right: str, text: str) -> None:
    parts = [Heard((Segment(each, 1000, 9000),)) for each in (left, right)]
    assert two(parts[0], parts[1], "silence").text == text


def test_no_chunks_make_an_empty_transcript() -> None:
    assert stitch([], duration=0) == Transcript((), 0)
