"""Keeping freed memory: what the system is asked for after it, and where it is not done."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pyrodis.ops import allocation, keep_freed_memory

DECIDED = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# Page faults of 20 tensors of 64 MiB, one after another, each written to.
COUNT = """
import resource, sys, torch
from pyrodis.ops import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(3):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(way: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED}
    command = [sys.executable, "-c", COUNT, way]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(found.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_freed_memory_is_used_again() -> None:
    given, kept = faults("given back"), faults("kept")
    assert kept < max(200, given // 5), "some pages the system may take back by itself"
    pages_are_huge = HUGE_PAGES.exists() and "[always]" in HUGE_PAGES.read_text()
    assert given > (400 if pages_are_huge else 20_000)


@pytest.mark.parametrize("name", DECIDED)
def test_the_environment_decides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert not keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: pytest.fail("asked the C library"))
    assert not keep_freed_memory()
