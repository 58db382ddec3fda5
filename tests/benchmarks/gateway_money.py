"""What holding and settling costs the hot path: a priced model against one that is free, asked in turn."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.gateway import CONNECTIONS, ROUNDS, SECONDS, Gateway, Loader, form, gateways, loader, middle, mp3
from tests.benchmarks.report import Figure

MODELS = ("bench", "gift")
MOST_LOST = 0.15


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        place = stack.enter_context(gateways(folder))
        asking = {}
        for model in MODELS:
            (folder / model).mkdir()
            body = form(mp3(folder), model=model)
            asking[model] = stack.enter_context(loader(folder / model, body, place.key))
        for connections in CONNECTIONS:
            yield _compared(place, asking, connections)


def _compared(place: Gateway, asking: dict[str, Loader], connections: int) -> Figure:
    for ask in asking.values():
        ask(place.ours, connections, 1.0)  # warm
    turns = [{model: ask(place.ours, connections, SECONDS) for model, ask in asking.items()} for _ in range(2 * ROUNDS)]
    priced, free = (middle([turn[model] for turn in turns]) for model in MODELS)
    ratio = priced.per_second / free.per_second
    good = ratio >= 1 - MOST_LOST and not priced.failed
    at = f"at {connections} connection{'s' if connections > 1 else ''}"
    return Figure(
        f"with money {at}", f"{priced.per_second:.0f}/s", f"free {free.per_second:.0f}/s", ratio, ">= 0.85", good
    )
