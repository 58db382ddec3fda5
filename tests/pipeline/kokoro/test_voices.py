"""Thirteen mixtures of five styles, each of its own."""

import pytest

from pipeline.errors import UnsupportedValue
from pipeline.kokoro.voices import STYLES, VOICES, mixture
from pipeline.provider_protocol import OPENAI_VOICES


def test_every_name_of_openais_is_a_mixture_of_its_own() -> None:
    assert set(VOICES) == set(OPENAI_VOICES)
    assert len({tuple(sorted(mixture(voice).items())) for voice in VOICES}) == len(VOICES)
    for voice in VOICES:
        assert set(mixture(voice)) <= set(STYLES)
        assert sum(mixture(voice).values()) == pytest.approx(1)
        assert min(mixture(voice).values()) > 0, "nothing beyond the range of a person"


def test_the_styles_have_names_too_and_others_are_refused() -> None:
    assert mixture("jm_kumo") == {"jm_kumo": 1.0}
    with pytest.raises(UnsupportedValue, match=r"alloy.*jm_kumo"):
        mixture("en-us+f5")
