"""Whether something goes when nobody holds it any more, without the collector."""

import gc
import weakref
from collections.abc import Callable


def goes_by_itself(make: Callable[[], object]) -> bool:
    """Whether what `make` returns, used as it likes, leaves nothing for the collector."""
    gc.disable()
    try:
        return weakref.ref(make())() is None
    finally:
        gc.enable()
