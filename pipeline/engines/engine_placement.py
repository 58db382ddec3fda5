"""Where a process has its engines: below itself, or with all others of the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.engines.door import Door
from pipeline.engines.engine_protocol import Engine, EngineSpec
from pipeline.engines.process_pool import EnginePool
from pipeline.engines.shared_engine import SharedEngine


@dataclass(frozen=True)
class Engines:
    """At most `processes` of each engine; with a `socket` those that are shared there, else our own."""

    processes: int = 1
    socket: Path | None = None

    def open(self, spec: EngineSpec) -> Engine:
        """Cheap: nothing is started before the first call."""
        has_line = 0 < spec.processes <= self.processes
        spec = replace(spec, processes=min(self.processes, spec.processes or self.processes))
        return EnginePool(spec) if self.socket is None else SharedEngine(spec, Door(self.socket), has_line=has_line)


ONE_OF_OUR_OWN = Engines()
