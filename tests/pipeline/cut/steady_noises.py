"""Sounds in which nothing happens: each a function of seconds and a seed, with the standard deviation 1."""

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.transcript import SAMPLE_RATE
from tests.pipeline import sounds
from tests.pipeline.sounds import Samples


def hum(seconds: float, seed: int) -> Samples:
    """The mains and its harmonics, with the faint hiss of a line."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 8)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    partials = sum(np.sin(2 * np.pi * 50 * nth * t + phases[nth]) / nth for nth in range(1, 8))
    return np.asarray(partials / np.std(partials) + sounds.white(seconds, 0.003, seed))


def fan(seconds: float, seed: int) -> Samples:
    """Rushing air, the blades' own note, and a tenth of wobble."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    air = sounds.coloured(seconds, 1.0, 1.0, seed) + sounds.white(seconds, 0.1, seed + 100)
    blades = 0.5 * np.sin(2 * np.pi * 120 * t) + 0.2 * np.sin(2 * np.pi * 240 * t)
    wobbling = (air + blades) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * t + seed))
    return np.asarray(wobbling / wobbling.std())


def harmonics(seconds: float, fall: float, seed: int) -> Samples:
    """Forty of some note of a machine, each softer by a power of its number, and a faint hiss."""
    t, chance = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE, np.random.default_rng(seed)
    turned, phases = 2 * np.pi * chance.uniform(50, 120) * t, chance.uniform(0, 2 * np.pi, 41)
    partials = sum(np.sin(nth * turned + phases[nth]) / nth**fall for nth in range(1, 41))
    return np.asarray(partials / np.std(partials) + sounds.white(seconds, 0.01, seed))


STEADY: Mapping[str, Callable[[float, int], Samples]] = {
    "white": lambda seconds, seed: sounds.white(seconds, 1.0, seed),
    "pink": lambda seconds, seed: sounds.coloured(seconds, 1.0, 0.5, seed),
    "brown": lambda seconds, seed: sounds.coloured(seconds, 1.0, 1.0, seed),
    "hum": hum,
    "fan": fan,
    "tone": lambda seconds, seed: sounds.tone(seconds, 300 + 170 * seed, 2**0.5),
}
