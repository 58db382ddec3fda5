"""How far a job is and why it waits, in words that a program can show to its own user, and when it should ask again."""

from __future__ import annotations

from typing import Any

from infra.database.tables.jobs import Job
from pipeline.lifecycle import LIVE, Dependency, JobStatus, Stage

SOON, LATER = 1, 10  # seconds: the bounds of Retry-After
MANY = 90  # from so many of a unit on the next one is used
UNITS = ((1, "second"), (60, "minute"), (3600, "hour"))
DAYS = 86_400, "day"

_AWAY = {
    Dependency.STORAGE: "It waits for the storage, which is away.",
    Dependency.DATABASE: "It waits for the database, which is away.",
    Dependency.PROVIDER: "It waits for the speech provider, which does not answer.",
    Dependency.DISK: "It waits for room on a disk that is full.",
    Dependency.WORKER: "It waits for a worker: none is running that could go on with it.",
}
_BY_ITSELF = "It goes on by itself, and nothing is lost."
_PLAIN = {
    Stage.UPLOADING: "The recording is still being uploaded.",
    Stage.FETCHING: "The recording is being downloaded.",
}


def message_of(job: Job, standing: dict[str, Any], *, now: float) -> str:
    """One or two sentences. `standing` is `status`, `queue`, `progress` and `waiting` of the job object; `now` in epoch seconds."""
    if JobStatus(job.status) not in LIVE:
        return _ended(job)
    if job.status == JobStatus.CANCELLING:
        return "It is being cancelled."
    stage = Stage(job.stage)
    if stage.dependency is not None:
        return f"{_AWAY[stage.dependency]} {_BY_ITSELF}"
    if standing["waiting"] is not None:
        return f"{standing['waiting']['message']} It goes on {_in(standing['waiting']['until'], now)}."
    return _PLAIN.get(stage) or _under_way(job, stage, standing, now)


def retry_after(standing: dict[str, Any], *, now: float) -> int | None:
    """Seconds until it makes sense to ask again; None: it has ended."""
    if JobStatus(standing["status"]) not in LIVE:
        return None
    if standing["waiting"] is not None:
        return LATER
    begins = (standing["queue"] or {}).get("eta")
    left = standing["progress"]["eta_seconds"] or (begins - now if begins else SOON)
    return int(min(LATER, max(SOON, left // 2)))


def _ended(job: Job) -> str:
    if job.status == JobStatus.COMPLETED:
        what = "The sound" if job.task == "speech" else "The transcript"
        return f"{what} is ready{', with gaps where something failed' if job.partial else ''}."
    if job.status == JobStatus.CANCELLED:
        return "It was cancelled."
    why = (job.error or {}).get("message")
    failed = "It failed" if job.status == JobStatus.FAILED else "It was not done in its time"
    return f"{failed}: {why}" if why else f"{failed}."


def _under_way(job: Job, stage: Stage, standing: dict[str, Any], now: float) -> str:
    figures = standing["progress"]
    done = "spoken" if job.task == "speech" else "transcribed"
    if stage == Stage.STITCHING or (stage == Stage.WAITING and job.status == JobStatus.PROCESSING):
        return f"All of it is {done}; the result is being put together."
    if stage == Stage.WAITING:
        return _in_line(standing["queue"] or {}, now)
    if not figures["percent"]:
        return "It is being prepared." if stage == Stage.PREPARING else f"It is being {done}."
    left = figures["eta_seconds"]
    rest = f"; about {_lasting(left)} are left" if left else ""
    return f"{figures['percent']:.0f} % is {done}{rest}."


def _in_line(queue: dict[str, Any], now: float) -> str:
    ahead, eta = queue.get("ahead_audio_seconds"), queue.get("eta")
    why = "It waits for its turn"
    if ahead:
        why += f": {_lasting(ahead)} of sound are ahead of it"
    return f"{why}; it begins {_in(eta, now)}." if eta else f"{why}."


def _in(moment: float | None, now: float) -> str:
    if moment is None or moment - now < 1:
        return "at any moment"
    return f"in about {_lasting(moment - now)}"


def _lasting(seconds: float) -> str:
    """In whole units, of which there are never very many."""
    unit, name = next((one for one in UNITS if seconds < MANY * one[0]), DAYS)
    count = max(1, round(seconds / unit))
    return f"{count} {name}{'' if count == 1 else 's'}"
