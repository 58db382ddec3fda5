"""Elements of Matroska (RFC 9559) that can follow each other in a segment and its clusters, told from bytes that cannot."""

from __future__ import annotations

import re
import struct

from pipeline.audio.containers.chunks import Read
from pipeline.audio.containers.ebml import (
    BEHIND_SOUND,
    BLOCK,
    CHECKSUM,
    CLUSTER,
    GROUP,
    INFO,
    PADDING,
    SEEK_HEAD,
    SIMPLE_BLOCK,
    TIME,
    TRACKS,
    Element,
    element,
    elements,
)
from pipeline.audio.joined.window import Window
from pipeline.audio.matroska.lacing import packets
from pipeline.audio.step_budget import StepBudget

OUTER = frozenset((CLUSTER, SEEK_HEAD, INFO, TRACKS, *BEHIND_SOUND)) - {PADDING}
LACED, SHORT_NUMBER, BLOCK_HEAD = 0x06, 0x80, 4
_PLACE, _SIZE_BEFORE = 0xA7, 0xAB  # of a cluster
_BYTES = {TIME: range(1, 9), _PLACE: range(1, 9), _SIZE_BEFORE: range(1, 9), CHECKSUM: range(4, 5)}  # of a number
_IN_GROUP = frozenset((BLOCK, PADDING, CHECKSUM, 0x9B, 0xFB, 0x75A2, 0x75A1, 0xFA, 0xFD, 0xA4, 0xC8, 0x8E))
_BEGINS = re.compile(b"[\xa0\xa3\xe7]|\x1f\x43\xb6\x75|\x1c\x53\xbb\x6b|\x12\x54\xc3\x67")
_AGAIN = 3  # elements in a row prove that it goes on
_RESERVED = 0x70  # flags of a block
_LONGEST_LACES = 64 * 1024  # bytes of a block that is looked into
_LONGEST_PADDING = 64 * 1024  # the same of what should be zeros
_SHORT = 512  # bytes of what stands first in a cluster
_SEARCHED = 256 * 1024  # bytes that are searched at once
_FURTHEST = 16 * 2**20  # bytes behind damage in which it is searched for


class ElementWalk:
    """Over a file that ends at `end`. `tracks`: the numbers of those that it has; none where nobody knows."""

    def __init__(self, read: Read, end: int, steps: StepBudget) -> None:
        self._window, self.end, self._steps = Window(read, end), end, steps
        self.tracks = frozenset[int]()

    def read(self, at: int, length: int) -> bytes:
        """Bytes of the file."""
        return self._window.head(at, length)

    def element(self, at: int) -> Element | None:
        """What begins at `at`: of a cluster, its header is meant. None where it is nothing that can stand there, whole. Raises
        TooManySteps."""
        self._steps.take()
        one = element(self.read, at)
        return one if one and self._can_be(one) else None

    def behind(self, one: Element) -> int:
        """Where the next one begins."""
        return one.start if one.name == CLUSTER or one.end is None else one.end

    def again(self, at: int) -> int | None:
        """Where, from there on, elements follow each other again. Raises TooManySteps."""
        limit = min(self.end, at + _FURTHEST)
        while at < limit:
            for found in _BEGINS.finditer(self._window.read(at, _SEARCHED)):
                if self._goes_on(at + found.start()):
                    return at + found.start()
            at += _SEARCHED - 3
        return None

    def block_head(self, one: Element) -> bytes:
        """Which track, when, how: of a block, or of a group with one; nothing of another element."""
        if one.name == GROUP:
            inside = elements(self.read, one.start, one.end or 0)
            one = next((each for each in inside if each.name == BLOCK), one)
        return self.read(one.start, BLOCK_HEAD) if one.name in (SIMPLE_BLOCK, BLOCK) else b""

    def _goes_on(self, at: int) -> bool:
        for _ in range(_AGAIN):
            one = self.element(at)
            if one is None:
                return False
            at = self.behind(one)
            if at == self.end:
                break
        return True

    def _can_be(self, one: Element) -> bool:
        if one.name == CLUSTER:
            inside = element(self.read, one.start)
            return inside is not None and (inside.length or 0) <= _SHORT and self._is_first(inside)
        if one.end is None or one.end > self.end:
            return False
        if one.name == SIMPLE_BLOCK:
            return self.is_block(one)
        if one.name == GROUP:
            return self._is_group(one)
        if one.name == PADDING:
            return not self.read(one.start, min(one.end - one.start, _LONGEST_PADDING)).strip(b"\0")
        return one.name in OUTER or one.length in _BYTES.get(one.name, ())

    def _is_first(self, inside: Element) -> bool:
        return inside.name in (SIMPLE_BLOCK, GROUP, PADDING) or inside.length in _BYTES.get(inside.name, ())

    def is_block(self, one: Element) -> bool:
        """Whether its content is a block's."""
        length = one.length or 0
        head = self.read(one.start, BLOCK_HEAD)
        if len(head) < BLOCK_HEAD or length < BLOCK_HEAD or head[3] & _RESERVED or not head[0] & SHORT_NUMBER:
            return False
        if self.tracks and head[0] & ~SHORT_NUMBER not in self.tracks:
            return False
        return not head[3] & LACED or length > _LONGEST_LACES or _is_laced(self.read(one.start, length))

    def _is_group(self, group: Element) -> bool:
        at, blocks = group.start, 0
        for one in elements(self.read, group.start, group.end or 0):
            if one.name not in _IN_GROUP or one.end is None or (one.name == BLOCK and not self.is_block(one)):
                return False
            at, blocks = one.end, blocks + (one.name == BLOCK)
        return at == group.end and blocks == 1


def _is_laced(block: bytes) -> bool:
    try:
        packets(block)
    except (ValueError, IndexError, struct.error):
        return False
    return True
