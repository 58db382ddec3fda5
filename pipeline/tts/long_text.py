"""A long text read aloud: its recitals laid end to end into one file, and the transcript of what is said when.

The recitals come one after the other, so that a book needs no more memory than a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipeline.audio.encode import encode
from pipeline.audio.playback.peaks import Peaks
from pipeline.transcript import Segment, Transcript, Word
from pipeline.tts.passage import SAMPLE_RATE, Recital

_BLOCK = 1 << 20


class Reading:
    """Takes the recitals as they pass by; afterwards it knows the whole."""

    def __init__(self) -> None:
        self.samples = 0
        self.model_used = ""
        self.peaks = Peaks(SAMPLE_RATE)
        self._sentences: list[Segment] = []

    @property
    def duration(self) -> int:
        """What has passed so far, in ms."""
        return _ms(self.samples)

    def file(self, recitals: Iterable[Recital], target: str, *, samples: int) -> Iterator[bytes]:
        """The encoded file in one of the six formats, block by block. `samples`: how many there will be, at 24 kHz, for the
        formats whose header tells it. Raises UnsupportedValue, SandboxFailed, and whatever `recitals` raises.
        """
        return encode(self._passing(recitals), sample_rate=SAMPLE_RATE, target=target, samples=samples)

    def transcript(self) -> Transcript:
        """What was said, once every recital has passed."""
        return Transcript(tuple(self._sentences), self.duration, task="speech", model_used=self.model_used)

    def _passing(self, recitals: Iterable[Recital]) -> Iterator[bytes]:
        for recital in recitals:
            at = self.duration
            self._sentences += (_later(sentence, at) for sentence in recital.sentences)
            self.peaks.add(self.samples, recital.pcm)
            self.samples += recital.samples
            self.model_used = self.model_used or recital.model_used
            yield from (recital.pcm[start : start + _BLOCK] for start in range(0, len(recital.pcm), _BLOCK))


def _later(sentence: Segment, by: int) -> Segment:
    words = tuple(Word(word.text, word.start + by, word.end + by, word.confidence) for word in sentence.words)
    return replace(sentence, start=sentence.start + by, end=sentence.end + by, words=words)


def _ms(samples: int) -> int:
    return round(1000 * samples / SAMPLE_RATE)
