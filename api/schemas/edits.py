"""What a correction of a transcript says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from infra.database.tables.jobs import TranscriptRevision
from infra.requests.job_object import epoch
from infra.requests.number_bounds import GREATEST
from pipeline.errors import InvalidRequest
from pipeline.text.edits import Change

MOST_CHANGES = 1000
LONGEST_TEXT = 20_000  # characters of a segment
LONGEST_NAME = 200


class SegmentChange(BaseModel):
    """What is to be different in one segment."""

    model_config = ConfigDict(extra="forbid")
    segment: int = Field(ge=0, le=GREATEST, description="Its id, as `/segments` lists it.")
    text: str | None = Field(None, max_length=LONGEST_TEXT, description="What is said instead; empty: nothing.")
    word: int | None = Field(None, ge=0, le=GREATEST, description="Its word of this number alone, from 0.")
    speaker: str | None = Field(None, max_length=LONGEST_NAME, description="Who says it; empty: nobody knows.")

    @model_validator(mode="after")
    def _says_something(self) -> SegmentChange:
        if self.text is None and (self.speaker is None or self.word is not None):
            raise InvalidRequest("A change needs `text`, or `speaker`.", param="changes")
        return self


class TranscriptEdit(BaseModel):
    """PATCH …/transcript: changes of segments and names of speakers; or everything as it was in an earlier revision."""

    model_config = ConfigDict(extra="forbid")
    changes: list[SegmentChange] = Field(default_factory=list, max_length=MOST_CHANGES)
    speakers: dict[str, str] = Field(default_factory=dict, max_length=100, description="Names, as shown now: new ones.")
    restore: int | None = Field(
        None, ge=0, le=GREATEST, description="A revision of which this one is to be a copy; 0: the original."
    )

    @model_validator(mode="after")
    def _one_thing(self) -> TranscriptEdit:
        asked = bool(self.changes or self.speakers)
        if asked == (self.restore is not None):
            raise InvalidRequest("Send `changes` or `speakers`, or else `restore`.", param="changes")
        if any(not name.strip() or len(name) > LONGEST_NAME for name in self.speakers.values()):
            raise InvalidRequest(f"A speaker's name has 1 to {LONGEST_NAME} characters.", param="speakers")
        return self

    def wanted(self) -> list[Change]:
        """The changes, as the transcript takes them."""
        return [Change(**one.model_dump()) for one in self.changes]


def revision_object(row: TranscriptRevision) -> dict[str, Any]:
    """One revision; what it says is read at `…/transcript?revision=`."""
    return {
        "id": row.n,
        "object": "audio.transcript.revision",
        "job_id": row.job_id,
        "revision": row.n,
        "created_at": epoch(row.created_at),
        "changes": row.changes,
    }
