"""Which names below a source are meant: `include` and `exclude` as rclone reads them, recordings only where nothing is said.

`*` is anything but a slash, `**` anything, `?` one letter, `[a-z]` one of these, `{a,b}` one of those. A pattern that begins with a
slash is the whole path; any other one matches from any folder on. One that ends with a slash is all that is below. Each letter of
a path is looked at once, whatever the pattern: it comes from a caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import product
from math import prod

from pipeline.errors import InvalidRequest

MOST_PATTERNS = 100
MOST_LETTERS = 256  # of a pattern
MOST_CHOICES = 64  # that the braces of one come to
_SUFFIXES = """
3g2 3ga 3gp aac ac3 adts aif aifc aiff alac amr ape asf au avi awb caf dts dv eac3 f4a f4v flac flv gsm m2ts m4a m4b m4p m4r m4v
mka mkv mov mp1 mp2 mp3 mp4 mpeg mpg mpga mts mxf oga ogg ogv ogx opus ra rm snd spx ts tta vob voc w64 wav weba webm wma wmv wv
"""
MEDIA = frozenset(_SUFFIXES.split())  # of recordings
TEMPORARY = (".part", ".tmp", ".crdownload", "~")
_STAR, _STARS, _ONE = "*", "**", "?"
_TOKEN = re.compile(r"\*\*+|\*|\?|\[(!|\^)?(\]?[^\]]*)\]|\\?(.)", re.DOTALL)
_BRACES = re.compile(r"\{([^{}]*)\}")


class Selection:
    """Chooses by a path relative to the input. Without `include` what is called like a recording; hidden and temporary names only
    where a pattern of `include` names them so. `within`: how a caller reaches the two fields."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = (), *, within: str = "") -> None:
        """Raises InvalidRequest."""
        self._include = [one for written in include for one in _patterns(written, f"{within}include", dots=False)]
        self._exclude = [one for written in exclude for one in _patterns(written, f"{within}exclude", dots=True)]
        self.names_hidden = any(part.startswith(".") for written in include for part in written.split("/"))
        self._temporary = tuple(end for end in TEMPORARY if not any(one.rstrip("*").endswith(end) for one in include))

    def takes(self, path: str) -> bool:
        """Whether this one is meant."""
        if self.leaves_out(path) or path.lower().endswith(self._temporary):
            return False
        if self._include:
            return any(pattern.matches(path) for pattern in self._include)
        hidden = any(part.startswith(".") for part in path.split("/"))
        return not hidden and suffix_of(path) in MEDIA

    def leaves_out(self, path: str) -> bool:
        """Whether it is excluded, also where it was named by itself."""
        return any(pattern.matches(path) for pattern in self._exclude)


def suffix_of(path: str) -> str:
    """`mp3` of `a/b.MP3`; empty where there is none."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name.lstrip(".") else ""


def stem_of(path: str) -> str:
    """The path without its last suffix."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] if "." in name.lstrip(".") else name)


class Pattern:
    """One pattern without braces. Without `dots` a name that begins with a dot is matched by what is written so."""

    def __init__(self, written: str, *, dots: bool = True) -> None:
        self._anchored, self._dots = written.startswith("/"), dots
        self._tokens = list(_tokens(written.removeprefix("/")))

    def matches(self, path: str) -> bool:
        """Every way through the pattern at once, letter by letter."""
        states, before, hidden = set(self._begin), "/", False
        for letter in path:
            dot = letter == "." and before == "/" and not self._dots
            begun = {state for state in states if self._names_dot(state)} if dot else states
            states = {at for state in begun for at in self._after(state, letter)}
            hidden, before = hidden or dot, letter
            if letter == "/" and not self._anchored and not hidden:
                states |= self._begin
        return len(self._tokens) in states

    @cached_property
    def _begin(self) -> frozenset[int]:
        return frozenset(self._reached(0))

    def _names_dot(self, state: int) -> bool:
        """Whether a name's first dot is written here, and not what stars leave over."""
        return self._tokens[state : state + 1] == ["=."] and (not state or self._tokens[state - 1] == "=/")

    def _reached(self, state: int) -> Iterator[int]:
        """This one, and what follows stars, which may be nothing."""
        yield state
        while state < len(self._tokens) and self._tokens[state] in (_STAR, _STARS):
            state += 1
            yield state

    def _after(self, state: int, letter: str) -> Iterable[int]:
        if state == len(self._tokens):
            return ()
        token = self._tokens[state]
        if token == _STARS or (token == _STAR and letter != "/"):
            return self._reached(state)
        return self._reached(state + 1) if _fits(token, letter) else ()


def _fits(token: str | re.Pattern[str], letter: str) -> bool:
    if isinstance(token, re.Pattern):
        return token.fullmatch(letter) is not None
    return letter != "/" if token == _ONE else token == f"={letter}"


def _tokens(written: str) -> Iterator[str | re.Pattern[str]]:
    """A letter stands as `=letter`, so that an escaped star is none."""
    for found in _TOKEN.finditer(written):
        whole = found[0]
        if whole.startswith(_STARS):
            yield _STARS
        elif found[3] is None and whole[0] == "[":
            inside = found[2].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^").replace("]", "\\]")
            yield re.compile(f"[{'^/' if found[1] else ''}{inside}]", re.DOTALL)
        else:
            yield whole if whole in (_STAR, _ONE) else f"={found[3]}"


def _patterns(written: str, param: str, *, dots: bool) -> list[Pattern]:
    whole = f"{written}**" if written.endswith("/") else written
    pieces = [piece.split(",") if at % 2 else [piece] for at, piece in enumerate(_BRACES.split(whole))]
    choices = prod(len(piece) for piece in pieces)
    if not written.strip("/") or len(written) > MOST_LETTERS or choices > MOST_CHOICES:
        told = (
            f"{written[:MOST_LETTERS]!r} is no pattern. Write one such as '*.mp3' or '/interviews/**', "
            f"of {MOST_LETTERS} letters at most, whose braces come to {MOST_CHOICES} patterns at most."
        )
        raise InvalidRequest(told, param=param)
    try:
        return [Pattern("".join(choice), dots=dots) for choice in product(*pieces)]
    except re.error as error:
        raise InvalidRequest(f"{written!r} is no pattern: {error}.", param=param) from error
