"""Which field a misspelt name was meant for."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from api.main import _taken_names
from infra.requests.job_request import JobFields
from infra.requests.known_names import KnownNames, known_names, refuse_slips
from pipeline.errors import InvalidRequest

JOB = known_names(JobFields)


def slips(name: str) -> Iterator[str]:
    """Each letter left out, doubled, and swapped with the next."""
    for at in range(len(name)):
        yield name[:at] + name[at + 1 :]
        yield name[:at] + name[at] + name[at:]
    for at in range(len(name) - 1):
        yield name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def tables() -> Iterator[tuple[str, KnownNames]]:
    for (method, path), taken in _taken_names().items():
        for place, names in (("query", taken.query), ("body", taken.body)):
            if names.names:
                yield f"{method} {path} {place}", names


TABLES = dict(tables())


@pytest.mark.parametrize("place", TABLES)
def test_every_slip_in_every_field_is_seen(place: str) -> None:
    known = TABLES[place]
    paths = set(known.paths())
    for path in paths:
        *places, last = path.split(".")
        for slip in slips(last):
            wrong = ".".join([*places, slip])
            if slip and wrong not in paths:
                assert known.unknown(put(wrong)) == [wrong]
                assert known.meant(wrong) is not None, f"{path}: {wrong}"


def put(path: str) -> dict[str, object]:
    """An object with nothing but this field."""
    given: object = "x"
    for name in reversed(path.split(".")):
        given = {name: given}
    assert isinstance(given, dict)
    return given


@pytest.mark.parametrize("place", TABLES)
def test_every_flat_form_of_a_nested_field_is_seen(place: str) -> None:
    known = TABLES[place]
    nested = [path for path in known.paths() if "." in path]
    for path in nested:
        for flat in (path.replace(".", "_"), path.replace(".", "-"), path.replace(".", "")):
            assert known.meant(flat) == path


def test_there_are_nested_fields_on_many_routes() -> None:
    assert sum("." in path for known in TABLES.values() for path in known.paths()) > 20
    assert len(TABLES) > 40


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("webhook_url", "webhook.url"),
        ("webhookUrl", "webhook.url"),
        ("webhook.ulr", "webhook.url"),
        ("webhook_link_format", "webhook.link.format"),
        ("reponse_format", "response_format"),
        ("responseFormat", "response_format"),
        ("RESPONSE-FORMAT", "response_format"),
        ("metadata_show", "metadata.show"),
        ("headers.Authorization", "headers.Authorization"),
        ("lang", None),
        ("user", None),
        ("n", None),
        ("format", None),
    ],
)
def test_what_a_name_was_meant_for(name: str, meant: str | None) -> None:
    assert JOB.meant(name) == meant


def test_what_stands_below_names_of_the_callers_own_is_no_slip() -> None:
    assert JOB.unknown({"metadata": {"ulr": "x"}, "headers": {"X-Whatever": "y"}}) == []


def test_objects_that_a_form_carries_as_text_are_looked_into() -> None:
    assert JOB.unknown({"webhook": '{"ulr": "x"}', "range": "1-2"}) == ["webhook.ulr"]
    assert JOB.unknown({"webhook": "{", "range": {"1": "2"}}) == ["range.1"]


def test_all_slips_are_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as refused:
        refuse_slips(JOB, ["modle", "whatever", "webhook_url"])
    assert refused.value.param == "modle"
    assert "`modle`: did you mean `model`?" in refused.value.message
    assert "`webhook_url`: did you mean `webhook.url`?" in refused.value.message
    assert "whatever" not in refused.value.message


def test_what_looks_like_nothing_is_no_slip() -> None:
    refuse_slips(JOB, ["whatever", "temperament_of_the_speaker"])


class Inner(BaseModel):
    a_field: int = 0


class Outer(BaseModel):
    one: Inner | None = None
    two: dict[str, Inner] = {}


def test_models_are_read_as_they_are() -> None:
    known = known_names(Outer)
    assert list(known.paths()) == ["one", "one.a_field", "two"]
    assert known.open == {"two"}
