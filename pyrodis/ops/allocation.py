"""Memory of the process: what freed tensors leave is kept for the next ones."""

from __future__ import annotations

import ctypes
import os
import platform

_DECIDING = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")
# Parameters of malloc.h and their values: nothing is mapped by itself, and the heap is never trimmed.
_NUM_MAPPED, _TRIM_THRESHOLD = (-4, 0), (-1, -1)


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones, for as long as it lives.

    The C library of most Linux systems gives the memory of large tensors back to the system when they are freed, and
    asks for it anew, page by page, for the next ones: about a third of what it takes to encode and decode long clips
    on a CPU, less in training (`benchmarks/allocation.py`). After this call memory is taken from what was freed before,
    and nothing is given back until the process ends, which may hold somewhat more than it needed at once. Nothing
    that is computed changes.

    `run_script` calls this for the examples, and `pyrodis fit` does; in a program of your own call it once, before the
    first tensor. Where the environment sets `MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_THRESHOLD_`, `MALLOC_MMAP_MAX_`,
    `GLIBC_TUNABLES` or `LD_PRELOAD`, by which other allocators are loaded, the choice was made, and nothing is done.

    Returns:
        Whether it was done: False on other systems than Linux with glibc, and where the environment has decided.

    Source:
        The GNU C library, manual, "Malloc tunable parameters", `M_MMAP_MAX` and `M_TRIM_THRESHOLD`.

    Example:
        >>> keep_freed_memory() in (True, False)
        True
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _DECIDING):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(*choice) == 1 for choice in (_NUM_MAPPED, _TRIM_THRESHOLD))
