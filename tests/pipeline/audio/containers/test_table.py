"""The list of what we take: each with a demuxer that this ffmpeg has, none with one that opens other files."""

import re
import subprocess

import pytest

from pipeline.audio.containers.table import CONTAINERS, REFUSAL, Container
from pipeline.audio.ffmpeg.arguments import _CODECS
from pipeline.audio.ffmpeg.binary import ffmpeg_path
from tests.support.repository import ROOT

pytestmark = pytest.mark.processes

FOLLOWS_OTHERS = {
    "avisynth", "bluray", "concat", "dash", "dvdvideo", "hls", "image2", "imf", "lavfi", "realtext", "rtp", "rtsp", "sap", "sdp",
    "smoothstreaming", "tedcaptions", "vobsub", "webm_dash_manifest",
}  # fmt: skip


def listed(what: str) -> set[str]:
    """The second column of ffmpeg's list of demuxers or decoders."""
    text = subprocess.run(
        [ffmpeg_path(), "-hide_banner", f"-{what}"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in text.splitlines()]
    return {name for row in rows if len(row) > 1 for name in (row[1], *row[1].split(","), *row[2:3])}


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container.name)
def test_its_demuxers_exist_and_follow_nobody(container: Container) -> None:
    demuxers = set(container.demuxers.split(","))
    assert demuxers <= listed("demuxers")
    assert not demuxers & FOLLOWS_OTHERS


def test_names_and_endings_are_one_container_s_alone() -> None:
    endings = [ending for container in CONTAINERS for ending in container.endings]
    assert len(set(endings)) == len(endings)
    assert len({container.name for container in CONTAINERS}) == len(CONTAINERS)
    assert all(container.endings for container in CONTAINERS)


def test_the_refusal_begins_as_documented() -> None:
    assert REFUSAL.startswith(
        "Unsupported audio format. Supported: mp3, mp4, mpeg, mpga, m4a, wav, webm. Also taken: 3gp,"
    )


def test_the_documents_name_all_of_them() -> None:
    text = (
        (ROOT / "docs" / "openai-clients.md").read_text("utf-8").partition("## What may be sent")[2].partition("##")[0]
    )
    words = set(re.findall(r"[a-z0-9]+", text))
    assert {ending for container in CONTAINERS for ending in container.endings} <= words


def test_decoders_are_called_as_ffmpeg_calls_them() -> None:
    older = {"libopencore_amrnb", "libopencore_amrwb", "libspeex", "libvorbis", "libopus"}
    assert set(_CODECS.split(",")) - older <= listed("decoders")
