"""What outputs are called: never one over the other, and from run to run the same."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.archive.journal import Journal
from cli.archive.naming import NameRefused, ending, name_all, target
from cli.archive.plan import Hearing, Layout, Plan
from cli.listing.found import Found
from pipeline.errors import InvalidRequest

PARTS = st.sampled_from(["a", "A", "a.mp3", "a.mp3.wav", "b", "é", "e\u0301", "a.b"])
FOLDERS, ENDS = st.sampled_from(["", "x/"]), st.sampled_from([".mp3", ".wav", ""])
NAMES = st.lists(st.builds("{}{}{}".format, FOLDERS, PARTS, ENDS), unique=True, max_size=12)


@pytest.fixture
def journal() -> Iterator[Journal]:
    with closing(Journal(None)) as made:
        yield made


def named(names: list[str], layout: Layout = "mirror", suffix: str = "") -> dict[str, str]:
    """The srt of each, below the folder of outputs; of those that got one."""
    with closing(Journal(None)) as journal:
        return named_in(journal, names, layout, suffix)


def named_in(known: Journal, names: list[str], layout: Layout = "mirror", suffix: str = "") -> dict[str, str]:
    """The same in one that knows something already."""
    plan = Plan(Path("/out"), Path("/out/_report"), ("srt",), Hearing(), layout=layout, suffix=suffix)
    with known.listing():
        for name in names:
            known.note(Found(name, f"/in/{name}", 1, 1.0))
    name_all(known, plan)
    return {row.name: str(target(plan, row, "srt").relative_to("/out")) for row in known.rows() if row.base is not None}


def test_the_tree_is_mirrored() -> None:
    assert named(["talk.mp3", "x/y/a b.wav", "plain"]) == {
        "talk.mp3": "talk.srt", "x/y/a b.wav": "x/y/a b.srt", "plain": "plain.srt"
    }  # fmt: skip
    assert named(["talk.mp3"], suffix=".en") == {"talk.mp3": "talk.en.srt"}


def test_two_of_one_stem_keep_their_whole_names() -> None:
    found = named(["talk.mp3", "talk.wav", "Talk.ogg", "x/talk.mp3"])
    assert found["talk.mp3"] == "talk.mp3.srt"
    assert found["talk.wav"] == "talk.wav.srt"
    assert found["Talk.ogg"] == "Talk.ogg.srt"
    assert found["x/talk.mp3"] == "x/talk.srt"


def test_a_name_stays_when_another_one_of_its_stem_comes(journal: Journal) -> None:
    assert named_in(journal, ["talk.mp3"]) == {"talk.mp3": "talk.srt"}
    assert named_in(journal, ["talk.mp3", "talk.wav"]) == {"talk.mp3": "talk.srt", "talk.wav": "talk.wav.srt"}


def test_flat_refuses_what_would_collide_and_names_both() -> None:
    assert named(["a/x.mp3", "b/y.mp3"], "flat") == {"a/x.mp3": "x.srt", "b/y.mp3": "y.srt"}
    with pytest.raises(InvalidRequest, match=r"b/x\.mp3.*a/x\.mp3"):
        named(["a/x.mp3", "b/x.mp3"], "flat")


@given(NAMES)
def test_no_two_recordings_share_an_output(names: list[str]) -> None:
    found = named(names)
    assert len(set(found.values())) == len(found)


def test_one_that_cannot_be_told_from_another_is_named_with_it(journal: Journal) -> None:
    found = named_in(journal, ["é.mp3", "e\u0301.mp3"])
    left = [row for row in journal.rows() if row.base is None]
    assert len(found) == len(left) == 1
    assert "é.mp3" in (left[0].message or "")
    assert "e\u0301.mp3" in (left[0].message or "")


def test_adjacent_outputs_stand_beside_their_recordings(journal: Journal) -> None:
    plan = Plan(Path("/in"), Path("/in/_report"), ("srt",), Hearing(), layout="adjacent")
    with journal.listing():
        journal.note(Found("x/a.mp3", "/in/x/a.mp3", 1, 1.0))
        journal.note(Found("b.mp3", "s3://bucket/b.mp3", 1, 1.0))
    name_all(journal, plan)
    bucket, file = journal.rows()
    assert target(plan, file, "srt") == Path("/in/x/a.srt")
    with pytest.raises(NameRefused):
        target(plan, bucket, "srt")


@pytest.mark.parametrize("name", ["../../etc/a.mp3", "x//a.mp3", "./a.mp3", "ä" * 130 + ".mp3"])
def test_a_key_that_is_no_path_is_refused(name: str) -> None:
    with pytest.raises(NameRefused):
        named([name])


def test_endings_tell_the_json_formats_apart() -> None:
    told = {form: ending(form) for form in ("srt", "vtt", "text", "json", "verbose_json", "diarized_json", "full_json")}
    assert told == {
        "srt": ".srt", "vtt": ".vtt", "text": ".txt", "json": ".json",
        "verbose_json": ".verbose.json", "diarized_json": ".diarized.json", "full_json": ".full.json",
    }  # fmt: skip
