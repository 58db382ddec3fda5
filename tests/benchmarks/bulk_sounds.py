"""What the archives of the benchmark `bulk` hold: BULK_FILES recordings with names of all kinds, and what is said in each."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.support.recordings import Recording, long, short

FILES = int(os.environ.get("BULK_FILES", "10000"))
BROKEN, DOUBLE, LONG = 50, 100, 10  # each so many-th is one
KINDS = ("a b/{0} talk.wav", "🎧/{0}.wav", "l/" + "x" * 196 + "{0}.wav", "stems/{1}.{2}")


@dataclass(frozen=True)
class Archive:
    """By name what is said in the good ones, and which have no sound; how many of the good ones differ."""

    said: dict[str, str]
    broken: frozenset[str]
    different: int


def name_of(number: int) -> str:
    """Spaces, emoji, 200 letters, and two of one stem."""
    return KINDS[number // 2 % len(KINDS)].format(number, number // 2, "wav" if number % 2 else "mp3")


def fill(folder: Path, *, first: int, files: int = FILES) -> Archive:
    """Recordings of 1 to 20 s, two in a hundred broken, one in a hundred twice; none is that of another `first`."""
    said, broken, different = dict[str, str](), set[str](), 0
    for number in range(files):
        name, is_double = name_of(number), number % DOUBLE == 1
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % BROKEN == BROKEN - 1:
            path.write_bytes(b"no sound" * number)
            broken.add(name)
            continue
        recording = _sound(number - is_double, first)
        path.write_bytes(recording.wav)
        said[name] = " ".join(recording.words)
        different += not is_double
    return Archive(said, frozenset(broken), different)


def _sound(number: int, first: int) -> Recording:
    return long(4 + number % 17, first + number) if number % LONG == LONG - 2 else short(first + number)
