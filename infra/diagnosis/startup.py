"""Before a role begins: what waiting does not mend ends it, in the words that `doctor` has; a database that is away is waited for.

A broker or a store that is away is no reason to wait: a role goes on without the one, and its work waits for the other by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from infra.diagnosis.broker_faults import broker_fault
from infra.diagnosis.database_faults import database_fault
from infra.diagnosis.fault import Fault, Misconfigured
from infra.diagnosis.storage_faults import storage_fault
from infra.settings import Settings

log = logging.getLogger(__name__)

EXIT_CODE = 3  # of a role that cannot begin, and could not tomorrow: the one that commands have for a setting that cannot be used
LOOK_AGAIN_SECONDS = 1.0
REMIND_EVERY = 60  # looks

Look = Callable[[], Fault | None]


class PartsWait:
    """Looks at the parts of an installation until they can be used. Both methods raise Misconfigured, and InvalidRequest for what
    is no URL.

    `is_stopped` ends a wait, `say` tells of it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        is_stopped: Callable[[], bool] = lambda: False,
        say: Callable[[str], object] = log.warning,
    ) -> None:
        self._settings, self._is_stopped, self._say = settings, is_stopped, say
        self._others: dict[str, Look] = {"the storage": partial(storage_fault, settings.storage)}
        if settings.redis_url:
            self._others["Redis"] = partial(broker_fault, settings.redis_url)

    def for_a_role(self) -> None:
        """Until the database can be used and its schema is ours."""
        self._begin()
        for name, look in self._others.items():
            fault = None if self._is_stopped() else _healing(look())
            if fault is not None:
                self._say(f"{fault.sentence}; begins without {name}, and uses it once it is back")

    def for_all(self) -> None:
        """Until all of them can be used."""
        self._begin()
        for name, look in self._others.items():
            self._wait(name, look)

    def _begin(self) -> None:
        self._settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for variable in self._settings.unknown:
            self._say(f"{variable} is set, and there is no such setting: it has no effect")
        self._wait("the database", partial(database_fault, self._settings.database, migrate=True))

    def _wait(self, name: str, look: Look) -> None:
        told, looks = "", 0
        while not self._is_stopped():
            fault = _healing(look())
            if fault is None:
                if told:
                    self._say(f"{name} can be used now")
                return
            if fault.told != told or looks % REMIND_EVERY == 0:
                self._say(f"{fault.sentence}; waits for it")
            told, looks = fault.told, looks + 1
            time.sleep(LOOK_AGAIN_SECONDS)


def _healing(fault: Fault | None) -> Fault | None:
    """Raises Misconfigured for one that does not heal."""
    if fault is not None and not fault.heals:
        raise Misconfigured(fault.sentence)
    return fault
