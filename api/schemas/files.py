"""What /v1/files and /v1/uploads take and show, in OpenAI's shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from infra.database.tables.uploads import File, Upload, UploadPart
from infra.files.upload_store import MOST_PARTS, PART_BYTES
from infra.requests.audio_options import Lenient, Parsed
from infra.requests.number_bounds import GREATEST

MAX_NAME = 200  # characters of a file's name
SHORTEST_KEPT, LONGEST_KEPT = 3600, 2_592_000  # seconds
MOST_FILES = 10_000  # in one page
DESCRIPTION = (
    "What it is for: `batch` for a batch's input, `user_data` for recordings; the others of OpenAI's are taken as well."
)
Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]


class ExpiresAfter(Lenient):
    """When a file is deleted, if not by its owner."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(ge=SHORTEST_KEPT, le=LONGEST_KEPT)


class FileFields(Lenient):
    """What POST /v1/files takes besides the file."""

    purpose: Purpose = Field(description=DESCRIPTION)
    expires_after: Annotated[ExpiresAfter | None, Parsed] = Field(
        None, description="Unset: kept until it is deleted; of the purpose `batch` for 30 days."
    )


class UploadFields(FileFields):
    """What POST /v1/uploads takes."""

    bytes: int = Field(ge=1, le=GREATEST, description="Of the whole file, at most what a job's recording may have.")
    filename: str = Field(min_length=1, max_length=1000)
    mime_type: str = Field("application/octet-stream", max_length=200)


class PartForm(Lenient):
    """The form of a part: its bytes as `data`."""


class DirectPart(Lenient):
    """A part whose bytes go straight into S3."""

    direct: Literal[True] = Field(description="A URL comes back that takes the part's bytes by PUT.")
    bytes: int = Field(ge=1, le=PART_BYTES, description="Exactly so many it takes.")


class Completion(Lenient):
    """What POST /v1/uploads/{upload_id}/complete takes."""

    part_ids: list[str] = Field(min_length=1, max_length=MOST_PARTS, description="The parts in the file's order.")
    md5: Annotated[str | None, Field(description="Of the whole, hexadecimal; compared.")] = None
    sha256: Annotated[str | None, Field(description="Likewise.")] = None


class FileQuery(BaseModel):
    """Which files, and in which order."""

    limit: int = Field(MOST_FILES, ge=1, le=MOST_FILES)
    after: str | None = Field(None, max_length=200, description="A file's id: what follows it.")
    order: Literal["asc", "desc"] = "desc"
    purpose: str | None = Field(None, max_length=64)


def file_object(file: File) -> dict[str, Any]:
    """OpenAI's shape and the hash. A file is usable from the moment that it exists: `status` is always `processed`."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
        "expires_at": None if file.expires_at is None else int(file.expires_at),
        "sha256": file.sha256,
    }


def upload_object(upload: Upload, file: File | None = None) -> dict[str, Any]:
    """OpenAI's shape."""
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.bytes,
        "created_at": int(upload.created_at),
        "expires_at": int(upload.expires_at),
        "filename": upload.filename,
        "mime_type": upload.mime_type,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": None if file is None else file_object(file),
    }


def part_object(part: UploadPart) -> dict[str, Any]:
    """OpenAI's shape, and by what a client that resumes knows which of its parts this is."""
    return {
        "id": part.id,
        "object": "upload.part",
        "created_at": int(part.created_at),
        "upload_id": part.upload_id,
        "bytes": part.bytes,
        "sha256": part.sha256,
        "status": "stored" if part.stored else "awaited",
    }
