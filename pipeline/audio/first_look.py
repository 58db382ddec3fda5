"""A file looked at while it streams by, so that what is refused is refused by its first bytes and not by its last."""

from __future__ import annotations

import contextlib

from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.table import REFUSAL
from pipeline.audio.sniff import LOOK_BYTES, MOST_TAGS, SHORT_LOOK, is_foreign, is_text, known_at_once, recognised
from pipeline.errors import UnsupportedMedia

_USUAL_TAGS = 2  # at the front of an mp3
_MORE = 4  # times as many bytes before it is looked at again: all looks together cost little more than the last


class FirstLook:
    """Hand it the bytes in order. It holds LOOK_BYTES and a block at most, and nothing once it has made up its mind.

    Text, playlists, archives are refused after some KiB; what might be rubbish before frames after LOOK_BYTES. What it lets
    pass may still turn out to be damaged or without sound: that is the decoder's to say.
    """

    def __init__(self) -> None:
        self._head = bytearray()  # of what follows the tags
        self._tags = self._skip = 0  # bytes of them, and how many of those are still to come
        self._count = 0  # of tags
        self._enough = SHORT_LOOK
        self._decided = False

    def is_short(self, data: bytes) -> bool:
        """Whether to add these bytes takes no time: nearly always. A search for frames behind rubbish takes some ms."""
        if self._decided or len(self._head) + len(data) < self._enough:
            return True
        whole = bytes(self._head[:SHORT_LOOK]) + data[:SHORT_LOOK] if self._head else data
        at = _behind_tags(whole, self._skip)
        return known_at_once(whole[at : at + SHORT_LOOK]) is not None

    def add(self, data: bytes) -> None:
        """The next bytes. Raises UnsupportedMedia as soon as no more of them could change that."""
        if self._decided or self._is_known_by(data):
            return
        passed = min(self._skip, len(data))
        self._skip -= passed
        self._head += data[passed:]
        if len(self._head) >= self._enough:
            self._look(whole=False)

    def _is_known_by(self, data: bytes) -> bool:
        """Whether a file's first block, as nearly always, tells by its beginning what it is: so it need not be copied."""
        at = _behind_tags(data, 0)
        if self._head or self._tags or len(data) < at + SHORT_LOOK:
            return False
        with contextlib.suppress(UnsupportedMedia):  # by so few bytes; of more it is looked at closely
            recognised(data[at : at + SHORT_LOOK], at)
            self._decided = True
        return self._decided

    def finish(self) -> None:
        """That was all of it. Raises UnsupportedMedia."""
        if not self._decided:
            self._look(whole=True)

    def _look(self, *, whole: bool) -> None:
        while step := tag_length(bytes(self._head[:TAG_HEADER])):
            self._count += 1
            if self._count > MOST_TAGS:
                raise UnsupportedMedia(REFUSAL)
            self._skip = max(0, step - len(self._head))
            self._tags += step
            del self._head[:step]
        if not self._head or (len(self._head) < SHORT_LOOK and not whole):
            return
        head = bytes(self._head)
        try:
            recognised(head, self._tags)
        except UnsupportedMedia:
            if whole or len(head) >= LOOK_BYTES or is_foreign(head) or is_text(head):
                raise
            self._enough = min(_MORE * self._enough, LOOK_BYTES)
        else:
            self._decided, self._head = True, bytearray()


def _behind_tags(data: bytes, at: int) -> int:
    """Where from there on the first byte is that is of no tag."""
    for _ in range(_USUAL_TAGS):
        at += tag_length(data[at : at + TAG_HEADER])
    return at
