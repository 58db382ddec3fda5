"""Sessions of the console, and links that sign in."""

from __future__ import annotations

from sqlalchemy import Double
from sqlmodel import Field, SQLModel


class ConsoleSession(SQLModel, table=True):
    """Who is signed in at the console. What it is called is a digest of its cookie, and its keys are sealed by that cookie."""

    __tablename__ = "console_sessions"
    id: str = Field(primary_key=True)
    account_id: str | None = Field(default=None, foreign_key="accounts.id", index=True)  # None: an administrator
    sealed: str
    created_at: float = Field(sa_type=Double)
    expires_at: float = Field(sa_type=Double, index=True)


class ConsoleLink(SQLModel, table=True):
    """A link that signs in at the console and was not used yet; known by its digest."""

    __tablename__ = "console_links"
    id: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="accounts.id", index=True)
    expires_at: float = Field(sa_type=Double)
