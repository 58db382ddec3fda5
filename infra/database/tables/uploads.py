"""Recordings and files as they were sent, whole or in parts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Index
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import json_column, time_column


class Media(SQLModel, table=True):
    """An uploaded recording. The row is committed before the first byte, so that orphans can be found."""

    __tablename__ = "media"
    id: str = Field(primary_key=True)  # med_ + ULID
    account_id: str = Field(foreign_key="accounts.id", index=True)
    storage_key: str
    state: str = (
        "pending"  # pending, stored, deleting (the sweep took it), deleted; kept (a file), expected (an upload)
    )
    filename: str | None = None
    bytes: int = Field(default=0, sa_type=BigInteger)
    counted: int = Field(default=0, sa_type=BigInteger)  # bytes of its account's quota: reserved while it arrives
    copied: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}
    )  # bytes of the copy that browsers play, counted too; 0: there is none
    sha256: str | None = None
    created_at: float = Field(sa_type=Double)
    touched_at: float = Field(sa_type=Double, index=True)  # moves while bytes arrive


class File(SQLModel, table=True):
    """Media that its account keeps by a name of its own (/v1/files), whatever jobs come and go."""

    __tablename__ = "files"
    __table_args__ = (Index("ix_files_account_id_created_at_id", "account_id", "created_at", "id"),)
    id: str = Field(primary_key=True)  # file- + ULID
    account_id: str = Field(foreign_key="accounts.id")
    media_id: str = Field(foreign_key="media.id", index=True)
    filename: str
    purpose: str
    bytes: int = Field(sa_type=BigInteger)
    sha256: str
    created_at: float = Field(sa_type=Double)
    expires_at: float | None = time_column(index=True)  # None: kept until it is deleted


class Upload(SQLModel, table=True):
    """A file that arrives in parts (/v1/uploads), over days if need be."""

    __tablename__ = "uploads"
    id: str = Field(primary_key=True)  # upload_ + ULID
    account_id: str = Field(foreign_key="accounts.id", index=True)
    media_id: str | None = Field(default=None, foreign_key="media.id", index=True)  # what it becomes, until it has
    file_id: str | None = None  # what it became
    filename: str
    purpose: str
    mime_type: str
    bytes: int = Field(sa_type=BigInteger)  # of all parts together, as was announced
    keep_seconds: int | None = None  # from the file's creation to its `expires_at`
    status: str = "pending"  # pending, completed, cancelled, expired
    part_ids: list[str] | None = json_column()  # of which it was completed, in order
    lease_token: str | None = None  # of whoever joins the parts
    lease_until: float | None = time_column()
    direct_until: float | None = time_column()  # until when a URL that was handed out takes bytes
    created_at: float = Field(sa_type=Double)
    expires_at: float = Field(sa_type=Double, index=True)  # moves with each part
    ended_at: float | None = time_column(index=True)


class UploadPart(SQLModel, table=True):
    """One part of an upload, an object in its folder. Gone when the upload ends."""

    __tablename__ = "upload_parts"
    id: str = Field(primary_key=True)  # part_ + ULID
    account_id: str = Field(foreign_key="accounts.id", index=True)
    upload_id: str = Field(foreign_key="uploads.id", index=True)
    bytes: int = Field(sa_type=BigInteger)
    sha256: str | None = None  # of what came through us
    stored: bool = True  # false: its URL was handed out, and nobody has looked yet whether it was used
    created_at: float = Field(sa_type=Double)
