"""What a neighbour feels while another account's archive runs: a clip at once and as a job, beside quiet."""

import contextlib
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.neighbours import LOCAL, Felt, Neighbour, make_sounds, repeat, server
from tests.benchmarks.report import Figure
from tests.support.receiver import receiving

LINES = int(os.environ.get("ARCHIVE_LINES", "400"))
RECORDINGS = ("window.wav", "eleven.mp3")  # half a minute of speech, and now and then eleven
LONG_EVERY = 40
SECONDS = float(os.environ.get("ARCHIVE_SECONDS", "25"))
PATIENCE = 120.0
GOAL = 3.0  # times what it takes in quiet
SHORTEST = 0.02  # seconds: what came at once has no ratio


def keep(owner: Neighbour, data: bytes, purpose: str) -> str:
    """A file of his; its id."""
    return str(json.loads(owner.upload("/v1/files", data, purpose=purpose))["id"])


def start(owner: Neighbour, sounds: list[bytes]) -> str:
    """A batch of LINES recordings, mostly short; its id."""
    ids = [keep(owner, sound, "user_data") for sound in sounds]
    lines = [
        json.dumps(
            {
                "custom_id": str(n),
                "method": "POST",
                "url": "/v1/audio/transcriptions",
                "body": {"model": LOCAL, "file_id": ids[n % LONG_EVERY == 0]},
            }
        )
        for n in range(LINES)
    ]
    file = keep(owner, "\n".join(lines).encode(), "batch")
    asked = {"input_file_id": file, "endpoint": "/v1/audio/transcriptions", "completion_window": "24h"}
    return str(json.loads(owner.ask("POST", "/v1/batches", json.dumps(asked).encode()))["id"])


def wait_for_work(owner: Neighbour, batch: str) -> None:
    """Until workers are at it."""
    until = time.monotonic() + PATIENCE
    while json.loads(owner.ask("GET", f"/v1/batches/{batch}"))["request_counts"]["completed"] < 1:
        if time.monotonic() > until:
            raise RuntimeError("the archive did not begin")
        time.sleep(0.2)


def live(neighbour: Neighbour) -> dict[str, Felt]:
    """Clips at once and as jobs, side by side."""
    felt: dict[str, Felt] = {}

    def note(name: str) -> None:
        felt[name] = repeat(neighbour.answer if name == "at once" else neighbour.job, SECONDS)

    threads = [threading.Thread(target=note, args=(name,)) for name in ("at once", "as a job")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return felt


def compared(quiet: dict[str, Felt], busy: dict[str, Felt], done: int) -> Iterator[Figure]:
    for what, now in busy.items():
        before = quiet[what]
        ratio = statistics.median(now.seconds or [PATIENCE]) / max(
            statistics.median(before.seconds or [PATIENCE]), SHORTEST
        )
        good = not now.errors and ratio <= GOAL
        name = f"a clip {what}, {len(now.seconds)} times, {len(now.errors)} errors"
        yield Figure(name, str(now), f"quiet {before}", ratio, f"<= {GOAL:g} x median", good)
    yield Figure("lines of the archive done meanwhile", str(done))


def run() -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory() as home,
        receiving() as receiver,
        contextlib.ExitStack() as opened,
    ):
        folder = Path(home)
        port, key, other = opened.enter_context(server(folder))
        make_sounds(folder)
        *archive, clip, said = ((folder / name).read_bytes() for name in (*RECORDINGS, "clip.wav", "said.wav"))
        neighbour = Neighbour(port, key, clip, said, receiver)
        archivist = replace(neighbour, key=other)
        neighbour.answer()  # the engine is warm
        quiet = live(neighbour)
        batch = start(archivist, archive)
        wait_for_work(archivist, batch)
        busy = live(neighbour)
        counts = json.loads(archivist.ask("GET", f"/v1/batches/{batch}"))["request_counts"]
        with contextlib.suppress(RuntimeError, OSError, http.client.HTTPException):
            archivist.ask("POST", f"/v1/batches/{batch}/cancel")
        yield from compared(quiet, busy, int(counts["completed"]))
