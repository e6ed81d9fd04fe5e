"""Seconds of a step and of encoding and decoding, with and without `pyrodis.ops.keep_freed_memory`.

    python benchmarks/allocation.py [--output docs/results/allocation.json]

A DSVAE of the sizes of elbo_step.py: a forward and backward pass on 16 clips of 8 frames under bfloat16 autocast, and
64 clips of 20 frames encoded and decoded in float32. Each round starts a process for either way, since what a process
has asked of its allocator cannot be taken back; it makes one pass that does not count, and the median of three that do.
Printed is the median over rounds of the ratio, with a 95 % bootstrap interval.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import torch
from elbo_step import SIZES, make_pair
from shared_benchmark import finish, machine, parse, summary
from tqdm import tqdm

import pyrodis
from pyrodis.ops import keep_freed_memory

GIVEN, KEPT = "given back", "keep_freed_memory"
TRAIN, READ = "forward and backward pass", "encode and decode"


def workloads(smoke_test: bool) -> dict[str, Callable[[], object]]:
    """What is timed."""
    size: dict[str, Any] = SIZES["small" if smoke_test else "sprites"]
    model, guide = make_pair(size)
    shown, clips = torch.rand((16, 8, *size["frame"])), torch.rand((64, 20, *size["frame"]))

    def train() -> None:
        with pyro.validation_enabled(False), torch.autocast("cpu", torch.bfloat16):
            loss = pyrodis.NamedELBO().terms(model.train(), guide.train(), shown).total
        loss.backward()

    def read() -> None:
        pyrodis.decode(model.eval(), pyrodis.encode(guide.eval(), clips))

    return {TRAIN: train, READ: read}


def child(way: str, smoke_test: bool) -> None:
    """Print the seconds of either workload in this process."""
    if way == KEPT and not keep_freed_memory():
        sys.exit(
            "freed memory is kept on Linux with glibc alone, where no MALLOC_*, GLIBC_TUNABLES or LD_PRELOAD is set"
        )
    found = {}
    for name, work in workloads(smoke_test).items():
        seconds = []
        for number in range(4):
            start = time.perf_counter()
            work()
            if number:
                seconds.append(time.perf_counter() - start)
        found[name] = statistics.median(seconds)
    print(json.dumps(found))


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3] == "smoke")
        return
    options = parse(__doc__, 7)
    seconds: dict[str, dict[str, list[float]]] = {name: {GIVEN: [], KEPT: []} for name in (TRAIN, READ)}
    size = "smoke" if options.smoke_test else "full"
    for _ in tqdm(range(options.rounds), desc="processes", leave=False):
        for way in (GIVEN, KEPT):
            command = [sys.executable, __file__, "--child", way, size]
            found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            for name, value in found.items():
                seconds[name][way].append(value)
    groups: dict[str, Any] = {
        name: {way: summary(np.array(times), np.array(ways[GIVEN])) for way, times in ways.items()}
        for name, ways in seconds.items()
    }
    columns = ["what", "memory of freed tensors", GIVEN]
    finish({"machine": machine(), "columns": columns, "groups": groups}, options.output)


if __name__ == "__main__":
    main()
