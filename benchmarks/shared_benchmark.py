"""What the benchmarks share: ratios over interleaved rounds, what they ran on, and where a result goes."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyro
import torch
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
BUSY = 0.25  # cores that others keep busy, from which seconds mean little and ratios are wide


def summary(times: np.ndarray, base: np.ndarray) -> dict[str, float]:
    """Median over rounds of the ratio of two times in seconds, with a 95 % bootstrap interval."""
    ratios = times / base
    generator = np.random.default_rng(0)
    draws = np.median(ratios[generator.integers(len(ratios), size=(2000, len(ratios)))], axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "ratio": float(np.median(ratios)),
        "low": float(low),
        "high": float(high),
        "median_milliseconds": float(np.median(times) * 1e3),
        "extra_milliseconds": float(np.median(times - base) * 1e3),
    }


def interleave(ways: Mapping[str, Callable[[], object]], num_rounds: int, label: str) -> dict[str, np.ndarray]:
    """Seconds of every way in every round that counts; in a round all are timed in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in tqdm(range(num_rounds + 1), desc=label, leave=False):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if number:  # the first round warms caches
                seconds[name].append(time.perf_counter() - start)
    return {name: np.array(times) for name, times in seconds.items()}


def compare(
    ways: Mapping[str, Callable[[], object]], base: str, num_rounds: int, label: str
) -> dict[str, dict[str, float]]:
    """Summary of every way over interleaved rounds, as a ratio to one of them."""
    seconds = interleave(ways, num_rounds, label)
    return {name: summary(times, seconds[base]) for name, times in seconds.items()}


def parse(description: str | None, num_rounds: int) -> argparse.Namespace:
    """The options that the benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=num_rounds, help=f"rounds that count (default: {num_rounds})")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    parser.add_argument("--smoke-test", action="store_true", help="sizes that take seconds and say nothing")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error(f"--rounds must be 3 or more for an interval, got {options.rounds}")
    return options


def table(result: Mapping[str, Any]) -> str:
    """A table in Markdown of a result with "columns" and "groups"."""
    group, way, base = result["columns"]
    lines = [f"| {group} | {way} | ms | ratio to {base} | 95 % interval |", "| --- | --- | ---: | ---: | --- |"]
    for name, rows in result["groups"].items():
        for label, row in rows.items():
            cells = (name, label, f"{row['median_milliseconds']:.2f}", number(row["ratio"]), interval(row))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits of a ratio."""
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 2}f}"


def interval(row: Mapping[str, float]) -> str:
    """The interval of a ratio in words."""
    return f"{number(row['low'])} to {number(row['high'])}"


def finish(result: Mapping[str, Any], output: Path | None) -> None:
    """Print the table of a result, and store it if it is to go anywhere."""
    print(table(result))
    store(result, output)


def machine() -> dict[str, Any]:
    """Processor, threads, versions, commit, and how busy others keep the machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "busy_cores": round(psutil.cpu_percent(1.0) / 100 * (os.cpu_count() or 1), 2),  # while this process waits
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pyro": pyro.__version__,
        "commit": commit.stdout.strip(),
    }


def store(result: Mapping[str, Any], output: Path | None) -> None:
    """Write a result as JSON, if it is to go anywhere."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
