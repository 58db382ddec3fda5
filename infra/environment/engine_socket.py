"""Where the processes of an installation meet their engines on this machine.

Not in the home: a socket's path may have 107 characters only, and many shared folders cannot hold a socket at all. Another release
of ours, or another interpreter, has another one: beside each other during an upgrade, each with what it knows.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pipeline

_LONGEST = 107  # bytes


def engine_socket(home: Path) -> Path | None:
    """In the user's runtime folder, where there is one, else in a folder of this user's beside other temporary files.

    None where that is too far down for a socket.
    """
    known = (str(home.absolute()), version("stenopool"), str(pipeline.__path__), sys.executable)
    name = f"{hashlib.sha256(repr(known).encode()).hexdigest()[:16]}.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    in_runtime = runtime is not None and Path(runtime).is_dir()
    folder = (
        Path(runtime or "", "stenopool") if in_runtime else Path(tempfile.gettempdir(), f"stenopool-{os.geteuid()}")
    )
    return folder / name if len(os.fsencode(folder / name)) <= _LONGEST else None
