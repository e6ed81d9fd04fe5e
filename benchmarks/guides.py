"""Seconds of a training step on Sprites, guide by guide and prior by prior, and of every view beside such a step.

    python benchmarks/guides.py [--output docs/results/guides.json]

A step is the default preset of examples/dsvae_sprites.py with that guide and prior: 32 clips, bfloat16 autocast,
channels-last, Adam. A view shows 32 clips of 8 frames, without what encodes them. Each round times all in turn.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from shared_benchmark import ROOT, compare, finish, machine, parse

import pyrodis
from pyrodis.nn import (
    Downsample,
    FrameShuffle,
    GaussianBlur,
    MedianFrame,
    Motion,
    PatchShuffle,
    RandomCrop,
    RandomGray,
    RandomShift,
    RandomTones,
    Silhouette,
    SingleFrame,
    SubsetFrames,
)
from pyrodis.ops import channels_last, keep_freed_memory

STEP = "training step of the default preset"
VIEWS: dict[str, Callable[[], torch.nn.Module]] = {
    "PatchShuffle(8)": lambda: PatchShuffle(8),
    "FrameShuffle()": FrameShuffle,
    "SingleFrame()": SingleFrame,
    "SubsetFrames(2)": lambda: SubsetFrames(2),
    "RandomGray()": RandomGray,
    "RandomTones()": RandomTones,
    "RandomTones(keep_channels=False), Downsample(2, restore=False)": lambda: torch.nn.Sequential(
        RandomTones(keep_channels=False), Downsample(2, restore=False)
    ),
    "RandomShift(16)": lambda: RandomShift(16),
    "RandomCrop(16)": lambda: RandomCrop(16),
    "Downsample(2)": lambda: Downsample(2),
    "GaussianBlur(2)": lambda: GaussianBlur(2),
    "Silhouette()": Silhouette,
    "MedianFrame()": MedianFrame,
    "Motion()": Motion,
}


def make_step(example: Any, options: argparse.Namespace, x: torch.Tensor) -> Callable[[], None]:
    """A step of one pair, ready to be repeated."""
    model, guide = (channels_last(program.train()) for program in example.make_pair(options, (3, 64, 64), 8))
    elbo = pyrodis.NamedELBO()(model, guide)
    optimizer = torch.optim.Adam(elbo.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = elbo(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    options = parse(__doc__, 7)
    keep_freed_memory()  # as the example does
    sys.path.insert(0, str(ROOT / "examples"))
    example = importlib.import_module("dsvae_sprites")
    num_clips = 2 if options.smoke_test else 32
    torch.manual_seed(0)
    x = torch.rand(num_clips, 8, 3, 64, 64)

    def make(*arguments: str) -> Callable[[], None]:
        smoke = ["--smoke-test"] if options.smoke_test else []
        found = example.make_parser().parse_args([*arguments, *smoke])
        example.apply_preset(found)
        return make_step(example, found, x)

    steps = {
        f"{guide}, {prior}": make("--guide", guide, "--prior", prior)
        for prior in ("lstm", "standard")
        for guide in ("full", "factorized", "framewise", "smoothing")
    }
    views = {name: partial(make_view().train(), x) for name, make_view in VIEWS.items()}
    groups = {
        "guide and prior": compare(steps, "full, lstm", options.rounds, "guides"),
        "view": compare({STEP: steps["full, lstm"], **views}, STEP, options.rounds, "views"),
    }
    result = {
        "machine": machine(),
        "columns": ["what varies", "way", "the first"],
        "size": {"clips": num_clips, "rounds": options.rounds},
        "groups": groups,
    }
    finish(result, options.output)


if __name__ == "__main__":
    main()
