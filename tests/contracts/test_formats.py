"""One suite over every output format: written by us, read by parsers that are not ours."""

import io
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnsupportedValue
from pipeline.formats import load, names
from pipeline.formats.base import RenderOptions
from pipeline.stitch.timeline import forward
from pipeline.transcript import Caution, Gap, Logprob, Segment, Transcript, Word, transcript_from_json

MS = timedelta(milliseconds=1)
HOURS_120 = 120 * 3600 * 1000
EMPTY = Transcript((), 0)
NASTY = Transcript(
    (
        Segment("a --> b", 0, 900, (Word("a", 0, 200), Word("-->", 300, 500), Word("b", 600, 900))),
        Segment("5 < 6 & 7 > 2\n\nNOTE blank", 1000, 4000),
        Segment("<i>tags</i> &amp; {\\an8} \u2028 end", 5000, 8000),
        Segment("WEBVTT 00:00:01.000 --> 00:00:02.000", 9000, 12_000),
        Segment("1", 20_000, 20_000),
    ),
    30_000,
    language="en",
)
LATE = Transcript(
    (Segment("late", HOURS_120 - 1500, HOURS_120, (Word("late", HOURS_120 - 1500, HOURS_120),)),), HOURS_120
)
SAMPLES = {"empty": EMPTY, "nasty": NASTY, "late": LATE}


def render(name: str, transcript: Transcript, **options: object) -> str:
    return load(name).render(transcript, RenderOptions(**options))


def read_srt(document: str) -> list[tuple[int, int, str]]:
    cues = srt.parse(document, ignore_errors=False)
    return [(cue.start // MS, cue.end // MS, cue.content) for cue in cues]


def read_vtt(document: str) -> list[tuple[int, int, str]]:
    """The text still escaped."""
    return [
        (cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), cue.raw_text)
        for cue in webvtt.from_buffer(io.StringIO(document))
    ]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_format_writes_any_transcript(name: str, sample: str) -> None:
    chosen = load(name)
    assert chosen.name == name
    assert chosen.extension.startswith(".")
    assert chosen.media_type in {"application/json", "text/plain; charset=utf-8"} or name not in FIRST_FIVE
    transcript = spoken_by(SAMPLES[sample], "A") if name == "diarized_json" else SAMPLES[sample]
    document = chosen.render(transcript, RenderOptions())
    document.encode()
    if chosen.media_type == "application/json":
        assert json.loads(document)["text"].removeprefix("A: ") == SAMPLES[sample].text


def spoken_by(transcript: Transcript, *speakers: str | None) -> Transcript:
    """The same, its segments said by these in turn."""
    segments = zip(transcript.segments, itertools.cycle(speakers), strict=False)
    return replace(transcript, segments=tuple(replace(segment, speaker=who) for segment, who in segments))


FIRST_FIVE = ("json", "srt", "text", "verbose_json", "vtt")


def test_the_five_formats_of_openai_are_offered() -> None:
    assert set(FIRST_FIVE) <= set(names())


@pytest.mark.processes
def test_listing_imports_nothing() -> None:
    code = (
        "import sys, pipeline.formats as f; assert len(f.names()) >= 5; "
        "assert not [m for m in sys.modules if m.startswith('pipeline.formats.') and m != 'pipeline.formats.base']"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["", "base", "docx", "../text", "__init__", "JSON", "json "])
def test_an_unknown_format_is_refused_and_the_known_are_named(name: str) -> None:
    with pytest.raises(UnsupportedValue, match="json, srt, text, ttml, verbose_json, vtt") as refused:
        load(name)
    assert refused.value.param == "response_format"


def test_an_empty_transcript() -> None:
    assert json.loads(render("json", EMPTY)) == {"text": ""}
    assert render("text", EMPTY) == "\n"
    assert render("srt", EMPTY) == ""
    assert render("vtt", EMPTY) == "WEBVTT\n\n"
    assert json.loads(render("verbose_json", EMPTY))["segments"] == []


def test_the_exact_bytes_of_srt_and_vtt() -> None:
    short = Transcript((Segment("Hello, world.", 0, 3_661_250, (Word("Hello", 3_660_000, 3_660_500),)),), 3_662_000)
    spoken = Transcript(
        (Segment("Hello, world.", 0, 1900, (Word("hello", 59, 500), Word("world", 600, 1900))),), 10_000
    )
    assert render("srt", spoken) == "1\n00:00:00,059 --> 00:00:01,900\nHello, world.\n\n"
    assert render("vtt", spoken) == "WEBVTT\n\n00:00:00.059 --> 00:00:01.900\nHello, world.\n\n"
    assert render("srt", short).startswith("1\n01:01:00,000 --> 01:01:00,833\n")
    assert render("text", spoken) == "Hello, world.\n"


def test_beyond_99_hours() -> None:
    assert "119:59:58,500 --> 120:00:00,000" in render("srt", LATE)
    assert read_srt(render("srt", LATE)) == [(HOURS_120 - 1500, HOURS_120, "late")]
    assert "119:59:58.500 --> 120:00:00.000" in render("vtt", LATE)


def test_nothing_can_break_out_of_a_cue() -> None:
    subtitles, captions = read_srt(render("srt", NASTY)), read_vtt(render("vtt", NASTY))
    assert len(subtitles) == len(captions)
    assert "-->" not in "".join(text for _, _, text in subtitles)
    for _, _, text in captions:
        assert "-->" not in text
        assert "<" not in text
        assert text.count("&") == text.count("&amp;") + text.count("&lt;") + text.count("&gt;")
    assert "5 < 6 & 7 > 2 NOTE blank" in " ".join(text.replace("\n", " ") for _, _, text in subtitles)


TT = "{http://www.w3.org/ns/ttml}"


def read_ttml(document: str) -> list[tuple[str, str, str]]:
    """Times as they are written; `<br/>` as a line's end."""
    root = ElementTree.fromstring(document)
    assert root.tag == f"{TT}tt"
    regions = {region.get("{http://www.w3.org/XML/1998/namespace}id") for region in root.iter(f"{TT}region")}
    cues = list(root.iter(f"{TT}p"))
    assert all(cue.get("region") in regions for cue in cues)
    return [
        (cue.get("begin") or "", cue.get("end") or "", (cue.text or "") + "".join(f"\n{br.tail}" for br in cue))
        for cue in cues
    ]


@pytest.mark.parametrize("sample", SAMPLES)
def test_timed_text_says_what_subtitles_say(sample: str) -> None:
    shown = read_ttml(render("ttml", SAMPLES[sample]))
    captions = [
        (line, text)
        for line, text in zip(_lines_of_times(sample), read_srt(render("srt", SAMPLES[sample])), strict=True)
    ]
    assert [(begin, end) for begin, end, _ in shown] == [times for times, _ in captions]
    assert [text.replace("-->", "→") for *_, text in shown] == [text for _, (_, _, text) in captions]


def _lines_of_times(sample: str) -> list[tuple[str, str]]:
    lines = [line for line in render("vtt", SAMPLES[sample]).splitlines() if " --> " in line]
    return [(line.split(" --> ")[0], line.split(" --> ")[1]) for line in lines]


def test_timed_text_of_letters_that_xml_forbids() -> None:
    odd = Transcript((Segment('a\ufffe & <b> \U0001f600 "c"', 0, 2000),), 2000, language='d"e')
    assert read_ttml(render("ttml", odd)) == [("00:00:00.000", "00:00:02.000", 'a & <b> \U0001f600 "c"')]


def test_text_in_paragraphs() -> None:
    """After a rest behind a sentence, after a long rest anywhere, and where somebody else speaks."""
    parts = [
        Segment("One. Two.", 0, 1000),
        Segment("Three", 3000, 4000),
        Segment("four.", 5900, 6000),
        Segment("Five.", 7600, 8000),
        Segment("six", 12_500, 13_000),
    ]
    transcript = Transcript(tuple(parts), 13_000)
    assert render("text", transcript, paragraphs=True) == "One. Two.\n\nThree four.\n\nFive.\n\nsix\n"
    assert render("text", spoken_by(transcript, "A", "A", "B", "B", "B"), paragraphs=True).startswith(
        "A: One. Two.\n\nA: Three\n\nB: four.\n\n"
    )
    assert render("text", transcript) == "One. Two. Three four. Five. six\n"


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)
said = st.builds(
    lambda text, start, length: Word(text, start, start + length), texts, st.integers(0, 10**8), st.integers(0, 2000)
)
transcripts = st.lists(
    st.lists(said, min_size=1, max_size=12).map(lambda found: sorted(found, key=lambda word: word.start)), max_size=4
).map(
    lambda groups: Transcript(
        forward(
            sorted(
                (
                    Segment(" ".join(word.text for word in words), words[0].start, words[-1].end, tuple(words))
                    for words in groups
                ),
                key=lambda segment: segment.start,
            ),
            10**8 + 5000,
        ),
        10**8 + 5000,
    )
)


@given(transcripts)
@settings(max_examples=60, deadline=None)
def test_srt_and_vtt_come_back_with_the_same_words_and_times(transcript: Transcript) -> None:
    subtitles, captions = read_srt(render("srt", transcript)), read_vtt(render("vtt", transcript))
    assert [cue[:2] for cue in subtitles] == [cue[:2] for cue in captions]
    assert all(start < end for start, end, _ in subtitles)
    assert all(one[1] <= other[0] for one, other in pairwise(subtitles))
    expected = "".join(transcript.text.split())
    assert "".join("".join(text.split()) for _, _, text in subtitles) == expected.replace("-->", "→")
    unescaped = "".join("".join(text.split()) for _, _, text in captions)
    assert unescaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == expected


VERBOSE = Transcript(
    (
        Segment("Hello, world.", 120, 1900, (Word("Hello", 120, 500, 0.9), Word("world", 600, 1900))),
        Segment("Again.", 2000, 2555, avg_logprob=-0.25, tokens=(1, 2), no_speech_prob=float("nan"), suspect=("loop",)),
    ),
    3001,
    language="en",
)


def test_verbose_json_has_every_field_that_clients_read() -> None:
    body = json.loads(render("verbose_json", VERBOSE))
    assert body["task"] == "transcribe"
    assert body["language"] == "english"
    assert body["duration"] == 3.001
    assert body["text"] == "Hello, world. Again."
    assert "words" not in body
    fields = {
        "id", "seek", "start", "end", "text", "tokens",
        "temperature", "avg_logprob", "compression_ratio", "no_speech_prob",
    }  # fmt: skip
    assert all(fields <= set(segment) for segment in body["segments"])
    first, second = body["segments"]
    assert (first["id"], first["seek"], first["start"], first["end"], first["text"]) == (
        0,
        12,
        0.12,
        1.9,
        " Hello, world.",
    )
    assert (second["avg_logprob"], second["tokens"], second["no_speech_prob"]) == (-0.25, [1, 2], 0.0)


def test_timestamps_are_only_there_when_asked_for() -> None:
    words = json.loads(render("verbose_json", VERBOSE, granularities=("word",)))
    assert "segments" not in words
    assert words["words"][0] == {"word": "Hello", "start": 0.12, "end": 0.5}
    both = json.loads(render("verbose_json", VERBOSE, granularities=("word", "segment")))
    assert len(both["segments"]) == 2 and len(both["words"]) == 2


@pytest.mark.parametrize("name", ["json", "verbose_json"])
def test_extra_members_are_merged_into_json_bodies(name: str) -> None:
    body = json.loads(render(name, VERBOSE, extra={"usage": {"type": "duration", "seconds": 4}}))
    assert body["usage"]["seconds"] == 4
    assert body["text"]


@pytest.mark.parametrize(
    ("code", "name"), [("de", "german"), ("pt-BR", "portuguese"), ("EN", "english"), ("xx", "xx"), (None, "unknown")]
)
def test_languages_are_told_by_their_english_names(code: str | None, name: str) -> None:
    assert json.loads(render("verbose_json", Transcript((), 0, language=code)))["language"] == name


def test_a_caption_layout_can_be_asked_for() -> None:
    words = Transcript((Segment("one two three four five six seven eight", 0, 8000),), 8000)
    cues = read_srt(render("srt", words, max_line_chars=12, max_lines=1))
    assert all(len(text) <= 12 and "\n" not in text for _, _, text in cues)
    assert " ".join(text for _, _, text in cues) == words.text


TALK = Transcript(
    (
        Segment("Good morning.", 0, 1500, speaker="Agent"),
        Segment("How can I help?", 1600, 3000, speaker="Agent"),
        Segment("My line is dead, and it has been dead since Monday afternoon.", 4000, 8000, speaker="A"),
    ),
    9000,
    language="en",
)


def test_who_said_what() -> None:
    body = json.loads(render("diarized_json", TALK))
    assert set(body) == {"task", "duration", "text", "segments"}
    assert (body["task"], body["duration"]) == ("transcribe", 9.0)
    assert body["text"].split("\n")[0] == "Agent: Good morning. How can I help?"
    assert body["segments"][2] == {
        "type": "transcript.text.segment",
        "id": "seg_003",
        "start": 4.0,
        "end": 8.0,
        "text": "My line is dead, and it has been dead since Monday afternoon.",
        "speaker": "A",
    }


def test_nobody_is_invented() -> None:
    with pytest.raises(UnsupportedValue) as refused:
        render("diarized_json", VERBOSE)
    assert refused.value.param == "response_format"
    assert json.loads(render("diarized_json", EMPTY))["segments"] == []
    partly = json.loads(render("diarized_json", spoken_by(VERBOSE, "A", None)))
    assert [segment["speaker"] for segment in partly["segments"]] == ["A", "unknown"]


def test_speakers_stand_before_what_they_say() -> None:
    assert render("text", TALK).splitlines()[1].startswith("A: My line is dead")
    subtitles = [text for _, _, text in read_srt(render("srt", TALK))]
    assert subtitles[0].startswith("Agent: ")
    assert [text.startswith("A: ") for text in subtitles].count(True) == 1, "said once, until somebody else speaks"
    assert all(len(line) <= 42 for text in subtitles for line in text.split("\n"))
    captions = webvtt.from_buffer(io.StringIO(render("vtt", TALK)))
    assert [cue.voice for cue in captions] == ["Agent"] * (len(captions) - 1) + ["A"]
    assert "line is dead" in captions[-1].text


def test_a_speakers_name_cannot_break_out() -> None:
    evil = spoken_by(TALK, "<b>\n\n1 --> 2 &amp;")
    captions, subtitles = render("vtt", evil), render("srt", evil)
    assert captions.count("-->") == len(read_vtt(captions))
    assert "<b>" not in captions
    assert subtitles.count("-->") == len(read_srt(subtitles))


def test_channels_are_labels_too() -> None:
    stereo = Transcript((Segment("Left.", 0, 900, channel=0), Segment("Right.", 1000, 1900, channel=1)), 2000)
    assert [one["speaker"] for one in json.loads(render("diarized_json", stereo))["segments"]] == [
        "channel_0",
        "channel_1",
    ]
    assert [one["channel"] for one in json.loads(render("verbose_json", stereo))["segments"]] == [0, 1]
    assert render("text", stereo) == "channel_0: Left.\nchannel_1: Right.\n"


@pytest.mark.parametrize("width", [12, 42])
def test_labels_before_a_line_leave_it_room(width: int) -> None:
    words = tuple(Word("abc", at * 300, at * 300 + 250) for at in range(60))
    said = " ".join(word.text for word in words)
    talk = Transcript((Segment(said, 0, 18_000, words, channel=0), Segment(said, 0, 18_000, words, channel=1)), 18_000)
    lines = [line for _, _, text in read_srt(render("srt", talk, max_line_chars=width)) for line in text.split("\n")]
    document = ElementTree.fromstring(render("ttml", talk, max_line_chars=width))
    lines += [part for paragraph in document.iter(f"{TT}p") for part in paragraph.itertext()]
    assert any(line.startswith("channel_1: ") for line in lines)
    assert all(len(line.split(": ")[-1]) <= width for line in lines)
    assert width == 12 or all(len(line) <= width for line in lines)


HOLED = Transcript(
    (Segment("Before.", 0, 900), Segment("After.", 31_000, 32_000)),
    33_000,
    gaps=(Gap(1000, 30_000, "provider_unavailable", 1),),
)


def test_what_is_missing_is_not_hidden() -> None:
    for name in ("json", "verbose_json"):
        told = json.loads(render(name, HOLED))["gaps"]
        reason = {"reason": "This part could not be heard.", "retryable": True, "chunk": 1}
        assert told == [{"start": 1.0, "end": 30.0, "code": "provider_unavailable", **reason}]
    assert render("text", HOLED) == "Before. […] After.\n"
    assert [text for _, _, text in read_srt(render("srt", HOLED))] == ["Before.", "[…]", "After."]
    assert [text for _, _, text in read_vtt(render("vtt", HOLED))] == ["Before.", "[…]", "After."]


DAMAGED = replace(
    HOLED,
    gaps=(
        Gap(950, 30_000, "hole", retryable=False),
        Gap(30_000, 31_000, "undecodable", retryable=False, lost=True),
    ),
    warnings=(Caution("truncated", 33_000, 33_000, "The file ends early.", lost=True),),
)


def test_what_is_missing_for_good_is_told_and_a_hole_is_no_word() -> None:
    for name in ("json", "verbose_json", "diarized_json"):
        body = json.loads(render(name, spoken_by(DAMAGED, "A")))
        assert [(gap["code"], gap["retryable"]) for gap in body["gaps"]] == [("hole", False), ("undecodable", False)]
        assert body["warnings"] == [
            {"code": "truncated", "start": 33.0, "end": 33.0, "message": "The file ends early."}
        ]
        assert body["incomplete"] is True
    assert render("text", DAMAGED) == "Before. […] After.\n"
    assert [text for _, _, text in read_vtt(render("vtt", DAMAGED))] == ["Before.", "[…] After."]


@pytest.mark.parametrize("name", ["json", "verbose_json", "diarized_json"])
def test_a_whole_answer_has_nothing_that_openais_has_not(name: str) -> None:
    body = json.loads(render(name, spoken_by(VERBOSE, "A")))
    assert not {"gaps", "warnings", "incomplete"} & set(body)


def test_tracks_are_told_as_channels_are() -> None:
    one, two = ((Word(text, start, start + 800),) for text, start in (("Left.", 0), ("Right.", 1000)))
    parts = (Segment("Left.", 0, 900, one, track=1), Segment("Right.", 1000, 1900, two, track=2, channel=0))
    tracks = Transcript(parts, 2000)
    assert render("text", tracks) == "track_1: Left.\ntrack_2_channel_0: Right.\n"
    assert json.loads(render("json", tracks))["text"] == "track_1: Left.\ntrack_2_channel_0: Right."
    body = json.loads(render("verbose_json", tracks, granularities=("word", "segment")))
    for members in (body["segments"], body["words"]):
        assert [(one["track"], one.get("channel")) for one in members] == [(1, None), (2, 0)]
    assert [one["speaker"] for one in json.loads(render("diarized_json", tracks))["segments"]] == [
        "track_1",
        "track_2_channel_0",
    ]
    assert [cue.voice for cue in webvtt.from_buffer(io.StringIO(render("vtt", tracks)))] == [
        "track_1",
        "track_2_channel_0",
    ]


def test_json_says_what_the_provider_told() -> None:
    told = replace(VERBOSE, languages=("en", "de"), logprobs=(Logprob("é", -0.5), Logprob("x", -1.0, (120,))))
    body = json.loads(render("json", told))
    assert body["languages"] == [{"code": "en"}, {"code": "de"}]
    assert body["logprobs"][0] == {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    assert body["logprobs"][1]["bytes"] == [120]


def test_translations_have_no_words_and_are_english() -> None:
    english = replace(VERBOSE, task="translate", language="de", languages=("de",))
    body = json.loads(render("verbose_json", english, granularities=("word",)))
    assert (body["language"], "words" in body, len(body["segments"])) == ("english", False, 2)
    assert set(json.loads(render("json", english))) == {"text"}
    assert json.loads(render("json", VERBOSE))["languages"] == [{"code": "en"}]


@pytest.mark.parametrize(
    "sample", [*SAMPLES.values(), replace(NASTY, gaps=(Gap(0, 500, "hole", lost=True),), decoded=29_500)]
)
def test_full_json_is_the_transcript_itself(sample: Transcript) -> None:
    document = json.loads(render("full_json", sample, extra={"usage": {"type": "duration", "seconds": 30}}))
    assert transcript_from_json(json.dumps(document["transcript"]).encode()) == sample
    assert document["usage"] == {"type": "duration", "seconds": 30}
