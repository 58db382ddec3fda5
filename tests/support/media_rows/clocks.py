"""M2, M7, M9: sound that begins late, that has holes, that an edit list holds up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.support.edit_lists import EMPTY, edited
from tests.support.media_rows.material import CUT, FILES, WHOLE, Row, both, encoded, ffmpeg, said_by_both, wav

LATE, HOLE = 61, 90  # seconds, which cost nothing
HOLED = ("mkv", "mka", "webm", "m4a", "3gp", "ogg", "oga", "ts", "m2ts", "mpg", "vob", "flv", "wma")
FILMS = {  # the picture's codec
    "mpg": "mpeg2video", "vob": "mpeg2video", "ts": "mpeg2video", "mp4": "mpeg4", "mov": "mpeg4", "mkv": "mpeg4", "webm": "libvpx",
    "flv": "flv", "wma": "wmv2", "ogg": "libtheora",
}  # fmt: skip
PRIMING = 1024 / 16_000


def rows() -> Iterator[Row]:
    """All of them."""
    for name in ("mkv", "mka", "webm", "m4a", "3gp", "mov"):
        yield Row(f"M2 {name}, late", partial(_late, name=name), said_by_both(start=LATE), gaps=((0, LATE),))
    for name in HOLED:
        gaps = ((CUT, CUT + HOLE),)
        yield Row(f"M2 {name}, a hole", partial(_holed, name=name, hole=HOLE), said_by_both(HOLE), FILES[name][1], gaps)
    yield Row("M2 webm, a short hole", partial(_holed, name="webm", hole=0.6), said_by_both(0.6))
    yield Row(
        "M2 mp4, late and with a hole", _late_and_holed, said_by_both(5, start=2), gaps=((0, 2), (CUT + 2, CUT + 7))
    )
    absurd = partial(_holed, name="webm", hole=100_000)
    yield Row("M2 webm, a leap beyond all limits", absurd, said_by_both(), warnings=frozenset({"time_leap"}))
    for name in FILMS:
        yield Row(f"M7 {name}, 2 s late", partial(_film, name=name, late=2), said_by_both(start=2), gaps=((0, 2),))
    for name in ("mpg", "vob"):
        for late in (0.5, 4):
            gaps = ((0, late),) if late >= 1 else ()
            yield Row(
                f"M7 {name}, {late} s late", partial(_film, name=name, late=late), said_by_both(start=late), gaps=gaps
            )
    yield from _each_channel()
    yield Row("M9 m4a, a pause by its edit list", _pausing, said_by_both(HOLE), gaps=((CUT, CUT + HOLE),))


def _each_channel() -> Iterator[Row]:
    """The same of two channels, each by itself."""
    by_itself = {"channels": "separate"}
    holed, film = partial(_holed, name="webm", hole=HOLE, channels=2), partial(_film, name="mpg", late=2, channels=2)
    said, gaps = said_by_both(HOLE), ((CUT, CUT + HOLE),)
    yield Row("M2 webm, a hole, each channel", holed, said + said, gaps=gaps, fields=by_itself, layers=2)
    said, gaps = said_by_both(start=2), ((0, 2),)
    yield Row("M7 mpg, 2 s late, each channel", film, said + said, gaps=gaps, fields=by_itself, layers=2)
    said, gaps = said_by_both(HOLE), ((CUT, CUT + HOLE),)
    pausing = partial(_pausing, channels=2)
    yield Row("M9 m4a, a pause, each channel", pausing, said + said, gaps=gaps, fields=by_itself, layers=2)


def _late(folder: Path, name: str) -> bytes:
    (folder / "source.wav").write_bytes(wav(both()))
    ffmpeg(folder, "-itsoffset", LATE, "-i", "source.wav", *FILES[name][0], f"late.{name}")
    return (folder / f"late.{name}").read_bytes()


def _holed(folder: Path, name: str, hole: float, channels: int = 1) -> bytes:
    encoded(folder, wav(*[both()] * channels), f"whole.{name}")
    return _stamped(folder, f"whole.{name}", hole)


def _stamped(folder: Path, name: str, hole: float) -> bytes:
    """The same packets, those behind the cut with later stamps."""
    stamps = f"if(gt((PTS-STARTPTS)*TB,{CUT}),PTS+{hole}/TB,PTS)"
    pages = ("-page_duration", 20_000) if name.endswith(("ogg", "oga")) else ()  # a page has one stamp
    ffmpeg(
        folder,
        "-i",
        name,
        "-copyts",
        "-c",
        "copy",
        "-map",
        0,
        "-bsf:a",
        f"setts=ts='{stamps}'",
        *pages,
        f"again.{name}",
    )
    return (folder / f"again.{name}").read_bytes()


def _film(folder: Path, name: str, late: float, channels: int = 1) -> bytes:
    (folder / "source.wav").write_bytes(wav(*[both()] * channels))
    picture = ("-f", "lavfi", "-i", f"testsrc=s=64x64:r=25:d={WHOLE + late}")
    sound = ("-itsoffset", late, "-i", "source.wav", "-map", 0, "-map", 1, "-c:v", FILMS[name], *FILES[name][0])
    ffmpeg(folder, *picture, *sound, f"film.{name}")
    return (folder / f"film.{name}").read_bytes()


def _late_and_holed(folder: Path) -> bytes:
    _film(folder, "mp4", 2)
    return _stamped(folder, "film.mp4", 5)


def _pausing(folder: Path, channels: int = 1) -> bytes:
    whole = encoded(folder, wav(*[both()] * channels), "a.m4a")
    return edited(whole, [(CUT, PRIMING), (HOLE, EMPTY), (WHOLE - CUT, CUT + PRIMING)])
