"""Recordings whose words are known: WAV files of the oracle's speech."""

import io
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1

from pipeline.oracle.speech import VOCABULARY, generate, say


@dataclass(frozen=True)
class Recording:
    """A WAV file and the words in it."""

    wav: bytes
    words: tuple[str, ...]

    @property
    def digest(self) -> str:
        """How the oracle's log names it, when it is heard in one piece."""
        return sha1(self.wav[44:], usedforsecurity=False).hexdigest()


def short(number: int) -> Recording:
    """A second of speech in one chunk, different for every number."""
    base = len(VOCABULARY)
    words = [VOCABULARY[number % base], VOCABULARY[number // base % base]]
    return Recording(_wav([say(words)]), tuple(words))


def long(seconds: float, seed: int) -> Recording:
    """Natural speech that is cut into many chunks."""
    blocks, words = [], []
    for block, spoken in generate(seconds=seconds, style="natural", seed=seed):
        blocks.append(block)
        words += [word.text for word in spoken]
    return Recording(_wav(blocks), tuple(words))


def silence(seconds: float) -> Recording:
    """Nothing at all."""
    return Recording(_wav([bytes(round(seconds * 16_000) * 2)]), ())


def _wav(blocks: Iterable[bytes]) -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"".join(blocks))
    return memory.getvalue()
