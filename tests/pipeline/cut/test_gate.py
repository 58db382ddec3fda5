"""The gate may save, it may not decide: not a word is kept from a provider, and nothing is sent where nothing happens."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from pipeline.cut.cutter import Chunk, CutProfile, Span, cut
from pipeline.cut.time_range import moved
from pipeline.oracle.speech import say
from pipeline.transcript import SAMPLE_RATE
from tests.pipeline import sounds
from tests.pipeline.cut.spoken import (
    SENTENCES,
    VOICES,
    WHISPERED,
    Word,
    at_level,
    lone_words,
    of_the_colour_of_speech,
    room,
    said,
    scattered,
    through_mulaw,
    under_noise,
)
from tests.pipeline.cut.steady_noises import STEADY, harmonics
from tests.pipeline.sounds import Samples

LONG, SHORT = CutProfile(), CutProfile(max_s=10, min_s=4)


def spans(sound: Samples, profile: CutProfile = LONG) -> list[Span]:
    return [chunk.span for chunk in chunks(sound, profile)]


def chunks(sound: Samples, profile: CutProfile = LONG) -> list[Chunk]:
    return list(cut([sounds.pcm(sound)], profile))


def lost(found: Sequence[Span], words: Sequence[Word]) -> list[Word]:
    """Those that are whole in no chunk that is sent, and those of which a part is told as not sent."""
    sent = [(span.audio_start, span.audio_end) for span in found if span.is_sent]
    left_out = [(start, end) for span in found for start, end, _ in span.left_out]
    return [
        (first, last)
        for first, last in words
        if not any(start <= first and last <= end for start, end in sent)
        or any(start < last and first < end for start, end in left_out)
    ]


def test_300_lone_words_at_any_level_with_and_without_a_room() -> None:
    asked = product((-20.0, -28.0, -33.0, -40.0, -45.0), (0.0, 0.2, 1.0), (False, True))
    for (decibels, edge, roomy), word in zip(list(asked) * 10, lone_words(300), strict=True):
        whole = np.concatenate((sounds.silence(edge), at_level(word, decibels), sounds.silence(edge)))
        whole += room(len(whole) / SAMPLE_RATE) if roomy else 0.0
        start = round(edge * SAMPLE_RATE)
        assert lost(spans(whole), [(start, start + len(word))]) == []


@pytest.mark.parametrize("every_s", [20.0, 45.0])
@pytest.mark.parametrize(
    ("around", "decibels"),
    [("silence", -20.0), ("silence", -45.0), ("room", -30.0), ("room", -45.0), ("brown", -30.0), ("fan", -40.0)],
)
def test_one_word_now_and_then_in_minutes_of_nothing(around: str, decibels: float, every_s: float) -> None:
    words = [at_level(word, decibels) for word in lone_words(20, seed=round(every_s))]
    noise = {
        "silence": lambda seconds, seed: sounds.silence(seconds),
        "room": room,
        "brown": lambda seconds, seed: 40 * STEADY["brown"](seconds, seed),
        "fan": lambda seconds, seed: 40 * STEADY["fan"](seconds, seed),
    }[around]
    whole, places = scattered(words, every_s, noise)
    found = spans(whole)
    assert lost(found, places) == []
    sent = sum(span.audio_end - span.audio_start for span in found if span.is_sent)
    assert sent < 0.55 * len(whole), "and most of the nothing is saved"


@pytest.mark.parametrize("level", [0, 2, 30, 1000, 9000])
@pytest.mark.parametrize("noise", STEADY)
def test_where_nothing_happens_nothing_is_sent(noise: str, level: float) -> None:
    for seconds, profile in ((1.5, LONG), (8.0, LONG), (75.0, SHORT), (75.0, LONG)):
        found = chunks(STEADY[noise](seconds, 7) * level, profile)
        assert not any(chunk.span.is_sent or chunk.pcm for chunk in found)
        assert level == 2 or {chunk.span.left_out for chunk in found} == {  # 2 is at the edge of what can be heard
            ((chunk.span.own_start, chunk.span.own_end, "steady" if level > 2 else "silence"),) for chunk in found
        }


@pytest.mark.parametrize("snr", [10, 0, -10])
@pytest.mark.parametrize("noise", ["white", "pink", "brown", "hum", "fan"])
def test_speech_over_and_under_noise_is_sent(noise: str, snr: float) -> None:
    for nth, (voice, text) in enumerate(product(VOICES, SENTENCES)):
        sentence = at_level(said(text, voice), -35)
        edge = (0.3, 1.0, 4.0)[nth % 3]
        whole = np.concatenate((sounds.silence(edge), sentence, sounds.silence(edge)))
        whole += STEADY[noise](len(whole) / SAMPLE_RATE + 1, nth)[: len(whole)] * sentence.std() * 10 ** (-snr / 20)
        start = round(edge * SAMPLE_RATE)
        assert lost(spans(whole), [(start, start + len(sentence))]) == []


@pytest.mark.parametrize("noise", ["white", "pink", "fan"])
def test_any_sentence_far_under_noise_is_sent(noise: str) -> None:
    for whole, place in under_noise(40, STEADY[noise], -10):
        assert lost(spans(whole), [place]) == []


def test_lone_words_far_under_a_machine_are_sent() -> None:
    """Its sound is evener than noise: what a word adds to it is less than what noise has by itself."""
    missed = 0
    for nth, word in enumerate(lone_words(60, seed=3)):
        whole = at_level(harmonics(6, 0.6, nth), -20)
        whole[2 * SAMPLE_RATE :][: len(word)] += at_level(word, -30)
        missed += len(lost(spans(whole), [(2 * SAMPLE_RATE, 2 * SAMPLE_RATE + len(word))]))
    assert missed <= 4


@pytest.mark.parametrize("seconds", [2.0, 5.0, 7.3])
@pytest.mark.parametrize("roomy", [False, True])
def test_a_word_of_which_only_the_beginning_was_recorded_is_sent(roomy: bool, seconds: float) -> None:
    """The recorder was switched off."""
    for word, length in zip(lone_words(24), (0.03, 0.05, 0.1, 0.15) * 6, strict=True):
        whole, begun = (room if roomy else sounds.silence)(seconds), at_level(word[: round(length * SAMPLE_RATE)], -30)
        whole[-len(begun) :] += begun
        assert lost(spans(whole), [(len(whole) - len(begun), len(whole))]) == []


@pytest.mark.parametrize("snr", [-5, -10, -15])
def test_any_sentence_under_noise_of_its_own_colour_is_sent(snr: float) -> None:
    for whole, place in under_noise(40, of_the_colour_of_speech, snr):
        assert lost(spans(whole), [place]) == []


@pytest.mark.parametrize("every_s", [0.6, 0.8, 1.0])
@pytest.mark.parametrize("voice", ["alloy", "oracle"])
def test_a_word_that_a_machine_repeats_is_sent(voice: str, every_s: float) -> None:
    word = sounds.samples(say(["seven"], edge_s=0.0)) if voice == "oracle" else at_level(said("seven", voice), -25)
    stretch = round(every_s * SAMPLE_RATE)
    beat = np.zeros(stretch)
    beat[: len(word)] = word[:stretch]
    places = [(nth * stretch, nth * stretch + min(len(word), stretch)) for nth in range(60)]
    found = spans(np.tile(beat, 60))
    assert lost(found, places) == []


def test_gapless_tone_speech_is_sent_whole() -> None:
    sound, words = sounds.oracle("dense", 60)
    found = spans(sounds.samples(sound))
    assert lost(found, [(word.start, word.end) for word in words]) == []


@pytest.mark.parametrize("decibels", [-25, -40, -50])
def test_whispers_and_telephones_are_sent(decibels: float) -> None:
    for text in SENTENCES:
        for sound in (said(text, WHISPERED), through_mulaw(said(text, "onyx"))):
            whole = np.concatenate((room(1), at_level(sound, decibels), room(1)))
            assert lost(spans(whole), [(SAMPLE_RATE, SAMPLE_RATE + len(sound))]) == []


def test_a_faint_word_far_from_loud_speech_is_not_cut_off() -> None:
    talk = sounds.samples(sounds.oracle("natural", 12)[0])
    faint = at_level(said("seven", WHISPERED), -62)
    whole = np.concatenate((room(2), faint, room(4), talk, room(6), faint, room(0.5)))
    first, second = 2 * SAMPLE_RATE, 12 * SAMPLE_RATE + len(faint) + len(talk)
    found = spans(whole)
    assert lost(found, [(first, first + len(faint)), (second, second + len(faint))]) == []


def test_what_little_speech_is_found_in_is_sent_in_doubt() -> None:
    word = at_level(said("two", "ash", 320), -30)
    (alone,) = spans(np.concatenate((room(1), word, room(1))))
    (talk,) = spans(sounds.samples(sounds.oracle("natural", 12)[0]))
    assert alone.is_sent and alone.in_doubt
    assert talk.is_sent and not talk.in_doubt


def test_a_door_is_sent_with_little_around_it() -> None:
    whole = room(28)
    whole[14 * SAMPLE_RATE :][:800] += sounds.white(0.05, 1000)
    (found,) = spans(whole)
    assert found.is_sent and found.in_doubt
    assert found.audio_end - found.audio_start <= 7 * SAMPLE_RATE
    assert [reason for *_, reason in found.left_out] == ["steady", "steady"]


@pytest.mark.parametrize("sound", [sounds.white(25, 300), sounds.tone(25, 440, 300), sounds.white(25, 0.6)])
def test_without_the_gate_all_sound_is_sent_whole(sound: Samples) -> None:
    found = spans(sound, CutProfile(max_s=10, min_s=4, gated=False))
    assert all(span.is_sent and not span.left_out for span in found)
    assert {found[0].audio_start, found[-1].audio_end} == {0, len(sound)}


def test_a_siren_is_left_out() -> None:
    (found,) = spans(sounds.sweep(12, 3000) + sounds.white(12, 30))
    assert [reason for *_, reason in found.left_out] == ["steady"] and not found.is_sent


def test_without_the_gate_digital_silence_stays_unsent() -> None:
    talk = sounds.samples(sounds.oracle("natural", 9)[0])
    whole = np.concatenate((sounds.silence(40), talk))
    found = spans(whole, CutProfile(max_s=10, min_s=4, gated=False))
    assert [span.is_sent for span in found][:3] == [False] * 3 and found[-1].is_sent
    assert [reason for *_, reason in found[0].left_out] == ["silence"]
    assert found[-1].audio_end == len(whole)


def test_what_is_left_out_moves_with_its_span() -> None:
    (span,) = spans(room(5))
    assert moved(span, 1000).left_out == ((1000, 1000 + 5 * SAMPLE_RATE, "steady"),)
