"""A long training and long use at a small size: memory, open files and the time of a step must not grow.

    python benchmarks/soak.py [--minutes 60] [--output docs/results/soak.json]

Again and again a DSVAE is trained on clips of eight by eight pixels, resumed from its run directory to twice the
length, loaded, encoded, swapped and drawn from; each round is the same work. After a warm-up of a fifth of the time
every round notes the resident memory, the open files, the threads and the time of a step. What is printed is the mean
of the last third of the rounds over that of the first third, and the slope of memory in megabytes an hour.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from shared_benchmark import machine, store

import pyrodis
from pyrodis.infer import FitSettings
from pyrodis.testing import tiny_dsvae

STEPS_A_ROUND = 60
LIMITS = {"megabytes": 1.03, "files": 1.0, "threads": 1.0, "milliseconds": 1.15}


def train(run: Path, clips: torch.Tensor) -> None:
    """Train half of the steps, and go on to all of them."""
    for num_epochs in (STEPS_A_ROUND // 12, STEPS_A_ROUND // 6):
        settings = FitSettings(num_epochs, batch_size=8, schedule="constant", device="cpu", checkpoint_minutes=0.01)
        pyrodis.fit(*tiny_dsvae(), clips, validation=clips[:8], settings=settings, output=run, resume=True)


def use(run: Path, clips: torch.Tensor) -> None:
    """What one does with a trained pair."""
    model, guide = pyrodis.load(run)
    pyrodis.encode(guide, clips, num_samples=3)
    pyrodis.swap(model, guide, clips[:8], clips[8:16], take=["f"])
    pyrodis.decode(model, pyrodis.sample_prior(model, 8))


def step_times(clips: torch.Tensor, num: int = 40) -> float:
    """Milliseconds of a step of a loop of one's own, the tenth part of the fastest: other programs slow the rest."""
    model, guide = tiny_dsvae()
    loss = pyrodis.NamedELBO()(model, guide)
    optimizer = torch.optim.Adam([*model.parameters(), *guide.parameters()])
    times = []
    for _ in range(num):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss(clips[:8]).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.quantile(times, 0.1))


def measure(process: psutil.Process, clips: torch.Tensor, start: float) -> dict[str, float]:
    """One row."""
    milliseconds = step_times(clips)
    return {
        "minutes": (time.monotonic() - start) / 60,
        "megabytes": process.memory_info().rss / 1e6,
        "files": float(process.num_fds() if hasattr(process, "num_fds") else len(process.open_files())),
        "threads": float(process.num_threads()),
        "milliseconds": milliseconds,
    }


def summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    """The last third over the first, and the slope of memory."""
    third = len(rows) // 3
    growth = {
        name: float(np.mean([row[name] for row in rows[-third:]]) / np.mean([row[name] for row in rows[:third]]))
        for name in LIMITS
    }
    slope = np.polyfit([row["minutes"] / 60 for row in rows], [row["megabytes"] for row in rows], 1)[0]
    return {"growth": growth, "megabytes_an_hour": float(slope), "rounds": len(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long; 60 is the long soak (default: 3)")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    if not options.minutes > 0:
        parser.error(f"--minutes must be above 0, got {options.minutes:g}")
    clips = torch.rand(48, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    process, start, rows, num_rounds = psutil.Process(), time.monotonic(), [], 0
    while (time.monotonic() - start) / 60 < options.minutes or len(rows) < 6:
        num_rounds += 1
        with tempfile.TemporaryDirectory() as folder:
            train(Path(folder), clips)
            use(Path(folder), clips)
        row = measure(process, clips, start)
        if row["minutes"] > options.minutes / 5:  # before, caches fill
            rows.append(row)
    result = {"machine": machine(), "minutes": options.minutes, "steps": num_rounds * STEPS_A_ROUND}
    result |= summary(rows) | {"rows": rows[:: max(1, len(rows) // 60)]}
    print("| what | last third over first third | at most |")
    print("| --- | ---: | ---: |")
    for name, limit in LIMITS.items():
        print(f"| {name} | {result['growth'][name]:.3f} | {limit:.2f} |")
    print(f"\n{result['steps']} steps, {result['megabytes_an_hour']:+.1f} MB an hour")
    store(result, options.output)
    sys.exit(any(result["growth"][name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    main()
