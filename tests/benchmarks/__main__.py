"""`python -m tests.benchmarks [NAME…]`: run all benchmarks, or those named."""

import importlib
import pkgutil
import sys
import time

import tests.benchmarks
from tests.benchmarks.report import HEADER


def names() -> list[str]:
    """Every benchmark file in this folder that has a `run`."""
    found = (module.name for module in pkgutil.iter_modules(tests.benchmarks.__path__))
    return [
        name
        for name in found
        if name not in ("__main__", "report", "sounds", "children", "gateway_children", "far_server")
    ]


def main(wanted: list[str]) -> int:
    """Print the figures of each benchmark; 1 when a target was missed."""
    missed = 0
    for name in wanted or names():
        module = importlib.import_module(f"tests.benchmarks.{name}")
        print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}\n{HEADER}", flush=True)
        started = time.monotonic()
        for figure in module.run():
            print(figure, flush=True)
            missed += figure.good is False
        print(f"  ({time.monotonic() - started:.0f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
