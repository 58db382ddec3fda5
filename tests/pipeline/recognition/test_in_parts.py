"""A chunk that is too long for whoever hears it is heard in parts, and comes back as one."""

from pipeline.cut.cutter import CutProfile
from pipeline.oracle.ear import listen
from pipeline.provider_protocol import phrases
from pipeline.recognition.in_parts import heard_in_parts
from pipeline.transcript import SAMPLE_RATE, Heard, TokenUsage, Word, samples_to_ms
from tests.pipeline import sounds

SHORT = CutProfile(max_s=10, min_s=4)


def truly(pcm: bytes) -> Heard:
    words = [Word(word.text, samples_to_ms(word.start), samples_to_ms(word.end)) for word in listen(pcm)]
    return Heard(tuple(phrases(words)), "en", "real", usage=TokenUsage(audio_in=1))


def test_parts_are_as_short_as_they_must_be_and_nothing_is_lost() -> None:
    pcm = sounds.oracle("natural", 45)[0]
    lengths: list[float] = []

    def hear(part: bytes) -> Heard:
        lengths.append(len(part) / 2 / SAMPLE_RATE)
        return truly(part)

    heard = heard_in_parts(pcm, SHORT, hear)
    whole = truly(pcm)
    assert len(lengths) > 4 and max(lengths) <= SHORT.max_s
    assert [word.text for segment in heard.segments for word in segment.words] == [
        word.text for segment in whole.segments for word in segment.words
    ]
    starts = [[word.start for segment in one.segments for word in segment.words] for one in (heard, whole)]
    assert all(abs(mine - theirs) <= 20 for mine, theirs in zip(*starts, strict=True))
    assert (heard.language, heard.model_used, heard.timed) == ("en", "real", True)
    assert heard.usage == TokenUsage(audio_in=len(lengths))


def test_what_is_short_enough_is_put_as_it_is() -> None:
    pcm = sounds.oracle("natural", 10)[0]
    put: list[bytes] = []

    def hear(part: bytes) -> Heard:
        put.append(part)
        return Heard()

    heard_in_parts(pcm[: 2 * 10 * SAMPLE_RATE], SHORT, hear)
    assert put == [pcm[: 2 * 10 * SAMPLE_RATE]]


def test_text_without_times_stays_so() -> None:
    pcm = sounds.oracle("natural", 45)[0]
    heard = heard_in_parts(pcm, SHORT, lambda part: Heard(truly(part).segments, timed=False))
    assert not heard.timed
