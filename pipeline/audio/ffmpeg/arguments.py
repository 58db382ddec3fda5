"""How ffmpeg is told to decode: nothing is left for it to guess, and nothing but descriptor 0 for it to open."""

from __future__ import annotations

import ffmpeg

from pipeline.audio.containers.table import MATROSKA, MP4, Found
from pipeline.audio.ffmpeg.binary import Ffmpeg

SAMPLE_RATE = 16_000
QUIETLY = ("-nostdin", "-hide_banner", "-filter_threads", "1")  # else one thread per core, each with its stack
MOST_TRACKS = 64
_MOST_BYTES_AT_ONCE = 256 * 2**20  # of memory that ffmpeg asks for in one piece
# The time stamps are kept where they can be true, and no sound is ever lost for them: what comes too early is appended
# (joined streams start again at zero), a gap becomes silence (a recorder lost packets), but a leap is closed up, since one
# wrong stamp would else be hours of silence. Only what lies before zero, a codec's delay, is dropped, a second at most.
# Registers: 0 the time reached, 1 what the leaps amounted to, 2 the time of this frame.
_LONGEST_GAP = 60  # seconds
_TIME = (
    "if(gt(0,PTS)*eq(N,0),st(0,max(PTS,-1/TB)));"
    f"st(2,max(PTS-ld(1),ld(0)));if(gt((ld(2)-ld(0))*TB,{_LONGEST_GAP}),st(1,ld(1)+ld(2)-ld(0));st(2,ld(0)));"
    "st(0,ld(2)+S/SR/TB);ld(2)"
)
# Compensation is hard or none: silence of 20 ms and more goes in, nothing is ever stretched.
# Out of it go frames of a second: handing 26 ms at a time from thread to thread would take a quarter of all the time.
_FILTERS = "asetpts='{time}',aresample={rate}:min_comp=0.001:min_hard_comp=0.02:first_pts=0,asetnsamples=n={rate}:p=0"
_CODECS = (  # decoders of one stream of bytes each, which open nothing
    "aac,aac_fixed,aac_latm,ac3,adpcm_ct,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_sbpro_2,adpcm_sbpro_3,adpcm_sbpro_4,"
    "adpcm_swf,adpcm_yamaha,alac,amrnb,amrwb,dca,eac3,flac,g722,g723_1,g726,g726le,gsm,gsm_ms,ilbc,libopencore_amrnb,"
    "libopencore_amrwb,libopus,libspeex,libvorbis,mace3,mace6,mlp,mp1,mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,"
    "pcm_alaw,pcm_bluray,pcm_dvd,pcm_f16le,pcm_f24le,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,"
    "pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_s8_planar,pcm_u16be,"
    "pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,pcm_u32le,pcm_u8,qcelp,qdm2,s302m,speex,truehd,truespeech,vorbis,wavpack,"
    "wmalossless,wmapro,wmav1,wmav2,wmavoice"
)


def decode_arguments(
    tool: Ffmpeg,
    found: Found,
    max_seconds: float | None,
    channel: int | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> list[str]:
    """Forced demuxer, listed codecs, first sound track; one second over the limit, so that being over can be seen.

    All channels are mixed, or only one is taken: `channel` counts from 0.
    """
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
    url, protocols = ("fd:", "fd") if tool.reads_descriptors else ("file:/proc/self/fd/0", "file")
    if found.start:  # what stands before it is hidden from ffmpeg: an index counts from where the container begins
        url, protocols = f"subfile,,start,{found.start},end,0,,:{url}", f"subfile,{protocols}"
    source = ffmpeg.input(url, protocol_whitelist=protocols, **options, **found.options)
    limit = {} if max_seconds is None else {"t": max_seconds + 1}
    picked = "" if channel is None else f"pan=mono|c0=c{channel},"
    filters = picked + _FILTERS.format(time=_TIME, rate=sample_rate)
    output = source["a:0"].output(
        "pipe:1", format="s16le", af=filters, ac=1, vn=None, sn=None, dn=None, map_metadata=-1, **limit
    )
    clock = ["-copyts"] if container in (MP4, MATROSKA) else []  # theirs begins at zero; others are moved there
    arguments: list[str] = output.compile(
        cmd=[*QUIETLY, "-loglevel", "info", "-max_alloc", str(_MOST_BYTES_AT_ONCE), *clock]
    )
    return arguments
