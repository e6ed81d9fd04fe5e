"""What the benchmarks share: ratios over interleaved rounds, what they ran on, and where a result goes."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch


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


def machine() -> dict[str, Any]:
    """Processor, threads, versions and commit."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
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
