"""`python -m tests.rolling [ROUNDS]`: each role restarted so many times on PostgreSQL; 1 where a request was refused or a sound
heard twice."""

import sys
import tempfile
from pathlib import Path

from tests.e2e.stack import Stack
from tests.rolling.roll import GRACE, ROLES, roll
from tests.support.database_servers import postgres_server


def main(rounds: int) -> int:
    """Print the counts."""
    with (
        tempfile.TemporaryDirectory(prefix="steno-rolling-") as home,
        postgres_server() as server,
        server.fresh() as url,
    ):
        stack = Stack(Path(home), database_url=url, grace=GRACE, cpu_processes=2, io_threads=8)
        try:
            report = roll(stack, ROLES, rounds=rounds, askers=4, submitters=6)
        finally:
            stack.stop()
    print("\n".join(report.lines()))
    print("holds" if report.holds else "does NOT hold")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 2))
