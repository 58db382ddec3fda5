"""`stenopool prices`: what models cost, and the audio ratios."""

from decimal import Decimal

import pytest

from cli import exits
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("installed")


def ratios(run: Run) -> dict[str, str]:
    return {model["id"]: model["audio_ratio"] for model in run("prices", "--json").json}


def test_shown_with_and_without_the_word(run: Run) -> None:
    assert run("prices", "--json").json == run("prices", "show", "--json").json
    assert run("prices").out == run("prices", "show").out
    assert "0.006 / audio minute" in run("prices").out
    prices = {model["id"]: model["prices"] for model in run("prices", "--json").json}
    assert prices["tts-1"] == {"thousand_characters": "0.015"}
    assert prices["espeak-ng"] == {}


def test_a_models_ratio_and_the_global_one_multiply(run: Run) -> None:
    assert set(ratios(run).values()) == {"1"}
    assert run("prices", "ratio", "whisper-1", "1.50").code == 0
    assert run("prices", "ratio", "--all", "2").code == 0
    now = ratios(run)
    assert (now["whisper-1"], now["tts-1"]) == ("3", "2")
    assert "(audio x 3)" in run("prices").out
    assert {model: Decimal(value) for model, value in run("prices", "ratio", "--json").json.items()} == {
        "*": 2,
        "whisper-1": Decimal("1.5"),
    }
    assert "whisper-1" in run("prices", "ratio").out
    run("prices", "ratio", "--all", "--clear")
    assert ratios(run)["whisper-1"] == "1.5"
    run("prices", "ratio", "whisper-1", "--clear")
    assert set(ratios(run).values()) == {"1"}


def test_nought_makes_sound_free(run: Run) -> None:
    run("prices", "ratio", "whisper-1", "0")
    assert ratios(run)["whisper-1"] == "0"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("whisper-9", "2"), exits.NOT_THERE),
        (("whisper-1", "much"), exits.BAD_INPUT),
        (("whisper-1", "NaN"), exits.BAD_INPUT),
        (("whisper-1", "1e2"), exits.BAD_INPUT),
        (("whisper-1", "1001"), exits.BAD_INPUT),
        (("tts-1", "2"), exits.BAD_INPUT),
        (("whisper-1",), exits.USAGE),
        (("whisper-1", "1", "2"), exits.USAGE),
        (("--all", "whisper-1", "2"), exits.USAGE),
        (("--all",), exits.USAGE),
        (("--clear",), exits.USAGE),
        (("whisper-1", "2", "--clear"), exits.USAGE),
    ],
)
def test_what_is_refused_changes_nothing(run: Run, words: tuple[str, ...], code: int) -> None:
    said = run("prices", "ratio", *words)
    assert said.code == code
    assert "Traceback" not in said.err
    assert run("prices", "ratio", "--json").json == {}


def test_a_ratio_that_would_change_nothing_is_refused_and_says_why(run: Run) -> None:
    told = run("prices", "ratio", "tts-1", "2").err
    assert "tts-1 is priced by characters; the audio ratio does not touch it" in " ".join(told.split())


def test_an_accounts_own_ratio(run: Run) -> None:
    account = run("accounts", "create", "Ada", "--json").json["account_id"]
    run("prices", "ratio", "--all", "2")
    changed = run("accounts", "set", account, "--audio-ratio", "0.80", "--json")
    assert (changed.code, changed.json["audio_ratio"]) == (0, "0.80")
    own = {model["id"]: model["audio_ratio"] for model in run("prices", "show", "--account", account, "--json").json}
    assert (own["whisper-1"], ratios(run)["whisper-1"]) == ("1.6", "2")
    assert run("prices", "show", "--account", "acct_x").code == exits.NOT_THERE
    assert run("accounts", "set", account, "--audio-ratio", "cheap").code == exits.BAD_INPUT
    assert run("accounts", "set", account, "--audio-ratio", "1", "--json").json["audio_ratio"] == "1"
