"""How ffmpeg is told to decode: nothing is left for it to guess, and nothing but descriptor 0 for it to open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ffmpeg

from pipeline.audio.containers.table import MP4, Found
from pipeline.audio.ffmpeg.binary import Ffmpeg
from pipeline.audio.ffmpeg.frame_events import FOLLOW, FOLLOW_OUT, WATCH, WATCH_FORMAT

SAMPLE_RATE = 16_000
QUIETLY = ("-nostdin", "-hide_banner", "-filter_threads", "1")  # else one thread per core, each with its stack
MOST_TRACKS = 64
_MOST_BYTES_AT_ONCE = 256 * 2**20  # of memory that ffmpeg asks for in one piece
# Frames of a second leave the filters of a plain recording: handing 26 ms at a time from thread to thread would take a quarter of
# all the time. Where frames are followed, each has to come out by itself.
# Of six microphones the fourth, of three the third counts as the channel of low frequencies, for want of names: it is mixed in.
_MIXED = "aresample={rate}:rmvol=-1:lfe_mix_level=1,aformat=channel_layouts={layouts}"
_PLAIN = f"asetpts='{{watch}}',{_MIXED},asetnsamples=n={{rate}}:p=0"
_FOLLOWED = f"asetpts='{FOLLOW}',{_MIXED},asetpts='{FOLLOW_OUT}'"
_CODECS = (  # decoders of one stream of bytes each, which open nothing
    "aac,aac_fixed,aac_latm,ac3,adpcm_ct,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_sbpro_2,adpcm_sbpro_3,adpcm_sbpro_4,"
    "adpcm_swf,adpcm_yamaha,alac,amrnb,amrwb,dca,eac3,flac,g722,g723_1,g726,g726le,gsm,gsm_ms,ilbc,libopencore_amrnb,"
    "libopencore_amrwb,libopus,libspeex,libvorbis,mace3,mace6,mlp,mp1,mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,"
    "pcm_alaw,pcm_bluray,pcm_dvd,pcm_f16le,pcm_f24le,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,"
    "pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_s8_planar,pcm_u16be,"
    "pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,pcm_u32le,pcm_u8,qcelp,qdm2,s302m,speex,truehd,truespeech,vorbis,wavpack,"
    "wmalossless,wmapro,wmav1,wmav2,wmavoice"
)


@dataclass(frozen=True, kw_only=True)
class Picked:
    """What is to be decoded: one track, from 0, and of it one channel or a mix of all; `sample_rate` of what comes out.

    `followed`: every frame is told of, for a stream that changes; then `wide` says that two channels come out. `stamped`: its
    stamps mean something (frame_events). `seek`: the stamp, in seconds, near which reading begins, and `trim` which sample
    behind it is taken first (atrim).
    """

    track: int = 0
    channel: int | None = None
    sample_rate: int = SAMPLE_RATE
    followed: bool = False
    wide: bool = False
    stamped: bool = True
    seek: float | None = None
    trim: str = ""


def decode_arguments(tool: Ffmpeg, found: Found, picked: Picked, *, end: int = 0, piped: bool = False) -> list[str]:
    """Forced demuxer, listed codecs, one sound track; nothing behind the byte `end`, if that is given. `piped`: the container's
    bytes alone come through a pipe.

    Out come one or two channels, as the log tells: two where the recording has several.
    """
    options = _input_options(found)
    if picked.seek is not None:
        options |= {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{picked.seek:.6f}"}
    made = {"format": "s16le", "af": _filters(picked), "vn": None, "sn": None, "dn": None, "max_error_rate": 1}
    return _compiled(_place(tool, found, end, piped=piped), options, f"a:{picked.track}", {**made, "map_metadata": -1})


def list_arguments(tool: Ffmpeg, found: Found, *, end: int = 0) -> list[str]:
    """The same input, which is only told of."""
    return _compiled(
        _place(tool, found, end, piped=False), _input_options(found), "a:0", {"format": "null", "c": "copy", "t": 0}
    )


def _compiled(
    place: tuple[str, str], options: Mapping[str, object], track: str, output: Mapping[str, object]
) -> list[str]:
    url, protocols = place
    source = ffmpeg.input(url, protocol_whitelist=protocols, **options)
    arguments: list[str] = (
        source[track]
        .output("pipe:1", **output)
        .compile(cmd=[*QUIETLY, "-loglevel", "repeat+verbose", "-max_alloc", str(_MOST_BYTES_AT_ONCE), "-copyts"])
    )
    return arguments


def _input_options(found: Found) -> dict[str, object]:
    container = found.container
    options: dict[str, object] = {
        "format": container.demuxers.split(",")[0],
        "format_whitelist": container.demuxers,
        "codec_whitelist": _CODECS,
        "threads": 1,
        "max_streams": MOST_TRACKS,
        "probesize": "5M",
        "analyzeduration": "5M",
    }
    if container is MP4:
        options |= {"enable_drefs": 0, "use_absolute_path": 0}  # a track may name another file as its data
    return {**options, **found.options}


def _place(tool: Ffmpeg, found: Found, end: int, *, piped: bool) -> tuple[str, str]:
    """Where the input is, and the protocols that lead there. What stands before and behind the recording is hidden: an index counts
    from where the container begins."""
    if piped:
        return "pipe:0", "pipe"
    url, protocols = ("fd:", "fd") if tool.reads_descriptors else ("file:/dev/fd/0", "file")
    if not found.start and not end:
        return url, protocols
    return f"subfile,,start,{found.start},end,{end},,:{url}", f"subfile,{protocols}"


def _filters(picked: Picked) -> str:
    """What is made of the track's frames; stamps stay as they are, for us to judge."""
    one = picked.channel is not None
    pan = f"pan=mono|c0=c{picked.channel}," if one else ""
    if picked.trim:
        pan += f"atrim={picked.trim},"
    if picked.followed:
        return pan + _FOLLOWED.format(rate=picked.sample_rate, layouts="stereo" if picked.wide and not one else "mono")
    watch = WATCH if picked.stamped else WATCH_FORMAT
    return pan + _PLAIN.format(watch=watch, rate=picked.sample_rate, layouts="mono" if one else "mono|stereo")
