"""What is shipped can be installed: exact versions, parts out of the packages that are named, providers that use it."""

import re

import pytest

from pipeline.catalog.toml_file import load_catalog
from pipeline.weights.description import Source, shipped_weights

SHIPPED = shipped_weights()
SOURCES = [(name, source) for name, weights in SHIPPED.items() for source in weights.sources]


@pytest.mark.parametrize(("name", "source"), SOURCES, ids=lambda value: getattr(value, "kind", value))
def test_every_source_says_exactly_what_it_is(name: str, source: Source) -> None:
    named = {part.split("/")[0] for file in source.files for part in file.parts}
    assert named == {package.name for package in source.packages}
    assert all(re.fullmatch(r"\d+(\.\d+)+", package.version) and package.size for package in source.packages)
    assert (source.kind == "hub") == bool(re.fullmatch(r"[0-9a-f]{40}", source.revision)) == ("/" in source.repository)
    assert (source.kind == "registry") == bool(source.packages)
    assert len({file.name for file in source.files}) == len(source.files)
    assert source.told and source.size == sum(file.size for file in source.files)


@pytest.mark.parametrize("name", [name for name, weights in SHIPPED.items() if weights.serves])
def test_what_serves_is_a_provider_that_counts_only_with_its_folder(name: str) -> None:
    catalog = load_catalog(None, embedded_engines="auto", stock={name: {"model": "/somewhere"}})
    for task in SHIPPED[name].serves:
        assert catalog.embedded[task][0].provider == name
        assert len(catalog.embedded[task]) > 1, "and another one behind it"


def test_every_licence_is_told() -> None:
    assert all(weights.licence for weights in SHIPPED.values())
