"""Thirteen voices out of five: OpenAI's names as fixed mixtures of the styles that come with the weights."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import UnsupportedValue

STYLES = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")
VOICES: Mapping[str, Mapping[str, float]] = {
    "alloy": {"jm_kumo": 0.4, "jf_alpha": 0.6},
    "ash": {"jm_kumo": 0.6, "jf_nezumi": 0.4},
    "ballad": {"jm_kumo": 0.8, "jf_gongitsune": 0.2},
    "cedar": {"jm_kumo": 0.9, "jf_gongitsune": 0.1},
    "coral": {"jf_nezumi": 1.0},
    "echo": {"jm_kumo": 0.75, "jf_alpha": 0.25},
    "fable": {"jm_kumo": 0.55, "jf_tebukuro": 0.45},
    "marin": {"jf_alpha": 1.0},
    "nova": {"jf_alpha": 0.5, "jf_tebukuro": 0.5},
    "onyx": {"jm_kumo": 1.0},
    "sage": {"jm_kumo": 0.15, "jf_gongitsune": 0.85},
    "shimmer": {"jf_tebukuro": 1.0},
    "verse": {"jm_kumo": 0.6, "jf_alpha": 0.4},
}


def mixture(voice: str) -> Mapping[str, float]:
    """The share of each style in a voice, by OpenAI's names or the styles' own. Raises UnsupportedValue, which lists them."""
    if voice in STYLES:
        return {voice: 1.0}
    if voice not in VOICES:
        known = ", ".join((*VOICES, *STYLES))
        raise UnsupportedValue(f"No voice is called {voice!r}. Voices: {known}", param="voice")
    return VOICES[voice]
