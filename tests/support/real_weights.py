"""Real weights, for the few tests that need them: `make setup` has installed them, unless they were not to be had."""

import os
from pathlib import Path

import pytest

from infra.settings import default_models
from pipeline.weights.description import shipped_weights
from pipeline.weights.folder import WeightsFolder

# Read at import, before the environment is scrubbed and the cache is another one.
MODELS = Path(os.environ.get("STENOPOOL_MODELS") or default_models())


def real_weights(name: str) -> Path:
    """The folder of models in which they are; without them the test fails, by this one line alone."""
    if WeightsFolder(MODELS, shipped_weights()).installed(name) is None:
        pytest.fail(f"needs real weights: stenopool models install {name}", pytrace=False)
    return MODELS
