"""The providers, one file each, listed without importing any; `base.py` tells how to add one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from pipeline.engines.engine_placement import ONE_OF_OUR_OWN, Engines
from pipeline.providers.base import Provider

NOT_PROVIDERS = {"base"}


def names() -> tuple[str, ...]:
    """The kinds of provider there are, from the files in this folder."""
    return tuple(sorted({module.name for module in pkgutil.iter_modules(__path__)} - NOT_PROVIDERS))


def load(name: str, config: Mapping[str, Any], engines: Engines = ONE_OF_OUR_OWN) -> Provider:
    """Open one provider of the kind `name`. Cheap: nothing is loaded or started before its first call.

    Raises LookupError when there is no such file; a catalog is checked against `names()` when it is read.
    """
    if name not in names():
        raise LookupError(f"no provider is called {name!r}; there are {', '.join(names())}")
    module = importlib.import_module(f"pipeline.providers.{name}")
    provider: Provider = module.open_provider(config, engines)
    return provider


def check(name: str, config: Mapping[str, Any]) -> None:
    """Let the provider of the kind `name` look at its settings, if it can. Raises CatalogBroken."""
    judge = getattr(importlib.import_module(f"pipeline.providers.{name}"), "check", None)
    if judge:
        judge(config)


def hears(name: str, config: Mapping[str, Any], model: str) -> tuple[str, ...]:
    """The languages that the provider of the kind `name` hears with this model, by ISO 639 codes; none where it does not say.

    `config` is as for `load`. Nothing is opened.
    """
    module = importlib.import_module(f"pipeline.providers.{name}")
    heard: tuple[str, ...] = getattr(module, "hears", lambda _config, _model: ())(config, model)
    return heard


def pace(name: str, model: str) -> float | None:
    """Seconds that the provider of the kind `name` works for a second of sound with this model, as it usually is; None where
    it does not say."""
    module = importlib.import_module(f"pipeline.providers.{name}")
    usual: float | None = getattr(module, "pace", lambda _: None)(model)
    return usual


def trouble(name: str, config: Mapping[str, Any]) -> str:
    """What keeps the provider of the kind `name` from working on this machine and what to do, if it can tell; or nothing."""
    found: str = getattr(importlib.import_module(f"pipeline.providers.{name}"), "trouble", lambda _: "")(config)
    return found
