"""Seconds for many draws from the posterior of clips: all at once, against one after the other.

    python benchmarks/draws.py [--output docs/results/draws.json]

100 draws for each of 16 clips of 8 frames by `pyrodis.encode(guide, x, num_samples=100)`, against 100 calls of one
draw, for guides whose z has no memory, a structured memory, and a recurrent one. Each round times both in turn.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from shared_benchmark import compare, finish, machine, parse

import pyrodis
from pyrodis.guides import FramewiseGuide, FullGuide, StructuredGuide
from pyrodis.nn import ConvEncoder

AT_ONCE, ONE_BY_ONE = "all at once", "one by one"


def one_by_one(guide: torch.nn.Module, x: torch.Tensor, num_draws: int) -> None:
    for _ in range(num_draws):
        pyrodis.encode(guide, x, num_samples=1)


def main() -> None:
    options = parse(__doc__, 5)
    channels, num_clips, num_draws = (2, 2, 3) if options.smoke_test else (24, 16, 100)
    torch.manual_seed(0)
    x = torch.rand(num_clips, 8, 3, 64, 64)

    def encoder() -> ConvEncoder:
        return ConvEncoder(base_channels=channels)

    guides: dict[str, Any] = {
        "FramewiseGuide": FramewiseGuide(encoder()).eval(),
        "StructuredGuide": StructuredGuide(encoder()).eval(),
        "FullGuide": FullGuide(encoder()).eval(),
    }
    groups = {
        name: compare(
            {
                AT_ONCE: partial(pyrodis.encode, guide, x, num_samples=num_draws),
                ONE_BY_ONE: partial(one_by_one, guide, x, num_draws),
            },
            AT_ONCE,
            options.rounds,
            name,
        )
        for name, guide in guides.items()
    }
    result = {
        "machine": machine(),
        "columns": ["guide", "draws", "all at once"],
        "size": {"clips": num_clips, "draws": num_draws, "base_channels": channels, "rounds": options.rounds},
        "groups": groups,
    }
    finish(result, options.output)


if __name__ == "__main__":
    main()
