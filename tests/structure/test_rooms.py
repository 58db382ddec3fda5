"""Every package is a room with one idea that a sentence can tell, and no room holds more than one can keep in mind."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.repository import FLOORS, ROOT

ROOMS = [path.parent for floor in FLOORS for path in sorted((ROOT / floor).rglob("__init__.py"))]
MOST_MODULES = 14
FOUND_BY_NAME = {  # plug-ins: one file per command, format, provider; and per step of the schema
    "cli", "pipeline/formats", "pipeline/providers", "infra/database/migrations/versions",
}  # fmt: skip


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(ROOT).as_posix())
def test_a_sentence_tells_the_rooms_idea(room: Path) -> None:
    told = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    one_sentence = re.fullmatch(r"([^.]|\.(?=\S))+\.", told)
    assert one_sentence, f"{room.relative_to(ROOT)}/__init__.py: tell the room's idea in one sentence, not {told!r}"


def test_no_room_is_crowded() -> None:
    modules = {room.relative_to(ROOT).as_posix(): {path.stem for path in room.glob("*.py")} for room in ROOMS}
    counts = {room: len(names - {"__init__", "__main__"}) for room, names in modules.items()}
    crowded = {room: count for room, count in counts.items() if count > MOST_MODULES and room not in FOUND_BY_NAME}
    assert not crowded, f"more than {MOST_MODULES} modules: give a part that has an idea of its own a room: {crowded}"
