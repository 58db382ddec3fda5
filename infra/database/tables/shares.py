"""What waits for a worker, whose turn it is, and what nobody can do for now."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, text
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import COUNTER, ZERO, time_column

_BACKLOGGED = text("pieces + slow_pieces > 0")
_SIZED = text("size_ms >= 0")
_DATED = text("since >= 0")
_IN_LINE = text("slow AND idx >= 0")
_OF_ACCOUNT = ("role", "account_id", "slow", "rank")
_IN_TURN = ("since", "job_id", "idx")
_LOW = text("rank >= 10")  # the archive lane: see infra/jobs/queue/archive_lane.py


class WaitingWork(SQLModel, table=True):
    """One piece of work that somebody could claim: a chunk, or (idx -1) a job to fetch, prepare or finish.

    Triggers on jobs and chunks keep it, so that no move can forget it; migration 0007 tells how.
    """

    __tablename__ = "waiting_work"
    __table_args__ = (
        # Always true, and said by the query for which the index is: PostgreSQL's planner, whose statistics of a queue are always
        # stale, would else take the other one and sort.
        Index(
            "ix_waiting_work_shortest", *_OF_ACCOUNT, "size_ms", *_IN_TURN, sqlite_where=_SIZED, postgresql_where=_SIZED
        ),
        Index("ix_waiting_work_oldest", *_OF_ACCOUNT, *_IN_TURN, sqlite_where=_DATED, postgresql_where=_DATED),
        Index(
            "ix_waiting_work_in_line",
            "role",
            "account_id",
            "rank",
            "size_ms",
            sqlite_where=_IN_LINE,
            postgresql_where=_IN_LINE,
        ),
        Index("ix_waiting_work_low", "role", "account_id", "cost_ms", sqlite_where=_LOW, postgresql_where=_LOW),
    )
    job_id: str = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    role: str  # cpu, io
    account_id: str
    slow: bool  # a download, a long preparation, a chunk in an engine's line: it may keep its worker for long
    rank: int  # the priority with its sign changed: the least comes first
    size_ms: int = Field(sa_type=BigInteger)  # of its whole recording; 0 for a job that only wants its end
    since: float = Field(sa_type=Double)
    run_at: float = Field(sa_type=Double)  # not before
    cost_ms: int = Field(sa_type=BigInteger)  # what claiming it is charged, in sound


class Share(SQLModel, table=True):
    """An account's part in what the workers of one role do. The counters are kept by triggers on waiting_work."""

    __tablename__ = "shares"
    __table_args__ = (
        Index("ix_shares_start", "role", "start", sqlite_where=_BACKLOGGED, postgresql_where=_BACKLOGGED),
        Index("ix_shares_role_served", "role", "served"),
        Index("ix_shares_role_low_served", "role", "low_served"),
    )
    role: str = Field(primary_key=True)
    account_id: str = Field(primary_key=True)
    start: float = Field(default=0.0, sa_type=Double)  # virtual time at which its next piece starts
    served: float = Field(default=0.0, sa_type=Double)  # and at which its last one did
    low_start: float = Field(default=0.0, sa_type=Double, sa_column_kwargs=ZERO)  # the same in the archive lane
    low_served: float = Field(default=0.0, sa_type=Double, sa_column_kwargs=ZERO)
    served_ms: int = Field(default=0, sa_type=BigInteger)
    turns: int = Field(default=0, sa_type=BigInteger)
    pieces: int = Field(default=0, sa_type=BigInteger)  # that wait, without the slow ones
    waiting_ms: int = Field(default=0, sa_type=BigInteger)  # what those cost
    slow_pieces: int = Field(default=0, sa_type=BigInteger)
    slow_ms: int = Field(default=0, sa_type=BigInteger)


class ShareChange(SQLModel, table=True):
    """What a statement changed in a share, until its transaction commits. PostgreSQL alone needs it; it is always empty."""

    __tablename__ = "share_changes"
    id: int | None = Field(default=None, sa_column=Column(COUNTER, primary_key=True))
    role: str
    account_id: str
    pieces: int = Field(sa_type=BigInteger)
    waiting_ms: int = Field(sa_type=BigInteger)
    slow_pieces: int = Field(sa_type=BigInteger)
    slow_ms: int = Field(sa_type=BigInteger)


class Lane(SQLModel, table=True):
    """How fast the workers of one role serve; locked by whoever claims slow work, so that its bounds are exact."""

    __tablename__ = "lanes"
    role: str = Field(primary_key=True)
    looked_at: float | None = time_column()
    served_ms: int = Field(default=0, sa_type=BigInteger)  # by all, when somebody last looked
    ms_per_second: float | None = time_column()  # while work waited


class Outage(SQLModel, table=True):
    """Something that work needs and that was away: for all who wait for it, one piece of work at a time asks again."""

    __tablename__ = "outages"
    place: str = Field(primary_key=True)  # storage, disk, or "provider" and the routes that failed
    since: float | None = time_column()  # None: it is back
    pause: float = Field(default=0.0, sa_type=Double)  # seconds from one try to the next; it grows
    probe_at: float | None = time_column()  # when the next try is due
    worked_at: float | None = time_column()  # when it last came back
