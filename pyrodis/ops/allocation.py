"""Memory of the process: what freed tensors leave is kept for the next ones."""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in malloc.h
_MOST = 2**31 - 1  # bytes, the largest int


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones, for as long as it lives.

    The C library of most Linux systems gives the memory of every large tensor back to the system when it is freed and
    asks for it anew, page by page, for the next one: on a CPU that is a sixth of a training step and a third of what it
    takes to encode and decode long clips (`benchmarks/allocation.py`). After this call it is taken from what was freed
    before. The process keeps the most that it ever needed until it ends; nothing that is computed changes. `run_script`
    calls this for the examples, and `pyrodis fit` does; in a program of your own call it once, before the first tensor.

    Where the environment sets `MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_THRESHOLD_` or `GLIBC_TUNABLES`, or another
    allocator is preloaded, the choice was made, and nothing is done.

    Returns:
        Whether it was done: False on other systems than Linux with glibc, and where the environment has decided.

    Source:
        The GNU C library, manual, "Malloc tunable parameters", `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD`.

    Example:
        >>> keep_freed_memory() in (True, False)
        True
    """
    decided = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in decided):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, _MOST) == 1 for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
