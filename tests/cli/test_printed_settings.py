"""The catalogs and lists that the documents print are taken as they are printed."""

import tomllib
from pathlib import Path

import pytest

from infra.settings import Settings
from tests.support.printed import Block, printed_for

PRINTED = printed_for("tests/cli/test_printed_settings.py")
KEYS = {"WHISPER_HOME_KEY": "key"} | {f"STENOPOOL_{name}_API_KEY": "key" for name in ("OPENAI", "GROQ", "GEMINI")}
HOME = '[providers.home]\nkind = "openai"\nbase_url = "http://whisper.internal:8000/v1"\n'


@pytest.mark.parametrize("block", [one for one in PRINTED if one.language == "toml"], ids=lambda block: block.name)
def test_a_catalog_is_laid_over_the_shipped_one(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(
        ("" if "[providers.home]" in block.code else HOME) + block.code
    )  # which the page has printed before
    catalog = Settings.from_env({"STENOPOOL_CATALOG": str(path), **KEYS}).load_catalog()
    for name, model in tomllib.loads(block.code)["models"].items():
        for kind, written in model.items():
            found = [(route.provider, route.model) for route in getattr(catalog.models[name], kind)]
            assert found == [(one["provider"], one["model"]) for one in written]


def test_the_buckets_that_are_opened() -> None:
    (block,) = (one for one in PRINTED if one.language == "json")
    calls, texts = Settings.from_env({"STENOPOOL_BUCKETS": block.code}).buckets
    assert (calls.uri, calls.access, texts.account, texts.profile) == ("s3://calls/2026/", "read", "*", "texts")
