"""Peak memory of a training step against the clips of a batch and their frames.

    python benchmarks/memory.py [--output docs/results/memory.json]

A DSVAE of 32 base channels on 64 x 64 pixels, one step with bfloat16 autocast and Adam, each size in a process of its
own, forked from one that has imported everything: what is stored is how far the largest resident memory of that process
lies above what it began with. `accumulation` of `FitSettings` divides the part that grows with the batch.
"""

from __future__ import annotations

import multiprocessing
import resource
from typing import Any

import psutil
import pyro
import torch
from elbo_step import SIZES, make_pair
from shared_benchmark import machine, parse, store

from pyrodis import NamedELBO


def grow(num_clips: int, num_frames: int, channels: int, queue: Any) -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    before = psutil.Process().memory_info().rss
    model, guide = make_pair(SIZES["sprites"] | {"channels": channels})
    optimizer = torch.optim.Adam([p for p in (*model.parameters(), *guide.parameters()) if p.requires_grad])
    x = torch.rand(num_clips, num_frames, 3, 64, 64)
    with pyro.validation_enabled(False):
        with torch.autocast("cpu", torch.bfloat16):
            loss = NamedELBO().terms(model, guide, x).total
        loss.backward()
        optimizer.step()
    queue.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 2**20)


def measure(num_clips: int, num_frames: int, channels: int) -> float:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=grow, args=(num_clips, num_frames, channels, queue))
    process.start()
    megabytes = queue.get()
    process.join()
    return round(megabytes, 1)


def main() -> None:
    options = parse(__doc__, 3)
    channels = 2 if options.smoke_test else 32
    clips, frames = ((1, 2), (2, 4)) if options.smoke_test else ((4, 16, 64), (4, 8, 16))
    rows = {str(b): {str(t): measure(b, t, channels) for t in frames} for b in clips}
    result = {"machine": machine(), "size": {"base_channels": channels}, "megabytes": rows}
    print(table(result))
    store(result, options.output)


def table(result: dict[str, Any]) -> str:
    rows = result["megabytes"]
    frames = list(next(iter(rows.values())))
    lines = [f"| clips | {' | '.join(f'{t} frames' for t in frames)} |", f"| ---: |{' ---: |' * len(frames)}"]
    lines += [f"| {b} | {' | '.join(f'{row[t]:.0f} MiB' for t in frames)} |" for b, row in rows.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
