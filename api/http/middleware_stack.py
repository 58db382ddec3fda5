"""FastAPI with our own layers around it, not in its middle.

Its own layers catch what ours catch as well; around the direct routes they would only cost time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import FastAPI
from starlette.types import ASGIApp

Layer = Callable[[ASGIApp], ASGIApp]


class Application(FastAPI):
    """`layers` are put around everything that answers HTTP, the first one innermost."""

    layers: Sequence[Layer] = ()

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's, inside of ours."""
        stack = super().build_middleware_stack()
        for layer in self.layers:
            stack = layer(stack)
        return stack
