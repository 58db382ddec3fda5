"""Through every codec and container: no word lost, doubled or broken, no start moved by more than 20 ms, no drift."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.catalog.toml_file import load_catalog
from pipeline.options import TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import transcribe
from tests.benchmarks.sounds import CODECS, oracle_recording, truth

SECONDS = 300.0
STYLES = ("natural", "sparse")


@pytest.fixture(scope="module")
def registry() -> Iterator[ProviderRegistry]:
    registry = ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=1)
    yield registry
    registry.close()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("codecs")
    found = {}
    for style in STYLES:
        paths = oracle_recording(folder, seconds=SECONDS, style=style, suffixes=list(CODECS))
        found |= {(style, suffix): path for suffix, path in paths.items()}
    return found


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("suffix", CODECS)
def test_every_word_once_and_in_its_place(
    suffix: str, style: str, recordings: dict[tuple[str, str], Path], registry: ProviderRegistry
) -> None:
    spoken = truth(seconds=SECONDS, style=style)
    options = TranscriptionOptions(model="oracle", timestamp_granularities=("word",))
    words = transcribe(recordings[style, suffix], options, registry, workers=2).words
    assert [word.text for word in words] == [word.text for word in spoken]
    starts = np.array([word.start / 16 for word in spoken])
    errors = np.array([word.start for word in words]) - starts
    assert np.abs(errors).max() <= 20
    assert abs(np.polyfit(starts, errors, 1)[0]) * starts[-1] <= 5
