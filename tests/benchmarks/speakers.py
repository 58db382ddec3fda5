"""Talks of several voices, told apart: error, count, names, processor time and memory, with and without the second network.

`SPEAKERS=FOLDER python -m tests.benchmarks speakers`: the folder holds recordings, each of one voice and with what is said beside
it as a .txt; files whose names begin alike, up to a "-", are of one voice. Kokoro's styles are more voices. Weights of Whisper
base, Kokoro and the voices have to be installed. `SPEAKERS_TALKS` (12) talks of each kind are made, always the same ones.
"""

import base64
import os
import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from infra.settings import Settings
from pipeline.audio.decode import decode
from pipeline.cut.cutter import CutProfile, cut
from pipeline.options import TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import transcribe
from pipeline.speakers.comparison import compared
from pipeline.speakers.diarizer import Course, Diarizer
from pipeline.speakers.excerpts import HOP, LONG, joined, stretches_of
from pipeline.speakers.labelled import Part, labelled
from pipeline.speakers.mixed_voices import HOP as SEGMENT_HOP
from pipeline.speakers.mixed_voices import LONG as SEGMENT
from pipeline.speakers.voice_reader import VoiceReader
from pipeline.transcript import SAMPLE_RATE, Transcript, samples_to_ms
from tests.benchmarks.report import Figure
from tests.benchmarks.talks import KINDS, Talk, Voices, Wave, as_wav, conversation, recorded, spoken, talk
from tests.support.diarization_error import Errors, Turns, errors

TALKS = int(os.environ.get("SPEAKERS_TALKS", "12"))
WRONG, CONFUSED, CONFUSED_HOUR = 12.0, 5.0, 3.0  # percent, at most
PROCESSOR = 240.0  # seconds for an hour
NAMED = 10  # talks of two
REFERENCE_S = 5.0
CUTS = ((30.0, 10.0), (120.0, 60.0), (600.0, 300.0))  # longest and shortest chunk of the hour, in seconds
HOURS = 24
STRETCH = 30 * SAMPLE_RATE  # samples of speech without a pause, in what is made up
MODEL = "gpt-4o-transcribe-diarize"


@dataclass
class Score:
    """Of several talks: all errors, and by how many the number of speakers was off, how often."""

    errors: Errors = field(default_factory=Errors)
    off: Counter[int] = field(default_factory=Counter)

    def take(self, one: Talk, told: Turns) -> None:
        """One more."""
        self.errors += errors(one.truth, told)
        self.off[len({who for _, _, who in told}) - len(one.speakers)] += 1

    def figure(self, name: str) -> Figure:
        """Missed, false, and wrong speaker; how many were counted right."""
        found = self.errors
        parts = "/".join(f"{100 * part / found.spoken:.1f}" for part in (found.missed, found.false, found.confused))
        return Figure(name, f"{parts} %", f"{self.off[0]} of {self.off.total()} right")


def measured(wav: bytes, diarizer: Diarizer, profile: CutProfile) -> list[Part]:
    """All chunks of a recording, with their voices."""
    with decode(wav) as decoding:
        sent = (chunk for chunk in cut(decoding, profile) if chunk.span.is_sent)
        return [(chunk.span, diarizer.voiceprints(chunk.pcm, chunk.span)) for chunk in sent]


def alone(parts: Sequence[Part]) -> list[Part]:
    """As they are without the second network."""
    return [(span, prints and replace(prints, mixed=())) for span, prints in parts]


def turns(transcript: Transcript) -> Turns:
    return [(one.start, one.end, one.speaker) for one in transcript.segments]


def quality(registry: ProviderRegistry, diarizer: Diarizer, voices: Voices) -> Iterator[Figure]:
    """Each talk is heard once, and told apart in three ways."""
    whole = Score()
    for kind in KINDS:
        auto, without, known = Score(), Score(), Score()
        for seed in range(TALKS):
            one = talk(voices, kind, seed)
            heard = transcribe(one.wav, TranscriptionOptions(model=MODEL, response_format="verbose_json"), registry)
            parts = measured(one.wav, diarizer, CutProfile())
            asked = TranscriptionOptions(model=MODEL, speakers="auto")
            told = turns(labelled(heard, parts, asked, diarizer))
            auto.take(one, told)
            whole.take(one, told)
            without.take(one, turns(labelled(heard, alone(parts), asked, diarizer)))
            counted = asked.model_copy(update={"speakers": len(one.speakers)})
            known.take(one, turns(labelled(heard, parts, counted, diarizer)))
        yield auto.figure(f"{kind}: missed/false/wrong speaker")
        yield without.figure(f"{kind}, without the second network")
        yield known.figure(f"{kind}, their number told")
    yield from _targets(whole)


def _targets(whole: Score) -> Iterator[Figure]:
    found, counts = whole.errors, whole.off
    yield Figure("error in all", f"{found.rate:.1f} %", "", None, f"<= {WRONG} %", found.rate <= WRONG)
    good = found.confusion <= CONFUSED
    yield Figure("wrong speaker in all", f"{found.confusion:.1f} %", "", None, f"<= {CONFUSED} %", good)
    right = counts[0] / counts.total()
    good = right >= 0.8 and all(abs(off) <= 1 for off in counts)
    told = str(dict(sorted(counts.items())))
    yield Figure("number of speakers right", f"{100 * right:.0f} %", told, None, ">= 80 %, by one", good)


def names(registry: ProviderRegistry, diarizer: Diarizer, voices: Voices) -> Iterator[Figure]:
    """Talks of two, with samples of theirs out of other turns, and of a stranger."""
    right, wrong = 0, 0
    for seed in range(NAMED):
        chance = random.Random(seed)
        *pair, stranger = chance.sample(sorted(voices), 3)
        samples = {who: sample(voices[who]) for who in (*pair, stranger)}
        rest = {who: voices[who][len(samples[who]) :] or voices[who] for who in pair}
        one = conversation(rest, "plain", 60.0, chance)
        asked = TranscriptionOptions(
            model=MODEL,
            speakers="auto",
            known_speaker_names=tuple(samples),
            known_speaker_references=tuple(as_url(np.concatenate(turns)) for turns in samples.values()),
        )
        heard = transcribe(one.wav, asked.model_copy(update={"speakers": None}), registry)
        called = most_called(
            one.truth, turns(labelled(heard, measured(one.wav, diarizer, CutProfile()), asked, diarizer))
        )
        right += sum(called.get(who) == who for who in pair)
        wrong += sum(name in samples and name != who for who, name in called.items())
    good = right >= 2 * NAMED - 1 and not wrong
    yield Figure("names on the right voice", f"{right} of {2 * NAMED}", f"{wrong} wrong", None, "19, 0 wrong", good)


def sample(said: Sequence[Wave]) -> list[Wave]:
    """The first turns, until there are five seconds."""
    taken = list[Wave]()
    for piece in said:
        taken.append(piece)
        if sum(map(len, taken)) >= REFERENCE_S * SAMPLE_RATE:
            break
    return taken


def as_url(sound: Wave) -> str:
    pcm = sound[: round(REFERENCE_S * SAMPLE_RATE)].astype("<i2").tobytes()
    return "data:audio/wav;base64," + base64.b64encode(as_wav(pcm, SAMPLE_RATE)).decode()


def most_called(truth: Turns, told: Turns) -> Mapping[object, object]:
    """By speaker, the label that most of what he says has."""
    times: dict[object, Counter[object]] = {}
    for start, end, who in truth:
        for first, last, name in told:
            if (shared := min(end, last) - max(start, first)) > 0:
                times.setdefault(who, Counter())[name] += shared
    return {who: shares.most_common(1)[0][0] for who, shares in times.items()}


def hour(diarizer: Diarizer, voices: Voices) -> Iterator[Figure]:
    """Of four voices, cut into chunks of several sizes: whose each moment is, without words."""
    chance = random.Random(1)
    four = {who: voices[who] for who in chance.sample(sorted(voices), 4)}
    one = conversation(four, "overlapping", 3600.0, chance)
    first: Turns | None = None
    for longest, shortest in CUTS:
        parts = measured(one.wav, diarizer, CutProfile(longest, shortest))
        told = in_course(course_of(diarizer, parts))
        found = errors(one.truth, told)
        good = len({who for _, _, who in told}) == 4 and found.confusion <= CONFUSED_HOUR
        wrong = f"{found.confusion:.2f} %"
        yield Figure(
            f"an hour, chunks of {longest:.0f} s: wrong speaker", wrong, "", None, f"<= {CONFUSED_HOUR} %", good
        )
        first = first or told
        other = errors(first, told, collar=0)
        yield Figure("of it told otherwise than in the first cut", f"{other.rate:.2f} %")


def course_of(diarizer: Diarizer, parts: Sequence[Part]) -> Course:
    stretches = joined(stretch for span, _ in parts for stretch in stretches_of(span))
    return diarizer.course([prints for _, prints in parts if prints], stretches)


def in_course(course: Course) -> Turns:
    return [(samples_to_ms(one.start), samples_to_ms(one.end), one.speaker) for one in course.turns]


def cost(folder: str) -> Iterator[Figure]:
    """Of the engine alone, in this process."""
    reader, seconds = VoiceReader(folder, 2), 60
    pcm = np.random.default_rng(1).normal(0, 2000, seconds * SAMPLE_RATE).astype("<i2").tobytes()
    windows = [[at, at + LONG] for at in range(0, len(pcm) // 2 - LONG, HOP)]
    pieces = [pcm[2 * at : 2 * (at + SEGMENT)] for at in range(0, len(pcm) // 2 - SEGMENT, SEGMENT_HOP)]
    reader.measure([{"pcm": pcm, "windows": windows[:4]}])
    began = time.process_time()
    reader.measure([{"pcm": pcm, "windows": windows}])
    vectors = (time.process_time() - began) / len(windows) * 3600 * SAMPLE_RATE / HOP
    began = time.process_time()
    reader.segment(pieces)
    second = (time.process_time() - began) / len(pieces) * 3600 * SAMPLE_RATE / SEGMENT_HOP
    good = vectors + second <= PROCESSOR
    told = f"{vectors:.0f} + {second:.0f} s"
    yield Figure("an hour of speech, both networks, processor", told, "", None, f"<= {PROCESSOR:.0f} s", good)
    for hours in (1, HOURS):
        yield comparing(hours)


def comparing(hours: int) -> Figure:
    """Made-up vectors of four speakers."""
    chance, count = np.random.default_rng(1), hours * 3600 * SAMPLE_RATE // HOP
    people, noise = (chance.normal(size=(rows, 192)) for rows in (4, count))
    people, noise = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (people, noise))
    vectors = (0.74 * people[np.arange(count) // 9 % 4] + 0.67 * noise).astype("<f2").tobytes()
    del noise
    places = np.stack([np.arange(count) * HOP, np.arange(count) * HOP + LONG], axis=1).astype("<i8")
    ends = np.arange(0, int(places[-1, 1]) + STRETCH, STRETCH)
    stretches = np.stack([ends[:-1], ends[1:]], axis=1).astype("<i8").tobytes()
    tracemalloc.start()
    began = time.process_time()
    compared({"places": places.tobytes(), "vectors": vectors, "mixed": []}, stretches, None, [])
    used, most = time.process_time() - began, tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return Figure(f"{count} windows of {hours} h compared, processor", f"{used:.1f} s", f"{most:.0f} MB more")


def run() -> Iterator[Figure]:
    folder = os.environ.get("SPEAKERS")
    settings = Settings.from_env(os.environ)
    voices_folder = settings.weights.speakers
    if voices_folder is None:
        yield Figure("nobody to tell apart: stenopool models install speakers", "")
        return
    yield from cost(str(voices_folder))
    if not {"kokoro", "whisper-base"} <= set(settings.weights.serving):
        yield Figure("nobody to speak or to hear: stenopool models install kokoro", "")
        return
    with ProviderRegistry(settings.load_catalog(), engine_processes=1) as registry:
        diarizer = registry.diarizer
        assert diarizer is not None
        voices = spoken(registry) | (recorded(Path(folder)) if folder else {})
        yield Figure("voices, and turns of theirs", f"{len(voices)}", f"{sum(map(len, voices.values()))}")
        yield from quality(registry, diarizer, voices)
        yield from names(registry, diarizer, voices)
        yield from hour(diarizer, voices)
