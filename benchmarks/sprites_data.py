"""What making a batch of Sprites costs: its share of a training step, and resident memory.

    python benchmarks/sprites_data.py [--data-root DIR] [--output docs/results/sprites_data.json]

Each round makes one batch as `pyrodis.fit` does and then runs one step of a plain DSVAE of 24 base channels on it
(forward, backward, Adam, bfloat16), so that the machine's drift hits both alike. Printed: the median over rounds of
data time over step time, with a 95 % bootstrap interval, and how resident memory grows from before the data set to
after its first clip.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyro
import torch
from elbo_step import SIZES, make_pair
from shared_benchmark import machine, store, summary

from pyrodis import NamedELBO
from pyrodis.datasets import Sprites
from pyrodis.infer.data import stack_frames

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the Sprites sheets (default: as Sprites finds them)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds that count (default: 30)")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error(f"--rounds must be 5 or more for an interval, got {options.rounds}")
    process = psutil.Process()
    before = process.memory_info().rss
    try:
        data = Sprites(options.data_root, split="fit")
    except FileNotFoundError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    data[0]
    growth = (process.memory_info().rss - before) / 2**20
    model, guide = make_pair(SIZES["sprites"])
    parameters = [p for p in (*model.parameters(), *guide.parameters()) if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, fused=True)
    generator = np.random.default_rng(0)
    data_seconds, step_seconds = [], []
    with pyro.validation_enabled(False):
        for number in range(options.rounds + 2):
            start = time.perf_counter()
            x = stack_frames(data.__getitems__(generator.integers(len(data), size=BATCH).tolist()))
            made = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = NamedELBO().terms(model, guide, x).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if number >= 2:  # the first rounds warm caches
                data_seconds.append(made - start)
                step_seconds.append(time.perf_counter() - made)
    row = summary(np.array(data_seconds), np.array(step_seconds))
    result = {"machine": machine(), "batch": BATCH, "share": row, "resident_megabytes": round(growth, 1)}
    print(table(result))
    store(result, options.output)


def table(result: dict[str, Any]) -> str:
    row = result["share"]
    return (
        f"A batch of {result['batch']} clips takes {row['ratio']:.1%} of a step ({row['low']:.1%} to "
        f"{row['high']:.1%});\nresident memory grows by {result['resident_megabytes']:.0f} MiB up to the first clip."
    )


if __name__ == "__main__":
    main()
