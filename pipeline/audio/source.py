"""The recording's bytes: opened once, looked at, and handed to ffmpeg as a descriptor, so that no name is ever passed."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.audio.access.coded_blocks import CodedBlocks, coded_blocks, cut_blocks, lost_blocks, told_too_few
from pipeline.audio.access.cut_out import cut_out
from pipeline.audio.access.cut_packets import cut_packets
from pipeline.audio.access.open_source import OpenFile, OpenRemote, OpenSource
from pipeline.audio.access.remote import Remote
from pipeline.audio.access.restored import Amended, Missing, Restored
from pipeline.audio.access.scratch import filled
from pipeline.audio.asf.torn_packets import broken_packets, zeroed
from pipeline.audio.containers.avi_index import Absent, absent_packets
from pipeline.audio.containers.chunks import Read, unpadded
from pipeline.audio.containers.table import AIFF, ASF, AU, AVI, CAF, MATROSKA, MP3, MP4, VOC, WAV, Found
from pipeline.audio.containers.wav_layout import WrongField, is_strange, wrong_field
from pipeline.audio.duration.truncation import Claim, cut_off
from pipeline.audio.joined.following import LEFT_OUT
from pipeline.audio.joined.links import Link, links
from pipeline.audio.joined.lost_pieces import lost_pieces
from pipeline.audio.joined.voc_parts import mended_voc
from pipeline.audio.joined.window import Window
from pipeline.audio.linear.layout import LinearSamples, linear_samples
from pipeline.audio.linear.misplaced_start import misplaced_start
from pipeline.audio.linear.slipped_samples import slipped_samples
from pipeline.audio.linear.stale_length import longer, tells_nothing, told_too_short
from pipeline.audio.matroska.torn_clusters import torn_clusters
from pipeline.audio.mp4.contradictions import Contradictions, contradictions
from pipeline.audio.mp4.data_references import sound_elsewhere
from pipeline.audio.mp4.edit_list import WHOLE, Edit, seamed_edits
from pipeline.audio.mp4.format_changes import Part, format_changes
from pipeline.audio.mp4.linear_times import mended_times
from pipeline.audio.mp4.linear_track import Stretch
from pipeline.audio.mp4.narrowed_index import Change
from pipeline.audio.mp4.piece_contradictions import wrong_pieces
from pipeline.audio.mp4.silenced import silenced
from pipeline.audio.mp4_boxes import HEADER_BYTES, check_complete, cut_index
from pipeline.audio.raw_sound import RawSound
from pipeline.audio.sniff import LOOK_BYTES, sniff_file
from pipeline.audio.step_budget import StepBudget, TooManySteps, refusal
from pipeline.errors import EmptyMedia, InputMissing, UnsupportedMedia

SMALL = 8 * 2**20  # bytes
_LEAST_FILLED = 1024  # bytes; fewer may fill up a block
_FRONT = 64 * 1024  # bytes; the first sound is mostly within


def opened(source: Path | bytes | Remote) -> OpenSource:
    """Raises InputMissing, and UnsupportedMedia for what is no regular file. The kernel drops bytes held in memory with their
    last descriptor: those that are given, and a small recording that lies elsewhere, whose bytes are sooner here than looked at."""
    if isinstance(source, bytes):
        return OpenFile(filled([source]))
    if isinstance(source, Path):
        return OpenFile(_file(source))
    return OpenFile(filled(source.blocks())) if source.size <= SMALL else OpenRemote(source)


def restored(source: OpenSource) -> OpenSource:
    """The same, as long as it was where it is known which of its bytes are missing."""
    try:
        found = sniff_file(lambda offset: source.read(offset, LOOK_BYTES))
        read = StepBudget.for_file().counted(source.read)
        if found.container is VOC:
            return _mended_voc(source, read, found)
        missing = _missing(source, found)
        if not missing and (more := longer(read, found, source.size, lambda: links(read, source.size, found)[0].end)):
            told_end = None if more.told_end is None else (found.start, more.told_end)
            return Amended(source, more.changes, told_end)
    except (UnsupportedMedia, EmptyMedia, TooManySteps):  # for others to say
        return source
    return Restored(source, missing) if missing else source


def _mended_voc(source: OpenSource, read: Read, found: Found) -> OpenSource:
    mended = mended_voc(read, found.start, source.size)
    if mended is None:
        return source
    whole = Restored(Amended(source, mended.changes), mended.put_in)
    whole.voc_parts = mended.parts
    return whole


def _missing(source: OpenSource, found: Found) -> Sequence[Missing]:
    if found.container is MP4:
        read = StepBudget.for_file().counted(source.read)
        return cut_out(read, found.start, source.size) or slipped_samples(read, found, source.size)
    if found.container is MATROSKA:
        return [torn.missing for torn in torn_clusters(source.read, found.start, source.size) if torn.missing]
    read = StepBudget.for_file().counted(source.read)
    if found.container in (WAV, AIFF) and (bare := unpadded(read, found.start, source.size, found.container)):
        return [(place, 1) for place in bare]
    missing = cut_blocks(read, found, source.size) or cut_packets(read, found, source.size)
    return [missing] if missing else slipped_samples(read, found, source.size)


def _file(source: Path) -> int:
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a named pipe would wait for a writer
    except OSError as error:
        raise InputMissing("The recording could not be opened.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsupportedMedia("This is not a file.")
    return descriptor


@dataclass(frozen=True)
class Recording:
    """One in an open file: what it is, and the byte at which it ends, 0 for the file's own end. `claim` is what it says of its
    length, where that is not all there. `edits` of each sound track, where they are for us to follow and not for ffmpeg.
    `unread`: bytes behind it that are no sound, nor tags or padding. `broken`: the share of its bytes that are none of its
    frames; `filled`: some between its frames are so many of one value that they may have been frames. `absent` of each sound
    track, where its index tells of packets that are not there. `left_out`: broken bytes that ffmpeg may not see, or it would
    give up. `told_end`: the second at which its header ends it, where it goes on. `contradictions` of each sound track, where
    its index has some. `silenced` of each: when silence stands for bytes that are missing or zeros, in seconds. `parts` of
    each, where its format changes. `elsewhere`: whether the samples of each are in another file. `changes`: what ffmpeg should
    find in place of what stands there. `wrong_field`: what its header tells and contradicts; `strange_rate`: samples a second
    that nobody makes; `misplaced`: its samples do not begin where it says. `lacks_pages`: some of Ogg are missing between
    others. `torn_front`: some bytes so near to its beginning are none of its that its first sound may be missing."""

    found: Found
    end: int = 0
    claim: Claim | None = None
    edits: tuple[tuple[Edit, ...], ...] = ()
    unread: int = 0
    broken: float = 0.0
    filled: bool = False
    absent: tuple[tuple[Absent, ...], ...] = ()
    left_out: tuple[tuple[int, int], ...] = ()
    told_end: float | None = None
    lacks_pages: bool = False
    torn_front: bool = False
    contradictions: tuple[Contradictions | None, ...] = ()
    silenced: tuple[tuple[Stretch, ...], ...] = ()
    parts: tuple[tuple[Part, ...], ...] = ()
    elsewhere: tuple[bool, ...] = ()
    changes: tuple[Change, ...] = ()
    wrong_field: WrongField | None = None
    strange_rate: float = 0.0
    misplaced: bool = False

    def parts_of(self, track: int) -> tuple[Part, ...]:
        """Of one track of sound, from 0; none where it is read as it stands there."""
        return self.parts[track] if track < len(self.parts) else ()


def recordings_in(source: OpenSource, declared: RawSound | None = None) -> list[Recording]:
    """What the open file holds, as declared or by its bytes: one recording, or several that were joined end to end.

    Raises EmptyMedia, UnsupportedMedia, DamagedMedia for an MP4 without its index.
    """
    if declared:
        return [Recording(declared.found)]
    try:
        return _walked(source, StepBudget.for_file())
    except TooManySteps as error:
        raise refusal() from error


def mended(source: OpenSource, recording: Recording) -> OpenSource:
    """What ffmpeg reads of one of the recordings in an open file."""
    return Amended(source, recording.changes) if recording.changes else source


def part_of(source: OpenSource, recording: Recording, part: Part) -> tuple[OpenSource, Recording]:
    """A part of a track of one of the recordings in an open file, as if nothing else were in that track. Raises as `recordings_in`,
    and UnsupportedMedia where it cannot be read in one go."""
    narrowed = Amended(source, part.changes)
    found = next(one for one in recordings_in(narrowed) if one.found.start == recording.found.start)
    narrowed.order(found.found, found.end)
    return narrowed, found


def _walked(source: OpenSource, steps: StepBudget) -> list[Recording]:
    size = source.size
    read = steps.counted(source.read)
    first = _first_in(source, read)
    recordings = []
    for link in links(read, size, first):
        found = first if link.start == first.start else _found_behind(source, link.start, link.found or first)
        recordings.append(_recording(read, link, found, source))
    return recordings


def _recording(read: Read, link: Link, found: Found, source: OpenSource) -> Recording:
    recording = _walked_link(read, link, found, source)
    if found.container is AVI:
        return replace(recording, absent=absent_packets(read, found.start, link.end))
    if part := next((part for part in source.voc_parts if part.start == link.start), None):
        claim = Claim(None, cut=True) if part.lost else recording.claim
        return replace(recording, claim=claim, absent=(tuple(part.absent),), left_out=tuple(part.left_out))
    if found.container is ASF:
        return replace(recording, silenced=zeroed(read, found.start, link.end))
    if found.container is MP4:
        return _of_mp4(recording, read, link, source)
    return _of_samples(_by_its_bytes(recording, read, link), read, link, source)


def _walked_link(read: Read, link: Link, found: Found, source: OpenSource) -> Recording:
    """What any container tells: where it ends, by itself and by its claim, and which of its bytes do not belong to it."""
    damages = _damages(read, link, found, source)
    left_out = damages if found.container in (MP4, *LEFT_OUT) else ()
    return Recording(
        found,
        link.trailer or (0 if link.end == source.size else link.end),
        _claim(read, link, found, damages),
        # An MP4 goes on behind the first piece that is lost.
        unread=0 if found.container is MP4 and left_out else link.unread,
        broken=sum(stop - start for start, stop in damages) / (link.end - link.start),
        filled=any(_is_filled(read, *between) for between in link.tags),
        # Of mp3 a frame is lost behind each tag that is not left out.
        left_out=link.tags if found.container is MP3 else left_out,
        lacks_pages=link.lacks_pages,
        torn_front=any(start - found.start < _FRONT for start, _ in damages),
    )


def _of_mp4(recording: Recording, read: Read, link: Link, source: OpenSource) -> Recording:
    """The same, with what its index tells, and what in it cannot be true."""
    found, place = recording.found, (recording.found.start, link.end)
    doubts = contradictions(read, *place)
    recording = replace(
        recording,
        contradictions=doubts,
        silenced=silenced(read, *place, source.put_in),
        parts=() if any(doubts) else format_changes(read, *place),
        elsewhere=sound_elsewhere(read, *place),
        changes=mended_times(read, *place, doubts),
    )
    if cut := cut_index(read, *place):
        return replace(recording, end=cut, claim=recording.claim or Claim(None, cut=True))
    if edits := _edits(read, place, doubts):
        followed = replace(found, options={**found.options, "ignore_editlist": 1})
        return replace(recording, found=followed, edits=edits)
    return recording


def _edits(read: Read, place: tuple[int, int], doubts: Sequence[Contradictions | None]) -> tuple[tuple[Edit, ...], ...]:
    """Of each track of sound, where we follow them instead of ffmpeg, which would play by what is wrong."""
    counted = any(doubt and (doubt.times or doubt.edits) for doubt in doubts)
    edits = seamed_edits(read, *place, always=counted)
    if wrong := [number for number, doubt in enumerate(doubts) if doubt and doubt.edits]:
        others = edits or ((WHOLE,),) * len(doubts)
        edits = tuple((WHOLE,) if number in wrong else others[number] for number in range(len(doubts)))
    return edits


def _by_its_bytes(recording: Recording, read: Read, link: Link) -> Recording:
    """The same, with what its header should say of its samples where that cannot be right."""
    found = recording.found
    if wrong := wrong_field(read, found.start, link.end, found.container):
        return replace(recording, changes=((wrong.place, wrong.form),), wrong_field=wrong)
    sound = linear_samples(read, found, link.end, unsaid=True) if found.container in (AIFF, AU, CAF) else None
    if sound and is_strange(sound.rate):
        recording = replace(recording, strange_rate=sound.rate)
    if start := misplaced_start(read, found, link.end):
        left_out = (*start.left_out, *recording.left_out)
        return replace(recording, changes=start.changes, left_out=left_out, misplaced=True)
    return recording


def _of_samples(recording: Recording, read: Read, link: Link, source: OpenSource) -> Recording:
    """The same, of samples, or even blocks of them, that are more than their header tells, or of which some are missing."""
    found = recording.found
    if source.told_end and source.told_end[0] == found.start:
        return replace(recording, told_end=source.told_end[1])
    if link.unread or tells_nothing(read, found, link.end):
        return _read_on(recording, read, link)
    put_in = [(start, end) for start, end in source.put_in if found.start <= start < link.end]
    sound = linear_samples(read, found, source.size) or coded_blocks(read, found, source.size) if put_in else None
    inside = [stretch for stretch in put_in if sound and stretch[0] >= sound.start]
    if inside and isinstance(sound, LinearSamples):
        return _without_samples(recording, sound, inside)
    if inside and isinstance(sound, CodedBlocks):
        return _without_blocks(recording, sound, lost_blocks(read, sound, *inside[0]))
    return recording


def _read_on(recording: Recording, read: Read, link: Link) -> Recording:
    """To the end of the file, where its header tells of nothing, or of less than there is."""
    found = recording.found
    told_end = told_too_short(read, found, link.end) or told_too_few(read, found, link.end)
    if told_end or not link.unread:
        read_on = replace(found, options={**found.options, "ignore_length": 1})
        return replace(recording, found=read_on, end=link.end, unread=0, told_end=told_end)
    # the demuxer of AU would read on, whatever it is
    return replace(recording, end=link.end - link.unread if found.container is AU else recording.end)


def _without_samples(recording: Recording, sound: LinearSamples, put_in: Sequence[tuple[int, int]]) -> Recording:
    """Of what stands there instead, that alone is heard which makes a frame whole; the rest is a number on the clock."""
    absent, left_out = list[Absent](), list[tuple[int, int]]()
    for start, end in put_in:
        frames, rest = divmod(end - start, sound.frame)
        begin = (start - sound.start) // sound.frame
        absent.append(Absent(begin / sound.rate, (begin + frames) / sound.rate))
        left_out.append((start + rest, end))
    claim = recording.claim and replace(recording.claim, ms=None)  # what is missing besides is missing anywhere
    return replace(recording, end=sound.end, claim=claim, absent=(tuple(absent),), left_out=tuple(left_out))


def _without_blocks(recording: Recording, sound: CodedBlocks, lost: tuple[int, int]) -> Recording:
    begin, end = (sound.start + number * sound.size for number in lost)
    absent = Absent(lost[0] / sound.rate, lost[1] / sound.rate)
    return replace(recording, end=sound.end, absent=((absent,),), left_out=((begin, end),))


def _claim(read: Read, link: Link, found: Found, damages: Sequence[tuple[int, int]]) -> Claim | None:
    """A stream of Matroska says nothing of its length; but one that cannot be read up to its end has lost that."""
    no_end = found.container is MATROSKA and any(stop == link.end for _, stop in damages)
    return cut_off(read, link.end, found) or (Claim(None, cut=True) if no_end else None)


def _is_filled(read: Read, start: int, stop: int) -> bool:
    """Whether they are padding, or what a disk gives for sound that it has lost: nobody can tell."""
    return stop - start >= _LEAST_FILLED and len(set(read(start, _LEAST_FILLED))) == 1


def _damages(read: Read, link: Link, found: Found, source: OpenSource) -> tuple[tuple[int, int], ...]:
    """From where to where its bytes are none of what it is made of."""
    if found.container is MP4:
        lost = lost_pieces(read, found.start, link.end)
        return tuple(sorted((*lost, *wrong_pieces(read, found.start, link.end, lost))))
    if found.container is MATROSKA:
        return (*source.put_in, *((torn.start, torn.end) for torn in torn_clusters(source.read, found.start, link.end)))
    return broken_packets(Window(read, link.end).head, found.start, link.end) if found.container is ASF else link.broken


def _first_in(source: OpenSource, read: Read) -> Found:
    found = sniff_file(lambda offset: source.read(offset, LOOK_BYTES))
    if found.container is MP4:
        check_complete(lambda offset: read(found.start + offset, HEADER_BYTES), source.size - found.start)
    return found


def _found_behind(source: OpenSource, start: int, like: Found) -> Found:
    """What begins in the middle of a file: like that one unless its bytes say more."""
    try:
        found = sniff_file(lambda offset: source.read(start + offset, LOOK_BYTES))
    except UnsupportedMedia:
        return Found(like.container, start, like.options)
    return Found(found.container, start + found.start, found.options)
