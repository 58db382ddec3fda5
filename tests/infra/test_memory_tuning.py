"""Threads of a role share its heaps: each of its own would keep the most it ever held. The collector rests while modules load."""

import gc
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.memory_tuning import loading

THREADS = 12
PROGRAM = f"""
import ctypes, sys, threading
from infra.memory_tuning import tune_memory
if sys.argv[2] == "tuned":
    tune_memory()
together = threading.Barrier({THREADS})

def work():
    together.wait()
    held = [bytearray(2000) for _ in range(2000)]
    together.wait()

threads = [threading.Thread(target=work) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


def heaps(told: Path, how: str) -> int:
    """As glibc itself counts them."""
    subprocess.run([sys.executable, "-c", PROGRAM, str(told), how], check=True, timeout=120)
    return len(re.findall("<heap nr=", told.read_text()))


@pytest.mark.processes
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have no such heaps")
def test_a_tuned_process_has_two_heaps(tmp_path: Path) -> None:
    assert heaps(tmp_path / "untuned.xml", "untuned") > 2
    assert heaps(tmp_path / "tuned.xml", "tuned") <= 2


def test_the_collector_works_again_after_a_module_that_cannot_be_loaded() -> None:
    with pytest.raises(ImportError), loading():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
