"""Seconds for a draw, its density and the gradient, of a normal sequence with memory, against other ways to compute it.

    python benchmarks/structured_normal.py [--output docs/results/structured_normal.json]

One chain with diagonal transitions, 16 sequences of 32 dimensions at several lengths: `GaussMarkovNormal`
(elementwise), `BlockTridiagonalNormal` (from its factor, and from blocks), the parallel scan of `pyro.ops.gaussian`,
and torch's dense `MultivariateNormal`. Before anything is timed, all must give the same density at the same value. Each
round times every way in turn, so that the machine's drift hits all alike; printed is the median over rounds of the
ratio to the elementwise one, with a 95 % bootstrap interval. The dense one is timed up to 64 frames and in three rounds
alone; beyond, a copy of its matrices takes gigabytes, and for the same reason the others stop at 512 frames.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from pyro.ops.gaussian import AffineNormal, Gaussian, sequential_gaussian_filter_sample
from shared_benchmark import machine, store, summary
from torch.distributions import MultivariateNormal
from tqdm import tqdm

from pyrodis.distributions import BlockTridiagonalNormal, GaussMarkovNormal
from pyrodis.ops.block_tridiagonal import block_cholesky

NUM_SEQUENCES, DIM = 16, 32
LENGTHS = (8, 64, 512, 4096)
LONGEST_BLOCKS, LONGEST_DENSE, DENSE_ROUNDS = 512, 64, 3
OURS, SCAN, DENSE = "GaussMarkovNormal", "pyro.ops.gaussian, parallel scan", "MultivariateNormal, dense"

Parameters = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Way = Callable[[Parameters, torch.Tensor | None], torch.Tensor]


def make_parameters(num_frames: int) -> Parameters:
    torch.manual_seed(0)
    loc, scale = torch.randn(NUM_SEQUENCES, num_frames, DIM), 0.5 + torch.rand(NUM_SEQUENCES, num_frames, DIM)
    values = 1.6 * torch.rand(NUM_SEQUENCES, num_frames - 1, DIM) - 0.8
    return loc.requires_grad_(), scale.requires_grad_(), values.requires_grad_()


def of_distribution(make: Callable[[Parameters], Any], flat: bool = False) -> Way:
    """A draw, or the given value, and its density."""

    def score(parameters: Parameters, value: torch.Tensor | None) -> torch.Tensor:
        normal = make(parameters)
        if value is None:
            return normal.log_prob(normal.rsample())
        return normal.log_prob(value.flatten(-2) if flat else value)

    return score


def scan(parameters: Parameters, value: torch.Tensor | None) -> torch.Tensor:
    """The draw by the parallel scan; the density by its factors, which needs no scan since they are normalized."""
    loc, scale, values = parameters
    step = values * scale[:, 1:] / scale[:, :-1]
    noise_scale = scale[:, 1:] * (1 - values.square()).sqrt()
    offset = loc[:, 1:] - step * loc[:, :-1]
    steps: Gaussian = AffineNormal(step.diag_embed(), offset, noise_scale).to_gaussian()
    empty = torch.zeros(NUM_SEQUENCES, 0, DIM)
    start: Gaussian = AffineNormal(empty, loc[:, 0], scale[:, 0]).to_gaussian()
    if value is None:
        value = sequential_gaussian_filter_sample(start, steps)
    pairs = torch.cat([value[:, :-1], value[:, 1:]], dim=-1)
    return start.log_density(value[:, 0]) + steps.log_density(pairs).sum(-1)


def ways(num_frames: int, parameters: Parameters) -> dict[str, Way]:
    found: dict[str, Way] = {OURS: of_distribution(lambda p: GaussMarkovNormal(*p))}
    if num_frames <= LONGEST_BLOCKS:
        with torch.no_grad():
            factor = block_cholesky(*GaussMarkovNormal(*parameters).precision_blocks)
        leaves = [part.requires_grad_() for part in factor]
        found["BlockTridiagonalNormal, from its factor"] = of_distribution(
            lambda p: BlockTridiagonalNormal.from_cholesky(p[0], *leaves)
        )
        found["BlockTridiagonalNormal, from blocks"] = of_distribution(
            lambda p: BlockTridiagonalNormal(p[0], *GaussMarkovNormal(*p).precision_blocks)
        )
        found[SCAN] = scan
    if num_frames <= LONGEST_DENSE:
        found[DENSE] = of_distribution(
            lambda p: MultivariateNormal(p[0].flatten(-2), precision_matrix=GaussMarkovNormal(*p).precision_matrix),
            flat=True,
        )
    return found


def check_same(found: dict[str, Way], parameters: Parameters) -> None:
    value = GaussMarkovNormal(*parameters).sample()
    with torch.no_grad():
        densities = {name: way(parameters, value) for name, way in found.items()}
    expected = densities[OURS]
    wrong = [name for name, density in densities.items() if not torch.allclose(density, expected, rtol=1e-3)]
    if wrong:
        raise RuntimeError(f"all ways must give the same density, got {densities}")


def seconds_of(way: Way, parameters: Parameters) -> float:
    for parameter in parameters:
        parameter.grad = None
    start = time.perf_counter()
    way(parameters, None).sum().backward()
    return time.perf_counter() - start


def measure(num_frames: int, num_rounds: int) -> dict[str, Any]:
    parameters = make_parameters(num_frames)
    found = ways(num_frames, parameters)
    seconds: dict[str, list[float]] = {name: [] for name in found}
    with pyro.validation_enabled(False):
        check_same(found, parameters)
        for number in tqdm(range(num_rounds + 1), desc=f"{num_frames} frames", leave=False):
            for name, way in found.items():
                if name == DENSE and number > DENSE_ROUNDS:
                    continue
                elapsed = seconds_of(way, parameters)
                if number:  # the first round warms caches
                    seconds[name].append(elapsed)
    ours = np.array(seconds[OURS])
    return {name: summary(np.array(times), ours[: len(times)]) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count (default: 15)")
    parser.add_argument("--output", type=Path, help="JSON file for the result (default: none)")
    options = parser.parse_args()
    if options.rounds < 3:
        parser.error(f"--rounds must be 3 or more for an interval, got {options.rounds}")
    lengths = {str(num_frames): measure(num_frames, options.rounds) for num_frames in LENGTHS}
    result = {
        "machine": machine(),
        "size": {"sequences": NUM_SEQUENCES, "dim": DIM, "dtype": "float32", "rounds": options.rounds},
        "lengths": lengths,
    }
    print(table(result))
    store(result, options.output)


def table(result: dict[str, Any]) -> str:
    lines = [
        "| frames | way | ms | ratio to the elementwise one | 95 % interval |",
        "| ---: | --- | ---: | ---: | --- |",
    ]
    for num_frames, rows in result["lengths"].items():
        for name, row in rows.items():
            interval = f"{row['low']:.1f} to {row['high']:.1f}"
            lines.append(
                f"| {num_frames} | {name} | {row['median_milliseconds']:.2f} | {row['ratio']:.1f} | {interval} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
