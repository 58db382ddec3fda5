"""What outputs are called: after their recording, never one over the other, and from run to run the same."""

from __future__ import annotations

from pathlib import Path

from cli.archive.journal import Journal, Row
from cli.archive.plan import Layout, Plan
from cli.listing.found import is_file
from pipeline import formats
from pipeline.errors import InvalidRequest, StenopoolError

_LONGEST = 255  # bytes of a name on nearly every disk


class NameRefused(StenopoolError):
    """No output can be called like that."""

    code = "name_refused"


class NameCollision(StenopoolError):
    """Two recordings would have outputs of one name."""

    code = "name_collision"


def ending(form: str) -> str:
    """`.srt`; of the formats that are JSON all but `json` itself say which: `.verbose.json`."""
    kind, _, rest = form.partition("_")
    return f".{kind}.json" if rest == "json" else formats.load(form).extension


def name_all(journal: Journal, plan: Plan) -> list[str]:
    """Names for the outputs of whatever has none yet; remarks for people about those that share a stem.

    Raises InvalidRequest for a flat layout in which two would be one.
    """
    _laid_out(journal, plan)
    remarks = []
    for row in journal.unnamed(shared=True):
        if not row.own.get("output"):
            remarks.append(f"{row.name}: another recording has the same stem; its outputs keep the whole name")
        _name(journal, row, plan.layout, _whole(row, plan.layout))
    for row in journal.unnamed(shared=False):
        names = (_stem(row, plan.layout), _whole(row, plan.layout))
        _name(journal, row, plan.layout, *(names[:1] if plan.layout == "flat" else names))
    return remarks


def target(plan: Plan, row: Row, form: str) -> Path:
    """Where one output of a recording goes. Raises NameRefused."""
    assert row.base is not None
    parts = row.base.split("/")
    last = f"{parts[-1]}{plan.suffix}{ending(form)}"
    if any(part in ("", ".", "..") or "\0" in part for part in (*parts[:-1], last)):
        raise NameRefused(f"A recording called {row.name!r} cannot be mirrored; name its `output` in a --manifest.")
    if any(len(part.encode()) > _LONGEST for part in (*parts[:-1], last)):
        raise NameRefused(
            f"{last} is longer than the {_LONGEST} bytes a name may have; name its `output` in a --manifest."
        )
    if plan.layout != "adjacent":
        return plan.output.joinpath(*parts[:-1], last)
    if not is_file(row.place):
        raise NameRefused("Nothing is written beside what lies in a bucket or a zip archive; use --layout mirror.")
    return Path(row.place).with_name(last)


def told(plan: Plan, path: Path) -> str:
    """A path as the report has it: below the folder of outputs, so that this can be moved."""
    return path.relative_to(plan.output).as_posix() if path.is_relative_to(plan.output) else path.as_posix()


def _laid_out(journal: Journal, plan: Plan) -> None:
    if journal.fact("layout") not in (None, plan.layout):
        journal.forget_names()
    journal.set_fact("layout", plan.layout)


def _name(journal: Journal, row: Row, layout: Layout, *wanted: str) -> None:
    names = (row.own["output"],) if row.own.get("output") else wanted
    if any(journal.name_outputs(row.name, name) for name in names):
        return
    error = NameCollision(
        f"The outputs of {row.name} would be called like those of {journal.owner_of(names[-1])}: {names[-1]}. "
        "Give each its own --output, or name its `output` in a --manifest."
    )
    if layout == "flat":
        journal.forget_names()
        raise InvalidRequest(error.message, param="layout")
    journal.end(row.name, "failed", error.code, error.message)


def _whole(row: Row, layout: Layout) -> str:
    return row.name.rpartition("/")[2] if layout == "flat" else row.name


def _stem(row: Row, layout: Layout) -> str:
    folder, slash, last = _whole(row, layout).rpartition("/")
    stem, dot, _ = last.rpartition(".")
    return folder + slash + (stem if dot and stem else last)
