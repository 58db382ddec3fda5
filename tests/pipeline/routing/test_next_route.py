"""Who is asked, and who next: a failure is followed by the next route, what is gone by those that stand in for it."""

from collections.abc import Callable, Sequence

import pytest

from pipeline.catalog.catalog import Catalog
from pipeline.catalog.model import Model, Route, Voice
from pipeline.errors import (
    ModelGone,
    ModelUnavailable,
    ProviderUnavailable,
    RoutesExhausted,
    StenopoolError,
    UnsupportedValue,
)
from pipeline.options import SpeechOptions
from pipeline.routing.next_route import first_that_speaks, first_there

FIRST, SECOND = Route(provider="first", model="m"), Route(provider="second", model="m")
LATER, HERE = Route(provider="later", model="n"), Route(provider="here", model="e")
GONE, AWAY = ModelGone(provider="x", status=404), ProviderUnavailable(provider="x")
SAYS_NO = UnsupportedValue("No such thing", param="prompt")


def catalog(*routes: Route, successors: Sequence[Route] = (LATER,), embedded: bool = True) -> Catalog:
    voices = (Voice(id="Kore", description="firm"), Voice(id="Nova7", description="new"))
    tasks = ("transcription", "speech")
    model = Model(id="m", tasks=tasks, routes=routes, successors=tuple(successors), voices=voices)
    stand_ins = dict.fromkeys(tasks, (HERE,)) if embedded else {}
    return Catalog({"m": model}, embedded=stand_ins, nearest_voices={"Kore": "sage"})


def asked(there: Catalog, failures: dict[Route, StenopoolError]) -> tuple[str, list[str]]:
    """Who answered, and who was asked, in order."""
    order: list[str] = []

    def ask(route: Route) -> str:
        order.append(route.provider)
        if route in failures:
            raise failures[route]
        return route.provider

    return first_there(there.gone, "transcription", lambda: there.routes("m", "transcription"), ask), order


def test_what_is_gone_is_followed_by_the_next_and_not_asked_again() -> None:
    there = catalog(FIRST, SECOND)
    assert asked(there, {FIRST: GONE}) == ("second", ["first", "second"])
    assert asked(there, {}) == ("second", ["second"])


def test_successors_and_the_embedded_engine_stand_in_for_what_is_gone() -> None:
    there = catalog(FIRST, SECOND)
    both = {FIRST: GONE, SECOND: GONE}
    assert asked(there, both) == ("later", ["first", "second", "later"])
    assert asked(there, both) == ("later", ["later"])
    assert asked(there, {LATER: GONE}) == ("here", ["later", "here"])
    assert there.stands_in("m", "transcription")
    assert [route.provider for route in there.routes("m", "speech")] == ["first", "second"], "another task is not gone"


@pytest.mark.parametrize("failure", [AWAY, SAYS_NO])
def test_nobody_stands_in_for_who_is_there_and_fails(failure: StenopoolError) -> None:
    there = catalog(FIRST, SECOND)
    with pytest.raises(type(failure)) as raised:
        asked(there, {FIRST: GONE, SECOND: failure})
    assert raised.value is failure, "what is gone is no failure beside another"
    with pytest.raises(RoutesExhausted):
        asked(catalog(FIRST, SECOND), {FIRST: AWAY, SECOND: AWAY})


def test_where_nobody_is_left_the_model_is_unavailable() -> None:
    there = catalog(FIRST, successors=(), embedded=False)
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="still there"):
            asked(there, {FIRST: GONE})
    assert not there.available("m")


def speaker(*known: str) -> Callable[[Route, SpeechOptions], str]:
    def ask(route: Route, options: SpeechOptions) -> str:
        if options.voice not in known:
            raise UnsupportedValue("No such voice", param="voice")
        return options.voice

    return ask


@pytest.mark.parametrize(
    ("voice", "spoken"), [("Kore", "sage"), ("kore", "sage"), ("Nova7", "alloy"), ("onyx", "onyx")]
)
def test_a_voice_of_the_models_is_the_nearest_elsewhere(voice: str, spoken: str) -> None:
    options = SpeechOptions(model="m", input="Hello.", voice=voice)
    assert first_that_speaks(options, catalog(FIRST), speaker("sage", "alloy", "onyx")) == spoken
    own = first_that_speaks(options, catalog(FIRST), speaker(voice, "sage", "alloy"))
    assert own == voice


def test_a_voice_that_is_no_models_is_refused() -> None:
    with pytest.raises(UnsupportedValue):
        first_that_speaks(
            SpeechOptions(model="m", input="Hello.", voice="nobody"), catalog(FIRST), speaker("sage", "alloy")
        )
