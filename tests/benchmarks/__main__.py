"""`python -m tests.benchmarks [NAME…]`: run all benchmarks, or those named."""

import importlib
import pkgutil
import sys
import time
from types import ModuleType

import tests.benchmarks
from tests.benchmarks.report import HEADER


def benchmarks() -> dict[str, ModuleType]:
    """Every file in this folder that has a `run`, by its name; the others are what these need."""
    names = [module.name for module in pkgutil.iter_modules(tests.benchmarks.__path__) if module.name != "__main__"]
    modules = {name: importlib.import_module(f"tests.benchmarks.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "run")}


def main(wanted: list[str]) -> int:
    """Print the figures of each benchmark; 1 when a target was missed."""
    missed, found = 0, benchmarks()
    for name in wanted or found:
        module = found[name]
        print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}\n{HEADER}", flush=True)
        started = time.monotonic()
        for figure in module.run():
            print(figure, flush=True)
            missed += figure.good is False
        print(f"  ({time.monotonic() - started:.0f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
