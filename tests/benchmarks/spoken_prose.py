"""Recordings that need no recordings: sentences of this repository's documents and docstrings, spoken by Kokoro."""

import re
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from pipeline.options import SpeechOptions
from pipeline.provider_protocol import OPENAI_VOICES
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak
from pipeline.text.text_splitter import passages
from tests.support.repository import FLOORS, ROOT

_CODE = re.compile(r"```.*?```|`[^`]*`|<[^>]*>|\|", re.DOTALL)
_SENTENCE = re.compile(r"\b[A-Z][a-z]+(?:,?;? [a-z]+(?:['-][a-z]+)*){5,28}[.?!]")
_PASSAGE = 900  # characters: a minute


def prose() -> Iterator[str]:
    """Each sentence once, of plain words only: what is heard of it needs no rules of spelling."""
    seen = set[str]()
    documents = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
    docstrings = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
    for path in (*documents, *docstrings):
        text = re.sub(r"\s+", " ", _CODE.sub(" § ", path.read_text("utf-8")))
        for found in _SENTENCE.finditer(text):
            if found[0] not in seen:
                seen.add(found[0])
                yield found[0]


def write_spoken(folder: Path, registry: ProviderRegistry, words: int) -> None:
    """At least so many words as FLAC files of about a minute, each with its text beside it; what is there already stays."""
    taken = list[str]()
    for sentence in prose():
        taken.append(sentence)
        if sum(len(one.split()) for one in taken) >= words:
            break
    voices = cycle(OPENAI_VOICES)
    for place, passage in enumerate(passages(" ".join(taken), longest=_PASSAGE)):
        sound, voice = folder / f"prose-{place:02}.flac", next(voices)
        if sound.exists() and sound.with_suffix(".txt").read_text("utf-8") == passage:
            continue
        asked = SpeechOptions(model="kokoro", voice=voice, input=passage, response_format="flac")
        sound.write_bytes(b"".join(speak(asked, registry)))
        sound.with_suffix(".txt").write_text(passage, encoding="utf-8")
